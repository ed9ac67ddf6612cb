"""The file is free while a fetch downloads, is waited for while somebody else has it, and may change in between."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, contextmanager

import duckdb
import pytest

from mixpanel_async import DatabaseLockedError, RateLimits, StoreError, holding
from mixpanel_async.api import limits
from mixpanel_async.duck.connection import Database
from mixpanel_async.holding import HeldDatabase
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

from .conftest import LAST, expected, journal, stored

DAYS = {"from_date": "2026-01-05", "to_date": "2026-01-10", "parallel": True, "chunk_days": 1}


@pytest.fixture
def fake(gated_fake):
    return gated_fake


@asynccontextmanager
async def five_of_six(client, gated, **more):
    """A fetch that has committed five chunks, and gets the sixth after the block."""
    seen, committed = [], asyncio.Event()

    def count(progress):
        seen.append(progress)
        if len(seen) == 5:
            committed.set()

    call = asyncio.ensure_future(client.fetch_events(**{**DAYS, "on_batch_complete": count, **more}))
    waiting = asyncio.ensure_future(committed.wait())
    await asyncio.wait({call, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert not call.done(), call.result()
    try:
        yield call
    finally:
        gated.gate.set()
        await asyncio.wait({call})


@contextmanager
def held_by_another_process(path):
    """Yield what makes the other process let go of the file."""
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.communicate()


async def until_free(path):
    """Wait until the file can be opened."""
    async with asyncio.timeout(30):
        while True:
            try:
                return duckdb.connect(path)
            except duckdb.Error:
                await asyncio.sleep(0.01)


async def change(path, *statements):
    """Change the file as another process would: nothing of it is open in between."""
    with await until_free(path) as connection:
        for each in statements:
            connection.execute(each)


async def test_the_file_is_free_while_a_fetch_downloads(fake, client_of, path, gated):
    async with five_of_six(client_of(fake), gated) as call:
        (await until_free(path)).close()
        with held_by_another_process(path):
            pass
        with duckdb.connect(path) as here:  # as in a notebook: it stays open while the last chunk is written
            gated.gate.set()
            result = await call
            assert here.execute("SELECT count(*) FROM events").fetchall() == [(result.total_rows,)]
    assert not result.has_failures
    assert stored(path) == expected(fake, "2026-01-05", LAST)


async def test_a_file_that_is_held_is_waited_for_and_that_is_told(fake, client_of, path, gated, caplog, monkeypatch):
    monkeypatch.setattr(holding, "TELL_AFTER", 0.1)
    told, waits = asyncio.Event(), []

    def hear(progress):
        if progress.waiting_for:
            waits.append(progress)
            told.set()

    async with five_of_six(client_of(fake), gated, progress=hear) as call:
        (await until_free(path)).close()
        with held_by_another_process(path) as process:
            gated.gate.set()
            await told.wait()
            assert not call.done()
        result = await call
    assert (result.has_failures, stored(path)) == (False, expected(fake, "2026-01-05", LAST))
    holder = rf"Waiting for .*\(PID {process.pid}\) to close .*{path.name} until [0-9:]+; 1 write waits"
    assert re.search(holder, caplog.text)
    assert f"(PID {process.pid}) to close" in waits[0].waiting_for


async def test_a_wait_that_is_too_long_ends_the_call_and_leaves_whole_chunks(fake, client_of, path, gated):
    client = client_of(fake, lock_timeout=0.2)
    async with five_of_six(client, gated) as call:
        (await until_free(path)).close()
        with held_by_another_process(path) as process:
            gated.gate.set()
            with pytest.raises(DatabaseLockedError, match=rf"PID {process.pid}\): close it there first"):
                await call
    assert len(journal(path)) == 5
    assert (await client.fetch_events(**DAYS, resume=True)).successful_batches == 1
    assert stored(path) == expected(fake, "2026-01-05", LAST)


async def test_a_cancel_does_not_wait_for_the_file(fake, client_of, path, gated, monkeypatch):
    monkeypatch.setattr(holding, "TELL_AFTER", 0.0)
    told = asyncio.Event()
    client = client_of(fake, lock_timeout=3600)
    async with five_of_six(client, gated, progress=lambda now: now.waiting_for and told.set()) as call:
        (await until_free(path)).close()
        with held_by_another_process(path):
            gated.gate.set()
            await told.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
    assert len(journal(path)) == 5


async def test_it_is_refused_at_the_start_before_anything_is_asked(fake, client_of, path):
    for lock_timeout in (0, 0.1):
        with held_by_another_process(path), pytest.raises(DatabaseLockedError, match="close it there first"):
            await client_of(fake, lock_timeout=lock_timeout).fetch_events(**DAYS)
    assert fake.requests == []


async def test_a_file_that_is_used_without_a_break_is_let_go_in_turns(fake, client_of, path, gated, monkeypatch):
    monkeypatch.setattr(holding, "LONG_TURN", 0.0)
    gated.gate.set()
    client = client_of(fake)
    result = await client.fetch_events(**DAYS)
    assert client._core._held.database.openings >= 6
    assert not result.has_failures
    assert stored(path) == expected(fake, "2026-01-05", LAST)


@pytest.mark.parametrize(
    "changes",
    [
        ["DROP TABLE events"],
        ["DROP TABLE events", "CREATE TABLE events (x INT)"],
        ["DELETE FROM _mixpanel_selections"],
        ['UPDATE _mixpanel_selections SET selection = \'{"events": ["a"]}\''],
        ["UPDATE _mixpanel_selections SET created_at = created_at + INTERVAL 1 SECOND"],
        ["ALTER TABLE events RENAME TO kept"],
    ],
)
async def test_a_table_that_was_dropped_or_replaced_meanwhile_is_left_alone(fake, client_of, path, gated, changes):
    async with five_of_six(client_of(fake), gated) as call:
        await change(path, *changes)
        before = all_rows(path)
        gated.gate.set()
        with pytest.raises(StoreError, match="dropped or replaced while it was fetched"):
            await call
    assert all_rows(path) == before


def all_rows(path):
    with duckdb.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SHOW TABLES").fetchall()]
        return {name: connection.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in tables}


async def test_dates_that_were_fetched_in_other_chunks_meanwhile_are_replaced_whole(fake, client_of, path, gated):
    """The sixth chunk lies within one that another client has fetched."""
    async with five_of_six(client_of(fake), gated) as call:
        async with FakeMixpanel(gated.source, today="2026-06-01", limits=None) as other:
            dates = {"from_date": "2026-01-08", "to_date": "2026-01-14"}
            await client_of(other).fetch_events(**dates, append=True)
        assert ("2026-01-08", "2026-01-14") in [row[:2] for row in journal(path)]
        gated.gate.set()
        result = await call
    assert not result.has_failures
    assert [row[:2] for row in journal(path)][-2:] == [(LAST, LAST), ("2026-01-11", "2026-01-14")]
    assert stored(path) == expected(fake, "2026-01-05", "2026-01-14")


async def test_dates_within_a_chunk_that_were_fetched_meanwhile_come_once_on_a_joined_connection(
    fake, client_of, path, gated
):
    """The last chunk is written through a connection of the notebook, after another client fetched one of its days."""
    given = {"from_date": "2026-01-01", "chunk_days": 2}
    first = asyncio.Event()
    call = asyncio.ensure_future(
        client_of(fake).fetch_events(**{**DAYS, **given}, on_batch_complete=lambda _: first.set())
    )
    await first.wait()
    async with FakeMixpanel(gated.source, today="2026-06-01", limits=None) as other:
        await client_of(other).fetch_events(from_date="2026-01-09", to_date="2026-01-09", append=True)
    with await until_free(path):
        gated.gate.set()
        await call
    assert stored(path) == expected(fake, "2026-01-01", LAST)
    assert len(journal(path)) == 5


async def test_committed_chunks_that_are_gone_are_told(fake, client_of, path, gated):
    async with five_of_six(client_of(fake), gated) as call:
        await change(path, "DELETE FROM _mixpanel_chunks WHERE from_date = '2026-01-06'")
        gated.gate.set()
        with pytest.raises(StoreError, match="dropped or replaced while it was fetched"):
            await call


async def test_a_file_that_was_deleted_or_replaced_meanwhile_is_not_made_anew(fake, client_of, path, gated):
    async with five_of_six(client_of(fake), gated) as call:
        (await until_free(path)).close()
        path.unlink()
        duckdb.connect(path).close()
        gated.gate.set()
        with pytest.raises(StoreError, match="replaced while it was used"):
            await call
    assert all_rows(path) == {}


async def test_a_lock_before_the_first_chunk_leaves_a_table_that_the_same_call_can_use(fake, client_of, path, gated):
    client = client_of(fake, lock_timeout=0.1)
    dates = {"from_date": LAST, "to_date": LAST}
    call = asyncio.ensure_future(client.fetch_events(**dates))
    await fake.until(lambda: len(fake.requests) == 1)
    (await until_free(path)).close()
    with held_by_another_process(path):
        gated.gate.set()
        with pytest.raises(DatabaseLockedError):
            await call
    await client.fetch_events(**dates)
    assert stored(path) == expected(fake, LAST, LAST)


async def test_a_call_that_is_cancelled_does_not_wait_for_the_lock_of_another(
    fake, client_of, path, gated, monkeypatch
):
    monkeypatch.setattr(holding, "TELL_AFTER", 0.1)
    client = client_of(fake, lock_timeout=3600)
    async with five_of_six(client, gated) as call:
        (await until_free(path)).close()
        with held_by_another_process(path):
            other = asyncio.ensure_future(client.fetch_events("other", from_date="2026-01-05", to_date="2026-01-05"))
            await asyncio.sleep(0)
            call.cancel()
            async with asyncio.timeout(5):
                await asyncio.wait({call})
            other.cancel()
            await asyncio.wait({other})


async def test_a_newer_version_that_wrote_meanwhile_is_respected(fake, client_of, path, gated):
    async with five_of_six(client_of(fake), gated) as call:
        await change(path, "UPDATE _mixpanel_version SET version = 99")
        before = all_rows(path)
        gated.gate.set()
        with pytest.raises(StoreError, match="newer mixpanel-async: its tables have version 99"):
            await call
    assert all_rows(path) == before


FETCH = """
import asyncio, sys
from mixpanel_async import MixpanelClient, ServiceAccount, holding
from tests.system.conftest import UNHURRIED
holding.TURN = 0.1

async def main(url, user, secret, project, path, first, last):
    account = ServiceAccount(user, secret, project)
    async with MixpanelClient(account, database=path, base_url=url, limits=UNHURRIED) as client:
        result = await client.fetch_events(
            from_date=first, to_date=last, parallel=True, chunk_days=1, resume=True, max_workers=3
        )
        print(result.successful_batches, result.has_failures, client._core._held.database.openings)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_processes_fill_one_table_in_turns(path):
    """Each opens the file many times, neither fails, and where their dates overlap nothing is there twice."""
    events = GeneratedEvents(per_day=1500, seed=3, duplicates=0.05)
    async with FakeMixpanel(events, today="2026-06-01", limits=None) as fake:
        account = fake.project.service_account
        given = [fake.url, account.username, account.secret, str(fake.project.id), str(path)]
        both = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", FETCH, *given, *dates, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for dates in (("2026-01-01", "2026-01-20"), ("2026-01-11", "2026-01-30"))
        ]
        ended = [await each.communicate() for each in both]
        assert [each.returncode for each in both] == [0, 0], ended
        for out, told in ended:
            assert all(line.startswith(b"Waiting for ") for line in told.splitlines())
            batches, has_failures, openings = out.split()
            assert (int(batches) >= 10, has_failures, int(openings) > 3) == (True, b"False", True)
        assert [each.name for each in path.parent.iterdir()] == [path.name]
        assert stored(path) == expected(fake, "2026-01-01", "2026-01-30")
    assert len(journal(path)) == 30


DASHBOARD = """
import sys, time, duckdb

def counted(path):
    until = time.monotonic() + 5
    while True:
        try:
            with duckdb.connect(path, read_only=True) as connection:
                return connection.execute("SELECT count(*), count(DISTINCT event_time::DATE) FROM events").fetchall()[0]
        except duckdb.IOException:  # a chunk is being written
            if time.monotonic() > until:
                raise
            time.sleep(0.01)

for _ in sys.stdin:
    print(*counted(sys.argv[1]), flush=True)
"""


async def test_a_dashboard_reads_while_a_backfill_waits_for_its_hour(fake, client_of, path, gated, monkeypatch):
    """An hour has two requests and a second here. The dashboard looks after each chunk, in another process."""
    monkeypatch.setattr(limits, "HOUR", 1.0)
    gated.gate.set()
    looks, committed = [], asyncio.Queue()
    client = client_of(fake, limits=RateLimits(per_hour=2, per_second=1000), lock_timeout=5)
    command = [sys.executable, "-c", DASHBOARD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as dashboard:  # noqa: ASYNC220

        def look():
            dashboard.stdin.write("\n")
            dashboard.stdin.flush()
            return tuple(map(int, dashboard.stdout.readline().split()))

        call = asyncio.ensure_future(client.fetch_events(**DAYS, on_batch_complete=committed.put))
        for _ in range(6):
            await committed.get()
            looks.append(await asyncio.to_thread(look))
        result = await call
        dashboard.stdin.close()
    assert dashboard.returncode == 0
    assert not result.has_failures
    assert looks == sorted(looks)
    assert looks[0][1] < 6
    assert looks[-1] == (result.total_rows, 6)


async def test_a_cancel_that_comes_while_the_file_is_opened_leaves_it_free(path):
    """Also if nobody is there to let go of it afterwards."""
    held = HeldDatabase(Database(path), lock_timeout=0)
    opening, go_on = threading.Event(), threading.Event()

    def acquire(*, create, acquire=held.database.acquire):
        opening.set()
        go_on.wait()
        acquire(create=create)

    held.database.acquire = acquire
    task = asyncio.create_task(held.open(create=True))
    await asyncio.to_thread(opening.wait)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert held.database.is_open
    (await until_free(path)).close()
    assert not held.database.is_open


async def test_after_an_opening_that_failed_nothing_is_left_for_later(path, monkeypatch):
    """Else its task could begin when the event loop is being closed, and never run."""
    path.write_bytes(b"text" * 2000)
    held, loop, later = HeldDatabase(Database(path), lock_timeout=0), asyncio.get_running_loop(), []
    call_later = loop.call_later
    monkeypatch.setattr(loop, "call_later", lambda *call: later.append(call_later(*call)) or later[-1])
    with pytest.raises(StoreError):
        await held.open(create=True)
    await held.let_go()
    assert later
    assert all(handle.cancelled() for handle in later)


@pytest.mark.parametrize("cancels", [0, 2])
async def test_letting_go_waits_for_a_close_that_has_begun(path, cancels):
    """Else a call could return while its file is still being closed, and warn of a log that is left."""
    held = HeldDatabase(database := Database(path), lock_timeout=0)
    await held.open(create=True)
    began, may_end = threading.Event(), threading.Event()
    database._opened.callback(may_end.wait, 10)
    database._opened.callback(began.set)
    held.close()
    await asyncio.to_thread(began.wait, 10)
    letting_go = asyncio.create_task(held.let_go())
    for _ in range(cancels):
        await asyncio.sleep(0)
        letting_go.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not letting_go.done()
    may_end.set()
    await asyncio.wait([letting_go])
    assert letting_go.cancelled() == bool(cancels)
    with duckdb.connect(str(path)) as others:
        assert others.execute("SELECT 1").fetchall() == [(1,)]


async def test_a_long_log_is_moved_into_the_file_without_a_pause_for_others(fake, client_of, path, gated, monkeypatch):
    monkeypatch.setattr("mixpanel_async.duck.connection.LONG_LOG", 1)
    monkeypatch.setattr(holding, "PAUSE", 3600.0)
    gated.gate.set()
    async with asyncio.timeout(60):
        await client_of(fake).fetch_events(**DAYS, max_workers=1)
    assert stored(path) == expected(fake, "2026-01-05", LAST)
