"""A table is of the project that wrote to it first."""

from __future__ import annotations

import duckdb
import pytest

from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.duck.projects import record_project
from mixpanel_async.errors import SelectionMismatchError, StoreError
from mixpanel_async.records import ChunkRecord
from mixpanel_async.selections import EventSelection

from .conftest import FETCHED_AT

WEEK, LATER = ("2024-01-01", "2024-01-07"), ("2024-01-08", "2024-01-08")
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


def committed(table):
    """Load a chunk without rows."""
    loader = table.loader(WEEK, last_complete_day=None)
    loader.begin()
    loader.commit(ChunkRecord(WEEK, 0, 0, FETCHED_AT))


def test_a_table_of_no_known_project_is_of_the_first_that_commits(connection, database, tables):
    EventsTable(database, "events").prepare(SELECTION, [])
    for table in tables:
        table.check(SELECTION, append=True, resume=False)
        table.prepare(SELECTION, [WEEK])
    committed(tables[0])
    assert connection.execute("SELECT project FROM _mixpanel_selections").fetchall() == [("1",)]
    with pytest.raises(SelectionMismatchError, match="of project 1, and this call is of project 2"):
        committed(tables[1])


def test_a_table_that_took_the_place_of_ours_gets_no_project(connection, tables):
    tables[0].prepare(SELECTION, [WEEK])
    committed(tables[0])
    connection.execute("UPDATE _mixpanel_selections SET project = NULL, created_at = created_at + INTERVAL 1 SECOND")
    with pytest.raises(StoreError, match="was dropped or replaced"):
        committed(tables[0])
    tables[0].finish()
    assert connection.execute("SELECT project FROM _mixpanel_selections").fetchall() == [(None,)]


def test_before_its_first_chunk_a_call_takes_a_table_that_was_made_anew(connection, tables):
    tables[0].prepare(SELECTION, [WEEK])
    connection.execute("UPDATE _mixpanel_selections SET created_at = created_at + INTERVAL 1 SECOND")
    committed(tables[0])
    tables[0].finish()
    assert connection.execute("SELECT rows FROM _mixpanel_chunks").fetchall() == [(0,)]


def test_a_table_that_was_made_anew_without_what_it_held_is_refused(connection, tables):
    tables[0].prepare(SELECTION, [WEEK])
    committed(tables[0])
    later = EventsTable(tables[0]._database, "events", project="1")
    later.prepare(SELECTION, [LATER])
    connection.execute("DELETE FROM _mixpanel_chunks")
    connection.execute("UPDATE _mixpanel_selections SET created_at = created_at + INTERVAL 1 SECOND")
    with pytest.raises(StoreError, match="was dropped or replaced"):
        later.loader(LATER, last_complete_day=None)


def test_a_call_that_is_refused_finishes_nothing(tables):
    tables[0].prepare(SELECTION, [WEEK])
    with pytest.raises(SelectionMismatchError):
        tables[1].prepare(SELECTION, [WEEK])
    assert not tables[1].is_prepared


def test_a_call_ends_well_while_another_records_the_project(connection, database, tables):
    EventsTable(database, "events").prepare(SELECTION, [])
    tables[0].prepare(SELECTION, [WEEK])
    with connection.cursor() as other:
        other.execute("BEGIN")
        record_project(other, database.schema, "events", "1")
        committed(tables[0])
        other.execute("COMMIT")
    assert connection.execute("SELECT count(*) FROM _mixpanel_chunks").fetchall() == [(1,)]
    assert connection.execute("SELECT project FROM _mixpanel_selections").fetchall() == [("1",)]
