"""A chunk's rows and its journal row are there together, or neither is."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest

from mixpanel_async.duck import journal
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.errors import StoreError
from mixpanel_async.records import ChunkRecord
from mixpanel_async.selections import EventSelection

from .conftest import batch

DATES = ("2026-01-01", "2026-01-01")
RECORD = ChunkRecord(DATES, bytes=1, retries=0, fetched_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
EVENTS = batch([(b'"e"', b'{"time":1767225600}')] * 10)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.duckdb"


@pytest.fixture
def table(path):
    database = Database(path)
    lease = database.lease()
    lease.open()
    table = EventsTable(database, "events")
    table.prepare(EventSelection(), [])
    yield table
    lease.close()


def begun(table):
    loader = table.loader(DATES, last_complete_day=dt.date(2026, 1, 1))
    loader.begin()
    loader.load([EVENTS])
    return loader


def held(path):
    with duckdb.connect(str(path)) as connection:
        return connection.execute(
            "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM _mixpanel_chunks)"
        ).fetchall()[0]


def test_a_journal_row_that_fails_takes_the_rows_with_it(table, path, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError

    loader = begun(table)
    monkeypatch.setattr(journal, "record_chunk", fails)
    with pytest.raises(ZeroDivisionError):
        loader.commit(RECORD)
    loader.roll_back()
    table._database.close()

    assert held(path) == (0, 0)


def test_of_two_writers_of_a_chunk_one_wins_and_the_other_leaves_nothing(table, path):
    first, second = begun(table), begun(table)
    first.commit(RECORD)
    with pytest.raises(StoreError):
        second.commit(RECORD)
    second.roll_back()
    table._database.close()

    assert held(path) == (10, 1)


def test_what_is_rolled_back_leaves_nothing(table, path):
    loader = begun(table)
    loader.roll_back()
    loader.roll_back()
    table._database.close()

    assert held(path) == (0, 0)
