"""Processor time of a chunk: into Parquet files by `fetch_chunk`, and into a table by a client, in turns.

    python -m benchmarks.chunk_costs --per-day 194 7070

The server is another process. Each way fetches the same chunks of seven days, one after the other; the first round is
not counted. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.data import DataSet, served
from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount
from mixpanel_async.dates import split_date_range
from mixpanel_async.distributed import ChunkJob, fetch_chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from benchmarks.task import Task
    from mixpanel_async.dates import DateChunk

    Way = Callable[[Task, Path], Coroutine[object, object, None]]

UNLIMITED = RateLimits(per_second=100_000, per_hour=1_000_000, concurrent=1000)


def chunks_of(task: Task) -> list[DateChunk]:
    """Return the chunks that both ways fetch."""
    return split_date_range(task.from_date, task.to_date, chunk_days=7)


async def into_parquet(task: Task, place: Path) -> None:
    """Fetch into Parquet files, as a worker does."""
    for dates in chunks_of(task):
        job = ChunkJob(
            project_id=task.project_id, dates=dates, destination=str(place / "parquet"), run="run", base_url=task.url,
            limits=UNLIMITED,
        )  # fmt: skip
        report = await fetch_chunk(job)
        assert report.error is None, report


async def into_a_table(task: Task, place: Path) -> None:
    """Fetch into a table."""
    account = ServiceAccount(task.username, task.secret, task.project_id)
    async with MixpanelClient(account, base_url=task.url, database=place / "events.duckdb", limits=UNLIMITED) as client:
        result = await client.fetch_events(
            from_date=task.from_date, to_date=task.to_date, parallel=True, chunk_days=7, max_workers=1
        )
    assert not result.has_failures


WAYS: tuple[Way, ...] = (into_parquet, into_a_table)


def spent(way: Way, task: Task) -> float:
    """Return the processor seconds of a chunk."""
    with tempfile.TemporaryDirectory() as place:
        began = time.process_time()
        asyncio.run(way(task, Path(place)))
        return (time.process_time() - began) / len(chunks_of(task))


def main(per_day: list[int], chunks: int, rounds: int) -> None:
    """Print the least and the most of each way."""
    for events in per_day:
        with (
            tempfile.TemporaryDirectory() as files,
            served(DataSet(events * 7 * chunks, 7 * chunks), Path(files)) as all_,
        ):
            task = all_.task(Path(files))
            os.environ |= {"MP_USERNAME": task.username, "MP_SECRET": task.secret}
            turns = [[spent(way, task) for way in WAYS] for _ in range(1 + rounds)][1:]
        for way, seconds in zip(WAYS, zip(*turns, strict=True), strict=True):
            print(f"{7 * events:,} events {way.__name__}: {min(seconds):.3f} to {max(seconds):.3f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--per-day", type=int, nargs="+", default=[194, 7070])
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    main(**vars(parser.parse_args()))
