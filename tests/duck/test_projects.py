"""A table is of the project that wrote to it first."""

from __future__ import annotations

import duckdb
import pytest

from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.duck.projects import record_project
from mixpanel_async.errors import SelectionMismatchError
from mixpanel_async.records import ChunkRecord
from mixpanel_async.selections import EventSelection

from .conftest import FETCHED_AT

WEEK = ("2024-01-01", "2024-01-07")
SELECTION = EventSelection()


@pytest.fixture
def connection():
    with duckdb.connect() as made:
        yield made


@pytest.fixture
def database(connection):
    made = Database(connection)
    lease = made.lease()
    lease.open()
    yield made
    lease.close()


@pytest.fixture
def tables(database):
    """The same table for a call of project 1 and one of project 2, which share a connection."""
    return [EventsTable(database, "events", project=project) for project in ("1", "2")]


def test_of_two_calls_that_find_no_table_the_second_does_not_write_into_the_first_ones(tables):
    for table in tables:
        table.check(SELECTION, append=False, resume=False)
    tables[0].prepare(SELECTION, [WEEK])
    with pytest.raises(SelectionMismatchError, match="'events' is of project 1, and this call is of project 2"):
        tables[1].prepare(SELECTION, [WEEK])


def test_a_call_ends_well_while_another_records_the_project(connection, database, tables):
    EventsTable(database, "events").prepare(SELECTION, [])
    tables[0].prepare(SELECTION, [WEEK])
    loader = tables[0].loader(WEEK, last_complete_day=None)
    loader.begin()
    loader.commit(ChunkRecord(WEEK, 0, 0, FETCHED_AT))
    with connection.cursor() as other:
        other.execute("BEGIN")
        record_project(other, database.schema, "events", "1")
        tables[0].finish()
        other.execute("COMMIT")
    assert connection.execute("SELECT project FROM _mixpanel_selections").fetchall() == [("1",)]
