"""The rows of a database to files: by a method of `Store`, or by DuckDB's own COPY. The files are read back to count.

The task's options are `source`, the database, and `target`, the name of a file or a folder; then either `method` and
its `arguments`, or `copy`, a COPY statement for `$target`.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from benchmarks.contenders.ours import ticker
from benchmarks.task import given, peak_mb, tell
from mixpanel_async import Store

if TYPE_CHECKING:
    from benchmarks.task import Task

READERS = {
    "parquet": "read_parquet({})",
    "csv": "read_csv({}, all_varchar = true)",
    "jsonl": "read_json({}, format = 'newline_delimited', columns = {{event: 'VARCHAR'}})",
}


async def store(task: Task, target: Path) -> dict[str, float]:
    """Call the method of `Store`, with a ticker in the same event loop."""
    method = getattr(Store(task.options["source"]), task.options["method"])
    async with ticker() as waits:
        began = time.perf_counter()
        await method("events", target, **task.options.get("arguments", {}))
        seconds = time.perf_counter() - began
    return {"seconds": seconds, **waits.figures()}


def copy(task: Task, target: Path) -> dict[str, float]:
    """Run the COPY statement."""
    began = time.perf_counter()
    with duckdb.connect(task.options["source"], read_only=True, config={"threads": task.threads}) as connection:
        connection.execute(task.options["copy"].replace("$target", f"'{target}'"))
    return {"seconds": time.perf_counter() - began}


def count(target: Path) -> int:
    """Return how many rows the files have."""
    kind = next(kind for kind in READERS if kind in target.name)
    files = f"'{target}/**/*.parquet'" if target.is_dir() else f"'{target}'"
    ((rows,),) = duckdb.sql(f"SELECT count(*) FROM {READERS[kind].format(files)}").fetchall()
    return int(rows)


def main(task: Task) -> None:
    """Export, and print the figures."""
    target = Path(task.database).with_name(task.options["target"])
    figures = asyncio.run(store(task, target)) if "method" in task.options else copy(task, target)
    peak = peak_mb()
    size = sum(file.stat().st_size for file in target.rglob("*")) if target.is_dir() else target.stat().st_size
    tell(**figures, rows=count(target), peak_mb=peak, file_mb=size / 1e6)


if __name__ == "__main__":
    main(given())
