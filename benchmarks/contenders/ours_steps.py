"""The steps of mixpanel_async in one thread, without network, event loop or other threads.

A file is a chunk, as in `fetch_events`. The cost of an event in each step is processor time, in microseconds.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.task import Task, given, tell
from mixpanel_async.decode.event_batches import decode, grouped
from mixpanel_async.decode.gunzip import gunzip
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.records import ChunkRecord
from mixpanel_async.selections import EventSelection

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 18
"""Bytes of a body that are decompressed at a time, about as many as arrive together."""


class Steps:
    """Fills a table, and adds up the processor time of each step."""

    def __init__(self, table: EventsTable) -> None:
        self.rows = 0
        self.spent: Counter[str] = Counter()
        self._table = table

    def store(self, day: str, body: bytes) -> None:
        """Store the body of a day. It is decoded as a whole, so that the steps can be measured separately."""
        with self._step("gunzip"):
            text = list(gunzip(body[place : place + PIECE] for place in range(0, len(body), PIECE)))
        with self._step("cut"):
            decoded = list(grouped(decode(text)))
        chunk = self._table.loader((day, day), last_complete_day=None)
        with self._step("parse"):
            chunk.begin()
            for batches in decoded:
                chunk.load(batches)
        with self._step("insert"):
            self.rows += chunk.commit(ChunkRecord((day, day), len(body), 0, dt.datetime.now(dt.UTC))).rows

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        began = time.thread_time()
        yield
        self.spent[name] += time.thread_time() - began


def main(task: Task) -> None:
    """Store the files, and print the figures."""
    database = Database(task.database)
    began = time.perf_counter()
    with closing(database.lease()) as lease:
        lease.open()
        table = EventsTable(database, "events")
        table.prepare(EventSelection(), [])
        steps = Steps(table)
        for day in task.days:
            steps.store(day, (Path(task.files) / f"{day}.gz").read_bytes())
    seconds = time.perf_counter() - began
    tell(seconds=seconds, **{f"{name}_us": 1e6 * spent / steps.rows for name, spent in steps.spent.items()})


if __name__ == "__main__":
    main(given())
