"""A database in memory with one fetched table, and short ways to fill it."""

from __future__ import annotations

import datetime as dt
from itertools import chain

import numpy as np
import pytest

from mixpanel_async.decode.event import RejectedLine
from mixpanel_async.decode.event_batches import EventBatch, _unparsed_batch
from mixpanel_async.decode.offsets import Offsets
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.records import ChunkRecord
from mixpanel_async.selections import EventSelection

FETCHED_AT = dt.datetime(2024, 2, 1, tzinfo=dt.UTC)


def seconds(moment):
    """Epoch seconds of a date or a time in UTC."""
    return int(dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC).timestamp())


def event(moment="2024-01-02", name="a", insert_id=None, distinct_id="d", **more):
    """An event as the decoder gives it: two JSON texts."""
    parts = {"time": seconds(moment), "distinct_id": f'"{distinct_id}"'}
    if insert_id is not None:
        parts["$insert_id"] = f'"{insert_id}"'
    text = ",".join(f'"{name}":{value}' for name, value in (parts | more).items())
    return f'"{name}"'.encode(), f"{{{text}}}".encode()


def batch(events, first=1):
    """A batch of lines, as the decoder makes it, of pairs of JSON texts."""
    sizes = [(len(name), 0, len(properties), 0) for name, properties in events]
    starts = np.cumsum([0, *chain.from_iterable(sizes)])[:-1].reshape(-1, 4).astype(np.int32)
    lines, suspects = np.arange(first, first + len(events)), np.array([b"NaN" in each for _, each in events], np.uint8)
    return EventBatch(_unparsed_batch(lines, b"".join(chain.from_iterable(events)), Offsets(starts, suspects)))


def bad_line(line_number, line, reason="why"):
    return RejectedLine(line_number, reason, line)


class Shelf:
    """One table of an open database."""

    def __init__(self, database, name="events", selection=None):
        self.database, self.name, self.selection = database, name, selection or EventSelection()
        self.table = EventsTable(database, name)
        self.cursor = database.cursor()
        self.cursor.execute(f"USE {database.schema}")

    def prepare(self, *, append=False, resume=False):
        self.table.check(self.selection, append=append, resume=resume)
        return self.align()

    def align(self, *chunks, deduplicate=True):
        self.table = EventsTable(self.database, self.name, deduplicate=deduplicate)
        self.table.prepare(self.selection, chunks)
        return self

    def begun(self, dates, *blocks, deduplicate=True, complete="2024-06-01", rejected=()):
        """A chunk with these blocks loaded, not committed yet."""
        day = None if complete is None else dt.date.fromisoformat(complete)
        self.table._deduplicate = deduplicate
        loader = self.table.loader(dates, last_complete_day=day)
        loader.begin()
        for block in filter(None, blocks):  # a decoder makes no empty batch
            loader.load([batch(block)])
        if rejected:
            loader.load([EventBatch(rejected=tuple(rejected))])
        return loader

    def store(self, dates, *blocks, size=100, retries=0, **options):
        """Commit a chunk of these blocks."""
        return self.begun(dates, *blocks, **options).commit(ChunkRecord(dates, size, retries, FETCHED_AT))

    def sql(self, query):
        return self.cursor.execute(query).fetchall()

    def rows(self, columns="event_name"):
        found = self.sql(f"SELECT {columns} FROM {self.name} ORDER BY event_time, event_name, properties")
        return [row[0] for row in found] if "," not in columns and columns != "*" else found

    def journal(self, columns="rows"):
        """Dates, and these columns, of each chunk."""
        return [
            (str(first), str(last), *rest)
            for first, last, *rest in self.sql(
                f"SELECT from_date, to_date, {columns} FROM _mixpanel_chunks "
                f"WHERE table_name = lower('{self.name}') ORDER BY from_date"
            )
        ]

    def rejected(self):
        return self.sql(
            "SELECT from_date::VARCHAR, to_date::VARCHAR, line_number, reason, line FROM _mixpanel_rejected "
            f"WHERE table_name = lower('{self.name}') ORDER BY ALL"
        )

    def assert_true(self):
        """The journal says of each chunk how many rows the table holds for its dates, and there are no others."""
        counted = [
            (first, last, self.sql(f"SELECT count(*) FROM {self.name} WHERE event_time >= DATE '{first}' AND event_time < DATE '{last}' + 1")[0][0])
            for first, last, _ in self.journal()
        ]  # fmt: skip
        assert counted == self.journal()
        assert sum(rows for _, _, rows in counted) == len(self.rows())


@pytest.fixture
def database():
    database = Database(":memory:")
    lease = database.lease()
    lease.open()
    yield database
    lease.close()
    database.close()


@pytest.fixture
def shelf(database):
    shelf = Shelf(database).prepare()
    yield shelf
    shelf.cursor.close()
