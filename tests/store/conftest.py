"""A database file with a table of events, and a process that holds it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager

import duckdb
import pytest

from mixpanel_async.duck.connection import Database
from tests.duck.conftest import Shelf, event

WEEK = ("2024-01-01", "2024-01-07")
ROWS = 3


@pytest.fixture
def filled(path):
    """The path of a database whose table `events` has a week with three rows."""
    database = Database(path)
    lease = database.lease()
    lease.open()
    shelf = Shelf(database).prepare()
    shelf.store(WEEK, [event("2024-01-02"), event("2024-01-02"), event("2024-01-07")])
    shelf.cursor.close()
    shelf.table.finish()
    lease.close()
    database.close()
    return path


@contextmanager
def process_that_holds(path, options=""):
    """A process that has the file open until the block ends, or until its stdin is closed."""
    hold = f"import duckdb, sys; c = duckdb.connect(sys.argv[1]{options}); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.communicate()


def others_can_write(path):
    """Whether another process can open the file to write now."""
    attempt = "import duckdb, sys; duckdb.connect(sys.argv[1]).close()"
    done = subprocess.run([sys.executable, "-c", attempt, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "Could not set lock" in done.stderr, done.stderr
    return done.returncode == 0


def is_free(path):
    """Whether this process has the file no longer open."""
    with duckdb.connect(str(path)) as connection:
        return connection.execute("SELECT count(*) FROM events").fetchall() == [(ROWS,)]


def properties_table(path, rows, name="events"):
    """Put rows in the place of those of a fetched table: (event name, time, properties as a dict or as JSON text)."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"DELETE FROM {name}")
        for event, time, each in rows:
            text = each if isinstance(each, str) else json.dumps(each)
            connection.execute(f"INSERT INTO {name} VALUES (?, ?, 'd', NULL, ?)", [event, time, text])


def of_one_event(*properties):
    """Rows of one event and day, for `properties_table`."""
    return [("a", "2024-01-02", each) for each in properties]
