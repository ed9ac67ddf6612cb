"""Reports: a table to read, and JSON for the chart and for later comparisons."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.chart import chart
from benchmarks.claims import fastest, speed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.claims import Claim
    from benchmarks.measure import Run, Runs

PACKAGES = ("mixpanel-async", "duckdb", "aiohttp", "isal", "httpx", "mixpanel-headless", "mixpanel-utils")
CPUINFO = Path("/proc/cpuinfo")

COLUMNS: dict[str, Callable[[Sequence[Run]], str]] = {
    "best s": lambda runs: f"{fastest(runs)['seconds']:.2f}",
    "median s": lambda runs: f"{median(run['seconds'] for run in runs):.2f}",
    "events/s": lambda runs: f"{speed(fastest(runs)):,.0f}",
    "cpu s": lambda runs: f"{fastest(runs)['cpu_seconds']:.1f}",
    "peak MB": lambda runs: _worst(runs, "peak_mb"),
    "file MB": lambda runs: _worst(runs, "file_mb"),
    "lag p99 ms": lambda runs: _worst(runs, "lag_p99_ms"),
    "lag max ms": lambda runs: _worst(runs, "lag_max_ms"),
    "gc max ms": lambda runs: _worst(runs, "collector_max_ms"),
}


def table(runs: Runs) -> Iterator[str]:
    """Yield a heading and a line for each case: the time of its best run; its worst memory, file size and lag."""
    width = max(map(len, runs))
    yield " ".join([" " * width, *(f"{name:>10}" for name in COLUMNS)])
    for name, of_case in runs.items():
        cells = [write(of_case) for write in COLUMNS.values()] if of_case else ["not here"]
        yield " ".join([f"{name:<{width}}", *(f"{cell:>10}" for cell in cells)])


def shown(title: str, runs: Runs, claims: Sequence[Claim]) -> str:
    """Return the report of a part."""
    return "\n".join([title, "", *table(runs), "", *map(str, claims), ""])


def as_dict(runs: Runs, claims: Sequence[Claim]) -> dict[str, object]:
    """Return what is saved of a part."""
    return {"machine": machine(), "runs": runs, "claims": [{**asdict(claim), "holds": claim.holds} for claim in claims]}


def keep(directory: Path, part: str, told: dict[str, object]) -> None:
    """Write a part's results into the file of all parts, replacing those of an earlier run, and draw the chart."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "results.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results = {**known, part: told}
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (directory / "chart.svg").write_text(chart(results), encoding="utf-8")


def machine() -> dict[str, object]:
    """Return date, machine and versions of a run."""
    return {
        "date": str(dt.datetime.now(dt.UTC).date()),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    if CPUINFO.exists():
        for line in CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _worst(runs: Sequence[Run], figure: str) -> str:
    return f"{max(run[figure] for run in runs):.1f}" if figure in runs[0] else ""
