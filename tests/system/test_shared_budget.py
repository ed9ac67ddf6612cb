"""Clients and processes of one project that count their requests together, with real files, sockets and kills."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random
import re
import sqlite3
import subprocess
import sys
import time

import pytest

from mixpanel_async import RateLimits
from mixpanel_async.api.budget import HOUR, Window
from mixpanel_async.api.budget_file import BudgetFile
from mixpanel_async.testing import Catalog, Cohort, FakeLimits, FakeMixpanel, Fault, GeneratedEvents
from mixpanel_async.testing.limits import rate_limiter, too_many_requests

FETCH = """
import asyncio, sys
from pathlib import Path
from mixpanel_async import MixpanelClient, RateLimits, RetryPolicy, ServiceAccount
from mixpanel_async.api import limits
from mixpanel_async.api.budget_file import BudgetFile

limits.HOUR = 3.5  # the fake has an hour of 2 s; requests may take long on a busy machine
url, user, secret, project, record, database = sys.argv[1:]

async def main():
    account = ServiceAccount(user, secret, project)
    few = RateLimits(per_second=1000, per_hour=40)
    client = MixpanelClient(account, base_url=url, database=database, limits=few, retry=RetryPolicy(attempts=1))
    client._core._budget_file = BudgetFile(Path(record))
    async with client:
        print("ready", flush=True)
        sys.stdin.readline()
        result = await client.fetch_events(
            from_date="2026-01-01", to_date="2026-02-09", parallel=True, chunk_days=1, max_workers=10
        )
    print(result.successful_batches, result.has_failures, flush=True)

asyncio.run(main())
"""

STOP_BEFORE_COMMIT = """
import sqlite3, sys, time
from pathlib import Path
from mixpanel_async.api.budget_file import BudgetFile

class Stopping(sqlite3.Connection):
    def execute(self, sql, *parameters):
        if sql == "COMMIT":
            print(self.total_changes, flush=True)
            time.sleep(1000)
        return super().execute(sql, *parameters)

connect = sqlite3.connect
sqlite3.connect = lambda *arguments, **options: connect(*arguments, **options, factory=Stopping)
BudgetFile(Path(sys.argv[1])).take("exports", 7, [])
"""

TAKE_AND_TAKE = """
import sys
from itertools import count
from pathlib import Path
from mixpanel_async.api.budget_file import BudgetFile

file = BudgetFile(Path(sys.argv[1]))
for number in count(int(sys.argv[2])):
    file.take("exports", number, [])
    print(number, flush=True)
"""


def start(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def keys(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [key for (key,) in db.execute("SELECT key FROM requests ORDER BY key")]


async def test_three_processes_get_no_429(tmp_path, monkeypatch):
    """An hour of two seconds, which has 40 requests; together they need 120."""
    for module in (rate_limiter, too_many_requests):
        monkeypatch.setattr(module, "HOUR", 2)
    limits = FakeLimits(per_second=None, per_hour=40)
    async with FakeMixpanel(GeneratedEvents(per_day=5), today="2026-06-01", limits=limits) as fake:
        account = fake.project.service_account
        known = fake.url, account.username, account.secret, fake.project.id, tmp_path / "record.sqlite3"
        processes = [start(FETCH, *known, tmp_path / f"{number}.duckdb") for number in range(3)]
        try:
            for process in processes:
                assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
            began = time.monotonic()
            async with asyncio.timeout(90):
                outputs = await asyncio.gather(*(asyncio.to_thread(each.communicate, "go\n") for each in processes))
        finally:
            for process in processes:
                process.kill()
                process.wait()
    assert {output for output, _ in outputs} == {"40 False\n"}
    assert [made.status for made in fake.requests] == [200] * 120
    assert time.monotonic() - began >= 4


def test_a_process_that_is_killed_before_its_commit_took_nothing(tmp_path):
    path = tmp_path / "record.sqlite3"
    BudgetFile(path).take("exports", 1, [])
    with start(STOP_BEFORE_COMMIT, path) as process:
        assert process.stdout.readline() == "1\n"
        process.kill()
    assert BudgetFile(path).take("exports", 2, [Window(HOUR, 2, "two an hour")]) is None
    assert keys(path) == [1, 2]


def test_a_process_that_is_killed_at_any_moment_leaves_the_record_usable(tmp_path):
    path, chance = tmp_path / "record.sqlite3", random.Random(3)
    taken = []
    for number in range(0, 6000, 1000):
        with start(TAKE_AND_TAKE, path, number) as process:
            told = [process.stdout.readline()]
            time.sleep(chance.uniform(0, 0.03))
            process.kill()
            told += process.stdout.readlines()
        came = sum(line.endswith("\n") for line in told)
        found = [key for key in keys(path) if number <= key < 100_000]
        assert found in (list(range(number, number + came)), list(range(number, number + came + 1)))
        taken += found
        assert len(BudgetFile(path).usage("exports").started) == len(taken)
        assert BudgetFile(path).take("exports", 100_000 + number, []) is None
        taken.append(100_000 + number)


# two clients of one process


@pytest.fixture
async def fake():
    async with FakeMixpanel(catalog=Catalog(cohorts=(Cohort(1, "One"),)), limits=None) as server:
        yield server


async def waits_at_once(fake, client):
    """Begin a call that has to wait; return its log line's time of the end, and what it waits for."""
    told = asyncio.Event()
    waits = client._core.query_source().limiter.waits
    waits.watchers.append(lambda _: told.set())
    before = len(fake.requests)
    call = asyncio.create_task(client.lookups.cohorts())
    async with asyncio.timeout(30):
        await told.wait()
    waiting = waits.current
    call.cancel()
    await asyncio.wait([call])
    assert len(fake.requests) == before
    return waiting


@pytest.mark.parametrize("cause", ["429", "requests"])
async def test_what_one_client_did_makes_another_wait_and_say_so(fake, client_of, tmp_path, caplog, cause):
    limits = RateLimits(queries_per_hour=2)
    one, other = client_of(fake, limits=limits), client_of(fake, limits=limits)
    for client in (one, other):
        client._core._budget_file = BudgetFile(tmp_path / "record.sqlite3")
    if cause == "429":
        fake.faults.add(Fault.rate_limited(3600), endpoint="cohorts/list", times=1)
        refused = asyncio.create_task(one.lookups.cohorts())
        await fake.until(lambda: any(made.status == 429 for made in fake.requests))
        await asyncio.to_thread(wait_for_pause, tmp_path / "record.sqlite3")
    else:
        await one.lookups.cohorts()
        await one.lookups.cohorts()

    waiting = await waits_at_once(fake, other)

    reason = "Mixpanel's rate limit (a 429)" if cause == "429" else "the limit of 2 queries an hour"
    assert waiting.reason == reason
    assert abs(waiting.until - dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)) < dt.timedelta(minutes=1)
    line = rf"Waiting for {re.escape(reason)} until {waiting.until:%H:%M:%S}; 1 request waits\."
    assert any(re.fullmatch(line, record.getMessage()) for record in caplog.records if record.levelname == "WARNING")
    if cause == "429":
        refused.cancel()
        await asyncio.wait([refused])


def wait_for_pause(path):
    until = time.monotonic() + 30
    while not BudgetFile(path).usage("queries").paused_until > time.time():
        assert time.monotonic() < until
        time.sleep(0.01)
