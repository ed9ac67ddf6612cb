"""What years of nightly fetches cost: a table that grows by a day at a time, then days of it replaced, twice.

    python -m benchmarks.appends 3000 100000 --days 200 --replaced 60

Each day is one chunk, and the file is opened for it and closed again, by the library's own code; there is no network.
Times are the processor's. Every replaced day has new values in the same number of rows, and lies among days that stay.
At the end the file is compacted.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import duckdb

from benchmarks.data import FIRST
from benchmarks.measure import WrongRowsError
from mixpanel_async import Store
from mixpanel_async.decode.event_batches import EventBatch, decode, grouped
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.records import ChunkRecord
from mixpanel_async.selections import EventSelection
from mixpanel_async.testing import GeneratedEvents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
SCAN = "SELECT count(*), count(DISTINCT distinct_id), max(properties->>'$.\"$browser\"') FROM events"
ONE_DAY = "SELECT count(*) FROM events WHERE event_time >= $1 AND event_time < $1 + INTERVAL 1 DAY"


@dataclass(slots=True)
class Years:
    """A table that grows; what it costs."""

    path: Path
    rows: int
    """Of each day."""
    held: dict[int, int] = field(default_factory=dict)
    """The rows of each day that is there."""
    spent: list[float] = field(default_factory=list)
    """Processor seconds of each day that was written since `mean_ms`."""

    def write(self, days: Iterable[int], seed: int) -> None:
        """Append these days, or replace them, each as a call of its own does."""
        events = GeneratedEvents(per_day=self.rows, seed=seed)
        for number in days:
            day = FIRST + dt.timedelta(days=number)
            groups = list(grouped(decode(events.pieces(day, now=NOW))))
            began = time.process_time()
            self.held[number] = self._store(str(day), groups)
            self.spent.append(time.process_time() - began)

    def _store(self, day: str, groups: list[list[EventBatch]]) -> int:
        database = Database(str(self.path))
        with closing(database), closing(database.lease()) as lease:
            lease.open()
            table = EventsTable(database, "events")
            table.prepare(EventSelection(), [(day, day)])
            chunk = table.loader((day, day), last_complete_day=None)
            chunk.begin()
            for batches in groups:
                chunk.load(batches)
            counts = chunk.commit(ChunkRecord((day, day), 0, 0, dt.datetime.now(dt.UTC)))
            table.finish()
        return counts.rows

    def mean_ms(self) -> float:
        """Return the milliseconds of a day since the last call."""
        spent, self.spent = self.spent, []
        return 1000 * mean(spent)

    def megabytes(self) -> float:
        """Return the size of the file."""
        return self.path.stat().st_size / 1e6

    def seconds_to_read(self) -> tuple[float, float]:
        """Return the seconds to read some of every row, and to count one day.

        Raises:
            WrongRowsError: the table has other rows than it should.
        """
        with duckdb.connect(str(self.path), read_only=True, config={"threads": 1}) as connection:
            connection.execute("SET enable_progress_bar = false")
            with timed() as scan:
                found = connection.execute(SCAN).fetchall()[0][0]
            with timed() as one_day:
                connection.execute(ONE_DAY, [FIRST + dt.timedelta(days=1)]).fetchall()
        if found != (expected := sum(self.held.values())):
            raise WrongRowsError(f"The table has {found} rows, not {expected}.")
        return scan[0], one_day[0]


@contextmanager
def timed() -> Iterator[list[float]]:
    """Yield a list that gets the processor seconds of the block."""
    seconds: list[float] = []
    began = time.process_time()
    yield seconds
    seconds.append(time.process_time() - began)


def report(rows: int, days: int, replaced: int, directory: Path) -> str:
    """Let the days come and be replaced; return a row of the table in docs/performance.md."""
    years = Years(directory / f"{rows}.duckdb", rows)
    years.write(range(days), seed=1)
    cells = [f"{rows:,}, {days}", f"{years.mean_ms():.0f}", f"{years.megabytes():.1f} MB"]
    step = max(1, days // replaced)
    sizes = []
    for seed in (2, 3):
        years.write(range(0, step * replaced, step), seed)
        sizes.append(f"{years.megabytes():.1f}")
    scan, one_day = years.seconds_to_read()
    cells += [f"{years.mean_ms():.0f}", f"{' and '.join(sizes)} MB", f"{scan:.2f} s, {1000 * one_day:.0f} ms"]
    with timed() as compacting:
        asyncio.run(Store(years.path).compact())
    scan, one_day = years.seconds_to_read()
    cells += [f"{years.megabytes():.1f} MB, {compacting[0]:.1f} s", f"{scan:.2f} s, {1000 * one_day:.0f} ms"]
    years.path.unlink()
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print a row for each number of rows a day."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", type=int, default=[200, 3_000, 11_000, 20_000, 33_000, 100_000])
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--replaced", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mixpanel_async_benchmark.") as directory:
        for rows in given.rows:
            print(report(rows, given.days, given.replaced, Path(directory)), flush=True)


if __name__ == "__main__":
    main()
