"""What came out, for eyes: tables and ratios."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from benchmarks.measure import Run

COLUMNS: dict[str, Callable[[Sequence[Run]], str]] = {
    "best s": lambda runs: f"{best(runs)['seconds']:.2f}",
    "median s": lambda runs: f"{median(run['seconds'] for run in runs):.2f}",
    "k rows/s": lambda runs: f"{best(runs)['rows'] / best(runs)['seconds'] / 1000:.1f}",
    "cpu s": lambda runs: f"{best(runs)['cpu_seconds']:.1f}",
    "peak MB": lambda runs: f"{max(run['peak_mb'] for run in runs):.0f}",
    "file MB": lambda runs: f"{max(run.get('file_mb', 0.0) for run in runs):.0f}",
    "lag p99 ms": lambda runs: _lag(runs, "lag_p99_ms"),
    "lag max ms": lambda runs: _lag(runs, "lag_max_ms"),
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast one case is as another."""

    of: str
    to: str
    reach: float | None = None
    """What it is meant to reach."""

    def line(self, runs: Mapping[str, Sequence[Run]]) -> str:
        """Write it: best against best, and within each round."""
        own, other = ([run["seconds"] for run in runs[name]] for name in (self.of, self.to))
        within = [theirs / ours for ours, theirs in zip(own, other, strict=True)]
        text = f"{min(other) / min(own):.2f} times as fast as {self.to}"
        text += f" (rounds: median {median(within):.2f}, {min(within):.2f} to {max(within):.2f})"
        return f"{self.of}: {text}" + (f"; reach {self.reach}" if self.reach else "")


def best(runs: Sequence[Run]) -> Run:
    """Give the fastest."""
    return min(runs, key=lambda run: run["seconds"])


def table(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """Yield a heading and a line a case: the time of its best run, the worst of all else."""
    width = max(map(len, runs))
    yield " ".join([" " * width, *(f"{name:>10}" for name in COLUMNS)])
    for name, of_case in runs.items():
        yield " ".join([f"{name:<{width}}", *(f"{write(of_case):>10}" for write in COLUMNS.values())])


def shown(title: str, runs: Mapping[str, Sequence[Run]], ratios: Iterable[Ratio]) -> str:
    """Put a part's report together."""
    return "\n".join([title, *table(runs), *(ratio.line(runs) for ratio in ratios), ""])


def _lag(runs: Sequence[Run], name: str) -> str:
    return f"{max(run[name] for run in runs):.1f}" if name in runs[0] else ""
