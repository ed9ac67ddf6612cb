"""A database in memory with one fetched table, and short ways to fill it."""

from __future__ import annotations

import datetime as dt

import pytest

from mixpanel_async.decode.arrow_blocks import batch
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.fetched import FetchedTable
from mixpanel_async.duck.journal import ChunkRecord, Selection

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


class BadLine:
    """A line that is no event."""

    def __init__(self, line_number, line, reason="why"):
        self.line_number, self.line, self.reason = line_number, line, reason


class Shelf:
    """One table of an open database."""

    def __init__(self, database, name="events", selection=None):
        self.database, self.name, self.selection = database, name, selection or Selection()
        self.table = FetchedTable(database, name)
        self.cursor = database.cursor()
        self.cursor.execute(f"USE {database.schema}")

    def prepare(self, *, append=False, resume=False):
        self.table.prepare(self.selection, append=append, resume=resume)
        return self

    def begun(self, dates, *blocks, deduplicate=True, final_to="2024-06-01", rejected=()):
        """A chunk's transaction with these blocks in it, still open."""
        over = None if final_to is None else dt.date.fromisoformat(final_to)
        transaction = self.table.transaction(dates, deduplicate=deduplicate, final_to=over)
        transaction.begin()
        for block in blocks:
            assert transaction.insert([batch(block, range(1, 1 + len(block)))]) == []
        if rejected:
            transaction.reject(rejected)
        return transaction

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
