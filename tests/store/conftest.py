"""A database file with a table of events, and a process that holds it."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

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


async def cancel_in_the_middle(query, path):
    """Cancel a query of minutes when it has run for a while; it must end within a second."""
    done, _ = await asyncio.wait({query}, timeout=0.5)  # long enough to be in the middle of it
    assert not done
    assert not others_can_write(path)
    query.cancel()
    cancelled_at = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await query
    assert time.monotonic() - cancelled_at < 1


DAYS = 4
ROWS_A_DAY = 3_000
DATES = [f"2024-01-{day:02}" for day in range(1, DAYS + 1)]


@pytest.fixture
def larger(path):
    """The path of a database whose table `events` has some thousand rows a day."""
    database = Database(path)
    lease = database.lease()
    lease.open()
    shelf = Shelf(database).prepare()
    for day in DATES:
        shelf.store((day, day), [event(f"{day}T00:00:{n % 60:02}", n=n, text=f'"{"é" * (n % 50)}"') for n in range(ROWS_A_DAY)])  # fmt: skip
    shelf.cursor.close()
    shelf.table.finish()
    lease.close()
    database.close()
    return path


def run_and_kill(path, what, target, *moment):
    """Run a process that exports or compacts, and kills itself; return whether it did."""
    command = [sys.executable, "-m", "tests.store.killed", str(path), what, str(target), *map(str, moment)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def last_year(*arguments):
    """What the command line of DuckDB 1.5 prints."""
    program = shutil.which("duckdb", path=str(Path(sys.executable).parent))
    done = subprocess.run([program, "-csv", "-noheader", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


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
