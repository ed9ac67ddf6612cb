"""A table is of the project that wrote to it first."""

from __future__ import annotations

import duckdb
import pytest

from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.errors import SelectionMismatchError
from mixpanel_async.selections import EventSelection

WEEK = ("2024-01-01", "2024-01-07")
SELECTION = EventSelection()


@pytest.fixture
def tables():
    """The same table for a call of project 1 and one of project 2, which share a connection."""
    with duckdb.connect() as connection:
        database = Database(connection)
        lease = database.lease()
        lease.open()
        yield [EventsTable(database, "events", project=project) for project in ("1", "2")]
        lease.close()


def test_of_two_calls_that_find_no_table_the_second_does_not_write_into_the_first_ones(tables):
    for table in tables:
        table.check(SELECTION, append=False, resume=False)
    tables[0].prepare(SELECTION, [WEEK])
    with pytest.raises(SelectionMismatchError, match="'events' is of project 1, and this call is of project 2"):
        tables[1].prepare(SELECTION, [WEEK])
