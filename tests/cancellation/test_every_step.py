"""Cancelled at any step, once or twice: it ends, whole chunks only, nothing runs on, and a resume completes it.

A run takes a seeded slice of the steps; a nightly one, and the nox session `cancels`, takes each.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import duckdb
import pytest

from mixpanel_async import MixpanelClient, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents
from tests.slices import few
from tests.system.conftest import AT_ONCE, UNHURRIED, expected, journal, stored

from .stepping import run_and_cancel

FIRST, LAST = "2026-01-01", "2026-01-03"
DAYS = {"from_date": FIRST, "to_date": LAST, "parallel": True, "chunk_days": 1, "max_workers": 2}
MANY = 10_000


def client_of(server, path):
    account = server.project.service_account
    credentials = ServiceAccount(account.username, account.secret, server.project.id)
    return MixpanelClient(credentials, database=path, base_url=server.url, limits=UNHURRIED, retry=AT_ONCE)


@pytest.fixture
async def server():
    async with FakeMixpanel(GeneratedEvents(per_day=30, seed=3), today="2026-06-01", limits=None) as fake:
        yield fake


async def cancelled_at(server, path, steps, *, append=False):
    """Run a fetch, cancel it at these steps; gives how many steps it took, and whether it was cancelled."""
    heard = []
    async with client_of(server, path) as client:
        call = client.fetch_events(**DAYS, append=append, resume=not append, on_batch_complete=heard.append)
        taken, task = await run_and_cancel(call, steps)
    if not task.cancelled():
        assert not task.result().has_failures
    return taken, task.cancelled(), heard


def check(server, path, heard):
    """Whole chunks only, with their journal rows; and all that was heard of is there."""
    with duckdb.connect(str(path)) as connection:  # nobody holds it
        tables = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
    if "events" not in tables:
        assert heard == []
        return
    done = journal(path)
    assert {(news.from_date, news.to_date, news.rows) for news in heard if news.success} <= {row[:3] for row in done}
    assert stored(path) == sum((expected(server, *row[:2]) for row in done), start=Counter())


async def steps_of(server, tmp_path):
    taken, cancelled, _ = await cancelled_at(server, tmp_path / "whole.duckdb", set())
    assert not cancelled
    return taken


async def test_cancelled_at_any_step(server, tmp_path):
    count = await steps_of(server, tmp_path)
    ended = 0
    for step in few(range(1, count + 1), 20, seed=1):
        path = tmp_path / f"{step}.duckdb"
        _, cancelled, heard = await cancelled_at(server, path, {step})
        ended += cancelled
        if path.exists():
            check(server, path, heard)
        await cancelled_at(server, path, set())
        assert stored(path) == expected(server, FIRST, LAST)
    assert ended, "no cancel came before the end"


async def test_cancelled_twice(server, tmp_path):
    count = await steps_of(server, tmp_path)
    ended = 0
    for step in few(range(1, count + 1), 8, seed=2):
        path = tmp_path / f"{step}.duckdb"
        _, cancelled, heard = await cancelled_at(server, path, {step, step + 1, step + 3})
        ended += cancelled
        if path.exists():
            check(server, path, heard)
    assert ended, "no cancel came before the end"


async def test_a_cancelled_append_leaves_the_old_rows_or_the_new(server, tmp_path):
    path = tmp_path / "append.duckdb"
    await cancelled_at(server, path, set())
    count, _, _ = await cancelled_at(server, path, set(), append=True)
    ended = 0
    for step in few(range(1, count + 1), 12, seed=3):
        _, cancelled, _ = await cancelled_at(server, path, {step}, append=True)
        ended += cancelled
        assert stored(path) == expected(server, FIRST, LAST)
        assert len(journal(path)) == 3
    assert ended, "no cancel came before the end"


async def test_cancelled_in_the_middle_of_a_retry(server, tmp_path):
    server.faults.add(Fault.no_trailer(), attempts=[1])
    count = await steps_of(server, tmp_path)
    ended = 0
    for step in few(range(1, count + 1), 8, seed=4):
        path = tmp_path / f"{step}.duckdb"
        server.forget_requests()
        _, cancelled, heard = await cancelled_at(server, path, {step})
        ended += cancelled
        if path.exists():
            check(server, path, heard)
    assert ended, "no cancel came before the end"


async def test_a_timeout_around_it(server, tmp_path):
    server.faults.add(Fault.stall(after_bytes=100), date="2026-01-02")
    path = tmp_path / "timeout.duckdb"
    async with client_of(server, path) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await client.fetch_events(**DAYS)
    check(server, path, [])


async def test_a_sibling_that_fails(server, tmp_path):
    server.faults.add(Fault.stall(after_bytes=100), date="2026-01-02")
    path = tmp_path / "sibling.duckdb"

    async def fails():
        await server.until(lambda: len(server.requests) >= 2)
        raise ZeroDivisionError

    async with client_of(server, path) as client:
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(client.fetch_events(**DAYS))
                group.create_task(fails())
    check(server, path, [])


async def test_no_thread_and_no_connection_is_left(server, tmp_path):
    await cancelled_at(server, tmp_path / "once.duckdb", set())
    threads = {thread.ident for thread in threading.enumerate()}
    for step in (20, 60, 100):
        await cancelled_at(server, tmp_path / f"{step}.duckdb", {step})
    await server.until(lambda: server.open == 0)
    # The loop's pool grows to its bound and stays, idle: no thread of ours is at work.
    names = {thread.name for thread in threading.enumerate() if thread.ident not in threads}
    assert {name.split("_")[0] for name in names} <= {"asyncio", "fake-mixpanel"}
