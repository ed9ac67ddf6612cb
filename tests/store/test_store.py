"""A Store over real files: it reads and never writes, and what somebody else has open is shared or waited for."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from contextlib import closing

import duckdb
import pytest

from mixpanel_async import (
    ConfigurationError,
    DatabaseLockedError,
    MixpanelClient,
    ServiceAccount,
    Store,
    StoreError,
    TableNotFoundError,
    holding,
)
from mixpanel_async.api import waiting
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.versions import VERSION
from tests.cancellation.stepping import run_and_cancel

from .conftest import ROWS, is_free, others_can_write, process_that_holds

ENDLESS = "SELECT count(*) FROM range(1000000000) AS a, range(1000000000) AS b"


async def rows(store):
    coverage = await store.coverage()
    assert (coverage.days[0].date, coverage.days[-1].date) == ("2024-01-01", "2024-01-07")
    return coverage.rows


class Held:
    """What reads until it is let go."""

    def __init__(self):
        self.began, self.end = threading.Event(), threading.Event()

    def __call__(self, cursor, schema):
        found = cursor.execute(f"SELECT count(*) FROM {schema.table('events')}").fetchall()
        self.began.set()
        self.end.wait(30)
        return found

    async def begun(self):
        await asyncio.to_thread(self.began.wait, 30)


def contents(path):
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in path.parent.iterdir()}


# Files


async def test_it_reads_a_file_and_changes_nothing(filled):
    before = contents(filled)
    coverage = await Store(filled).coverage()
    assert [(day.date, day.rows) for day in coverage.days if day.rows] == [("2024-01-02", 2), ("2024-01-07", 1)]
    assert coverage == await Store(str(filled)).coverage("events")
    assert contents(filled) == before
    assert is_free(filled)


async def test_a_missing_file_is_an_error_and_is_not_created(path):
    with pytest.raises(TableNotFoundError, match=rf"^There is no database {re.escape(str(path))}: fetch into it first"):
        await Store(path).coverage()
    assert list(path.parent.iterdir()) == []


async def test_a_file_that_is_no_database_says_so(path):
    path.write_bytes(b"text" * 5000)
    with pytest.raises(StoreError, match="is not a DuckDB database"):
        await Store(path).coverage()


async def test_a_write_ahead_log_is_read_and_left(filled):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("INSERT INTO events FROM events LIMIT 1")
    before = contents(filled)
    assert len(before) == 2
    assert await rows(Store(filled)) == ROWS + 1
    assert contents(filled) == before


def test_it_may_be_used_on_several_event_loops(filled):
    store = Store(filled)
    assert [asyncio.run(rows(store)) for _ in range(2)] == [ROWS] * 2


async def test_an_older_file_is_refused_with_what_to_do(filled):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("UPDATE _mixpanel_version SET version = 3")
    before = contents(filled)
    with pytest.raises(
        StoreError, match=rf"have version 3, and this release reads {VERSION}. The next fetch or sync migrates them"
    ):
        await Store(filled).coverage()
    assert contents(filled) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"database": ":memory:"}, "is only in its client: use `client.store`"),
        ({"database": 7}, "database must be a path"),
        ({"database": "."}, "must be a file"),
        ({"database": "a", "lock_timeout": -1}, "lock_timeout must be a number of seconds"),
    ],
)
def test_a_wrong_setting_is_an_error(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        Store(**arguments)


@pytest.mark.parametrize("name", ["no good", "_mixpanel_chunks", 7])
async def test_a_wrong_name_is_an_error(filled, name):
    with pytest.raises(ValueError, match="name="):
        await Store(filled).coverage(name)


async def test_a_missing_table_is_an_error(filled):
    with pytest.raises(TableNotFoundError, match="There is no table 'others' in this database"):
        await Store(filled).coverage("others")


# Connections


async def test_it_reads_a_callers_connection_and_leaves_it_as_it_is(filled):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE SCHEMA other; USE other; BEGIN; CREATE TABLE mine (a INT)")
        assert await rows(Store(connection)) == ROWS
        connection.execute("COMMIT")
        assert connection.execute("SELECT current_schema()").fetchall() == [("other",)]
    with duckdb.connect(str(filled), read_only=True) as connection:
        assert await rows(Store(connection)) == ROWS
    with pytest.raises(ConfigurationError, match="passed as database= is closed"):
        await Store(connection).coverage()


# Who else has it


async def test_many_read_at_the_same_time(filled):
    held = [Held() for _ in range(5)]
    readings = [asyncio.ensure_future(Store(filled)._run(each)) for each in held]
    for each in held:
        await each.begun()
    with process_that_holds(filled, ", read_only=True"):
        assert await asyncio.gather(*(rows(Store(filled)) for _ in range(10))) == [ROWS] * 10
    for each in held:
        each.end.set()
    assert await asyncio.gather(*readings) == [[(ROWS,)]] * 5


async def test_the_end_of_one_reading_does_not_let_others_write_during_another(filled):
    """A process that closes a file loses all its locks on it, those of its other connections included."""
    held = Held()
    reading = asyncio.ensure_future(Store(filled)._run(held))
    await held.begun()
    assert await rows(Store(filled)) == ROWS
    assert not others_can_write(filled)
    held.end.set()
    await reading
    assert others_can_write(filled)


@pytest.mark.parametrize("options", [{}, {"read_only": True}])
async def test_a_connection_of_this_process_can_stay_open(filled, options):
    with duckdb.connect(str(filled), **options) as here:
        assert await rows(Store(filled, lock_timeout=0)) == ROWS
        assert not others_can_write(filled)
        assert here.execute("SELECT count(*) FROM events").fetchall() == [(ROWS,)]
    assert is_free(filled)


async def test_a_connection_of_this_process_with_a_config_is_waited_for(filled):
    with duckdb.connect(str(filled), config={"threads": 1}):
        with pytest.raises(DatabaseLockedError, match=r"is open in this process .* with read_only or config") as locked:
            await Store(filled, lock_timeout=0).coverage()
        assert not others_can_write(filled)
    assert locked.value.holder == "this process"
    assert await rows(Store(filled)) == ROWS


async def test_another_process_that_writes_is_named(filled):
    with (
        process_that_holds(filled) as process,
        pytest.raises(
            DatabaseLockedError, match=rf"is held by .*\(PID {process.pid}\): close it there first"
        ) as locked,
    ):
        await Store(filled, lock_timeout=0.1).coverage()
    assert f"(PID {process.pid})" in locked.value.holder
    assert contents(filled).keys() == {filled.name}


async def test_another_process_that_writes_is_waited_for(filled, monkeypatch):
    refused = asyncio.Event()
    monkeypatch.setattr(holding, "announce_wait", lambda _: refused.set())
    with process_that_holds(filled):
        reading = asyncio.ensure_future(rows(Store(filled)))
        await refused.wait()
        assert not reading.done()
    assert await reading == ROWS


async def test_a_long_wait_is_logged(filled, monkeypatch, caplog):
    monkeypatch.setattr(holding, "TELL_AFTER", 0.0)
    logged = asyncio.Event()
    monkeypatch.setattr(waiting.logger, "filters", [lambda _: logged.set() or True])
    with process_that_holds(filled) as process:
        reading = asyncio.ensure_future(rows(Store(filled)))
        await logged.wait()
    assert await reading == ROWS
    message = rf"Waiting for .*\(PID {process.pid}\) to close {re.escape(str(filled))} until .*; 1 reading waits\."
    assert re.fullmatch(message, caplog.messages[0])


async def test_a_client_of_this_process_is_waited_for(filled):
    database = Database(filled)
    database.acquire()
    with pytest.raises(DatabaseLockedError, match=r"open in this process .* where a client writes to it: use its"):
        await Store(filled, lock_timeout=0).coverage()
    assert not others_can_write(filled)  # the attempt has not taken the client's lock
    reading = asyncio.ensure_future(rows(Store(filled)))
    await asyncio.sleep(0)
    database.release()
    assert await reading == ROWS
    database.close()


async def test_a_client_of_this_process_waits_for_a_reading(filled):
    held, database = Held(), Database(filled)
    reading = asyncio.ensure_future(Store(filled)._run(held))
    await held.begun()
    with pytest.raises(DatabaseLockedError, match=r"open in this process .* where a Store reads it") as locked:
        database.acquire()
    assert (locked.value.holder, others_can_write(filled)) == ("this process", False)
    held.end.set()
    await reading
    database.acquire()
    database.release()
    database.close()


# What it may not do, and cancels


async def test_nothing_can_be_written(filled):
    def write(cursor, schema):
        cursor.execute(f"DELETE FROM {schema.table('events')}")

    with closing(duckdb.connect()) as memory, duckdb.connect(str(filled)) as connection:
        memory.execute("CREATE TABLE events AS SELECT 1 AS a")
        for store in (Store(memory), Store(connection), Store(filled)):
            with pytest.raises(StoreError, match="transaction is launched in read-only mode"):
                await store._run(write)
    with pytest.raises(StoreError, match="read-only"):
        await Store(filled)._run(write)
    assert is_free(filled)


async def test_it_sees_one_moment(filled):
    def read(cursor, schema):
        query = f"SELECT count(*) FROM {schema.table('events')}"
        before = cursor.execute(query).fetchall()
        with duckdb.connect(str(filled)) as other:
            other.execute("DELETE FROM events")
        return before, cursor.execute(query).fetchall()

    with duckdb.connect(str(filled)):
        assert await Store(filled)._run(read) == ([(ROWS,)], [(ROWS,)])


async def test_a_cancel_interrupts_the_query_and_closes_the_file(filled):
    began = threading.Event()

    def read(cursor, schema):
        began.set()
        return cursor.execute(ENDLESS).fetchall()

    reading = asyncio.ensure_future(Store(filled)._run(read))
    await asyncio.to_thread(began.wait, 30)
    reading.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert is_free(filled)
    assert others_can_write(filled)


async def test_a_cancel_does_not_wait_for_the_file(filled, monkeypatch):
    refused = asyncio.Event()
    announce = holding.announce_wait
    monkeypatch.setattr(holding, "announce_wait", lambda path: (announce(path), refused.set()))
    with process_that_holds(filled):
        reading = asyncio.ensure_future(Store(filled, lock_timeout=3600).coverage())
        await refused.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert contents(filled).keys() == {filled.name}  # it no longer says that it waits


@pytest.mark.parametrize("of_client", [False, True])
async def test_a_cancel_at_any_step_leaves_nothing_open(filled, of_client):
    credentials = ServiceAccount("user", "secret", project_id=1)
    async with MixpanelClient(credentials, database=filled) as client:
        store = client.store if of_client else Store(filled)
        steps, task = await run_and_cancel(store.coverage(), set())
        assert task.result().rows == ROWS
        assert steps > 1
        for step in range(1, steps + 1):
            _, task = await run_and_cancel(store.coverage(), {step})
            assert task.cancelled() or task.result().rows == ROWS
            assert is_free(filled)
            assert contents(filled).keys() == {filled.name}
