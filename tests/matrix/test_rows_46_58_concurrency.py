"""Cancels, signals, hooks, and several calls at once: whole chunks stay, nothing else does, and nobody hangs."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import duckdb
import pytest

from mixpanel_async import StoreError, TableExistsError
from mixpanel_async.decode import event_batches
from mixpanel_async.duck.chunk_loader import ChunkLoader
from mixpanel_async.export import fetch
from mixpanel_async.export.writer import Writer
from mixpanel_async.testing import Fault
from mixpanel_async.threads import Cores
from tests.system.conftest import expected, journal, stored

from .conftest import DAY, NOON, ONE_DAY, event, holds_nothing, query, text_of
from .raw import RawServer, wait_for, with_length

LAST = "2026-01-06"
SIX_DAYS = {"from_date": DAY, "to_date": LAST, "parallel": True, "chunk_days": 1}


class Gate:
    """Holds the thread that inserts: its rows are in, and its call does not return before the gate is opened."""

    def __init__(self, monkeypatch):
        self.reached, self.steps, self._open = asyncio.Event(), [], threading.Event()
        loop, load, roll_back = asyncio.get_running_loop(), ChunkLoader.load, ChunkLoader.roll_back

        def held(loader, batches):
            load(loader, batches)
            loop.call_soon_threadsafe(self.reached.set)
            assert self._open.wait(10)
            self.steps.append("insert ends")

        def noted(loader):
            self.steps.append("roll-back begins")
            roll_back(loader)

        monkeypatch.setattr(ChunkLoader, "load", held)
        monkeypatch.setattr(ChunkLoader, "roll_back", noted)

    async def holds(self, task):
        """Nothing moves, and the task does not end."""
        await asyncio.wait({task}, timeout=0.1)
        assert not task.done()
        assert self.steps == []

    async def open_for(self, task):
        """Let the thread go on, and wait for the task: the roll-back came after the insert."""
        self._open.set()
        await asyncio.wait({task})
        assert self.steps == ["insert ends", "roll-back begins"]


@pytest.fixture
async def gate(monkeypatch):
    return Gate(monkeypatch)


def holds_whole_chunks(path, server):
    """The table holds all of the journal's chunks and nothing else; gives how many."""
    done = journal(path)
    assert stored(path) == sum((expected(server, first, last) for first, last, _, _ in done), start=Counter())
    return len(done)


# Cancels


async def test_row_46_a_cancel_waits_for_the_insert_that_runs_and_leaves_nothing_of_it(fake, client_of, path, gate):
    client = client_of(fake)
    run = asyncio.ensure_future(client.fetch_events(**ONE_DAY))
    await gate.reached.wait()
    run.cancel()
    await gate.holds(run)

    await gate.open_for(run)
    with pytest.raises(asyncio.CancelledError):
        await run
    holds_nothing(path)
    await client.fetch_events(**ONE_DAY)
    assert stored(path) == expected(fake, DAY, DAY)


async def test_row_47_a_second_and_a_third_cancel_change_nothing(fake, client_of, path, gate):
    run = asyncio.ensure_future(client_of(fake).fetch_events(**ONE_DAY))
    await gate.reached.wait()
    for _ in range(3):
        run.cancel()
        await gate.holds(run)

    await gate.open_for(run)
    with pytest.raises(asyncio.CancelledError):
        await run
    holds_nothing(path)


CUT_SHORT = """
import asyncio, os, signal, sys, threading
from mixpanel_async import MixpanelClient, ServiceAccount
from mixpanel_async.cli.running import run
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents

def run_command(work):
    sys.exit(run(work, how_to_go_on=str, debug=False, verbose=False))

path, number, runner = sys.argv[1], int(sys.argv[2]), {"asyncio": asyncio.run, "cli": run_command}[sys.argv[3]]

def send(progress):  # from a thread, after a commit
    os.kill(os.getpid(), number)

async def main():
    async with FakeMixpanel(GeneratedEvents(per_day=40, seed=7), today="2026-06-01", limits=None) as fake:
        fake.faults.add(Fault.stall(after_bytes=1500), date="2026-01-06")
        known = fake.project.service_account
        account = ServiceAccount(known.username, known.secret, fake.project.id)
        async with MixpanelClient(account, base_url=fake.url, database=path) as client:
            await client.fetch_events(
                from_date="2026-01-01", to_date="2026-01-06", parallel=True, chunk_days=3, on_batch_complete=send
            )

runner(main())
"""


def cut_short(path, number, runner):
    """Run a fetch that a signal ends after its first commit; gives the exit code."""
    command = [sys.executable, "-W", "error", "-c", CUT_SHORT, str(path), str(int(number)), runner]
    code = subprocess.run(command, check=False, capture_output=True, timeout=30).returncode
    (chunk,) = journal(path)
    assert chunk[:2] == ("2026-01-01", "2026-01-03")
    assert query(path, "SELECT count(*) FROM events") == [(chunk[2],)]
    return code


@pytest.mark.parametrize(("runner", "code"), [("cli", 130), ("asyncio", -signal.SIGINT)])
def test_row_48_an_interrupt_leaves_whole_chunks(path, runner, code):
    assert cut_short(path, signal.SIGINT, runner) == code


@pytest.mark.parametrize(("runner", "code"), [("cli", 143), ("asyncio", -signal.SIGTERM)])
def test_row_49_sigterm_leaves_whole_chunks_with_and_without_a_handler(path, runner, code):
    assert cut_short(path, signal.SIGTERM, runner) == code


async def test_row_50_a_timeout_around_a_fetch_is_raised_when_the_thread_has_ended(fake, client_of, path, gate):
    async def in_time():
        async with asyncio.timeout(None) as limit:
            limits.append(limit)
            await client_of(fake).fetch_events(**ONE_DAY)

    limits = []
    run = asyncio.ensure_future(in_time())
    await gate.reached.wait()
    limits[0].reschedule(asyncio.get_running_loop().time())
    await gate.holds(run)
    assert limits[0].expired()

    await gate.open_for(run)
    with pytest.raises(TimeoutError):
        await run
    holds_nothing(path)


async def test_row_51_a_writer_that_dies_with_a_full_queue_ends_the_run_with_its_own_error(
    client_of, path, monkeypatch
):
    writers = []

    class Watched(Writer):
        def __init__(self, queue, transaction, _):
            super().__init__(queue, transaction, Cores(8))  # lest those that fail keep the cores from the decoder
            self.queue, self.was_full = queue, False
            writers.append(self)

    def fail(_, __):
        while not writers[0].queue.full():
            time.sleep(0.001)
        writers[0].was_full = True
        raise StoreError("the disk is on fire")

    monkeypatch.setattr(fetch, "Writer", Watched)
    monkeypatch.setattr(event_batches, "GROUP_SIZE", 1)
    monkeypatch.setattr(ChunkLoader, "load", fail)
    body = text_of(*(event(number, name="x" * 10_000) for number in range(2000)))
    others = asyncio.all_tasks()
    async with RawServer(with_length(body, encoding=None)) as server:
        with pytest.raises(StoreError, match="the disk is on fire"):
            await asyncio.wait_for(client_of(server).fetch_events(**SIX_DAYS), 20)
        assert writers[0].was_full
        left = {task for task in asyncio.all_tasks() - others if "RawServer" not in repr(task)}
    assert left == set()
    holds_nothing(path)


# Failures of one chunk, and hooks


async def test_row_52_a_chunk_that_fails_for_good_stops_no_other(fake, client_of, path):
    fake.faults.add(Fault.status(500, "broken"), date="2026-01-03")
    heard = []

    result = await client_of(fake).fetch_events(**SIX_DAYS, on_batch_complete=heard.append)

    assert result.failed_date_ranges == (("2026-01-03", "2026-01-03"),)
    assert result.successful_batches == holds_whole_chunks(path, fake) == 5
    (failed,) = (progress for progress in heard if not progress.success)
    assert failed.error.startswith("Mixpanel failed (500): broken (after 3 attempts)")


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_row_53_a_hook_that_raises_is_logged_and_the_fetch_goes_on(fake, client_of, path, caplog, kind):
    def plain(progress):
        raise ZeroDivisionError

    async def coroutine(progress):
        raise ZeroDivisionError

    await client_of(fake).fetch_events(**SIX_DAYS, on_batch_complete={"plain": plain, "coroutine": coroutine}[kind])

    assert holds_whole_chunks(path, fake) == 6
    assert caplog.text.count("A progress hook failed") == 1
    assert "The progress hook failed 6 times." in caplog.text


async def test_row_54_a_hook_that_blocks_holds_its_own_thread_and_not_the_loop(fake, client_of, path):
    """The plain hook waits for what only the event loop can do after it."""
    loop, answered = asyncio.get_running_loop(), []

    def blocks(progress):
        done = threading.Event()
        loop.call_soon_threadsafe(done.set)
        answered.append(done.wait(5))

    await client_of(fake).fetch_events(**SIX_DAYS, on_batch_complete=blocks)

    assert answered == [True] * 6


async def test_row_54_a_coroutine_hook_is_awaited_on_the_loop(fake, client_of):
    heard = []

    async def awaits(progress):
        await asyncio.sleep(0)
        heard.append((asyncio.get_running_loop(), progress.from_date))

    await client_of(fake).fetch_events(**SIX_DAYS, on_batch_complete=awaits)

    assert {loop for loop, _ in heard} == {asyncio.get_running_loop()}
    assert len({day for _, day in heard}) == 6


# Several calls, several loops, and the end


@pytest.mark.parametrize("others", [{}, {"resume": True}, {"append": True}], ids=["plain", "resume", "append"])
async def test_row_55_two_calls_for_the_same_days_of_one_table_never_store_a_row_twice(fake, client_of, path, others):
    client = client_of(fake)
    first, second = await asyncio.gather(
        client.fetch_events(**SIX_DAYS), client.fetch_events(**SIX_DAYS, **others), return_exceptions=True
    )

    assert first.successful_batches == holds_whole_chunks(path, fake) == 6
    if not others:
        assert isinstance(second, TableExistsError)
    else:
        assert second.successful_batches == (0 if "resume" in others else 6)


async def test_row_55_nor_do_two_clients_on_one_connection(fake, client_of):
    """They do not know of each other: one of them may fail, and then says so."""
    with duckdb.connect(":memory:") as connection:
        one, two = client_of(fake, database=connection), client_of(fake, database=connection)
        await one.fetch_events(**SIX_DAYS)
        results = await asyncio.gather(
            one.fetch_events(**SIX_DAYS, append=True), two.fetch_events(**SIX_DAYS, append=True), return_exceptions=True
        )
        rows = connection.execute("SELECT count(*) FROM events").fetchall()[0][0]
        said = connection.execute("SELECT sum(rows), count(*) FROM _mixpanel_chunks").fetchall()[0]
        await one.close()
        await two.close()
    assert all(isinstance(result, StoreError) or result.successful_batches == 6 for result in results)
    assert rows == expected(fake, DAY, LAST).total()
    assert said == (rows, 6)


async def test_row_56_two_calls_fill_two_tables_at_once(client_of, path):
    """No answer comes before all twelve requests are there."""
    all_there = asyncio.Event()
    lines = {f"2026-01-0{day}": [event(day, time=NOON + (day - 1) * 86_400_000)] for day in range(1, 7)}

    def together(request):
        if len(server.requests) == 12:
            all_there.set()
        return wait_for(all_there), with_length(text_of(*lines[request.params["from_date"]]), encoding=None)

    async with RawServer(together) as server:
        client = client_of(server)
        both = asyncio.gather(client.fetch_events("one", **SIX_DAYS), client.fetch_events("two", **SIX_DAYS))
        await asyncio.wait_for(both, 20)

    assert stored(path, "one") == stored(path, "two") == Counter(line for day in lines.values() for line in day)


async def test_row_57_another_event_loop_is_told_so_before_anything_is_done(fake, client_of, path):
    async with client_of(fake) as client:
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(client.fetch_events(**ONE_DAY)))
        assert fake.requests == []
        assert not path.exists()


async def test_row_58_close_ends_a_fetch_at_once_and_leaves_whole_chunks(fake, client_of, path):
    fake.faults.add(Fault.stall(after_bytes=1000), date=LAST)
    committed = asyncio.Event()

    async def hook(progress):
        committed.set()

    client = client_of(fake)
    run = asyncio.ensure_future(client.fetch_events(**SIX_DAYS, on_batch_complete=hook))
    await committed.wait()
    await asyncio.wait_for(client.close(), 10)

    with pytest.raises(RuntimeError, match="closed while this call ran"):
        await run
    assert 1 <= holds_whole_chunks(path, fake) <= 5
    with pytest.raises(RuntimeError, match="is closed"):
        await client.fetch_events(**SIX_DAYS)


async def test_row_58_close_waits_for_the_insert_that_runs(fake, client_of, path, gate):
    client = client_of(fake)
    run = asyncio.ensure_future(client.fetch_events(**ONE_DAY))
    await gate.reached.wait()
    closing = asyncio.ensure_future(client.close())
    await gate.holds(closing)

    await gate.open_for(closing)
    with pytest.raises(RuntimeError, match="closed while this call ran"):
        await run
    holds_nothing(path)
