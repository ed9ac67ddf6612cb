"""The file that processes share: its name and its mode, clocks that were set back, cancels, and files that are of no use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import stat
import sys
import threading
import time
from pathlib import Path

import pytest

from mixpanel_async import ConfigurationError, MixpanelClient, OAuthToken, ProjectSecret, RateLimits, ServiceAccount
from mixpanel_async.api import budget_file
from mixpanel_async.api.budget import HOUR, HOURLY_LIMIT, MemoryRecord, Wait, Window
from mixpanel_async.api.budget_file import BudgetFile
from mixpanel_async.api.limits import Limiter
from mixpanel_async.api.shared_budget import shared_budget
from tests.api.clock import Clock

ACCOUNT = ServiceAccount("user", "secret-of-the-account", 123)
SECRET = "0123456789abcdef0123456789abcdef"
TWO = [Window(HOUR, 2, "two an hour")]


@pytest.fixture
def file(tmp_path):
    return BudgetFile(tmp_path / "state" / "us-123.sqlite3")


async def started(record):
    return len((await record.usage()).started)


def rows(path, table):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT * FROM {table}").fetchall()


# where it is


@pytest.mark.parametrize(
    ("credentials", "region", "base_url", "name"),
    [
        (ACCOUNT, "us", None, "us-123.sqlite3"),
        (ServiceAccount("user", "another", "0123"), "eu", None, "eu-123.sqlite3"),
        (OAuthToken("token", 123), "in", None, "in-123.sqlite3"),
        (ACCOUNT, "us", "https://Proxy.example.com:8443/mp", "proxy.example.com_8443-123.sqlite3"),
        (ACCOUNT, "us", "https://[2001:db8::1]", "_2001_db8__1_-123.sqlite3"),
        (ProjectSecret(SECRET), "us", None, "us-secret-3eb1bd439947eb76.sqlite3"),
    ],
)
def test_a_file_for_each_project_and_host(credentials, region, base_url, name, tmp_path):
    file = shared_budget(credentials, region, base_url, {"MP_STATE_DIR": str(tmp_path / "new")})
    assert file.path == tmp_path / "new" / name
    assert list(tmp_path.iterdir()) == []


def test_where_the_state_of_programs_is(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert shared_budget(ACCOUNT, "us", None, {"MP_STATE_DIR": "~/there"}).path == Path(
        "/home/somebody/there/us-123.sqlite3"
    )
    if sys.platform == "linux":
        assert shared_budget(ACCOUNT, "us", None, {}).path == Path("/state/mixpanel-async/us-123.sqlite3")


@pytest.mark.parametrize(("value", "says"), [("", "set and empty"), ("~nobody-has-this-name/x", "is not known")])
def test_a_folder_that_is_none(value, says):
    with pytest.raises(ConfigurationError, match=f"MP_STATE_DIR.*{says}"):
        shared_budget(ACCOUNT, "us", None, {"MP_STATE_DIR": value})


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:8000", "http://localhost", "https://LOCALHOST:1", "http://[::1]:8"]
)
def test_a_server_on_this_machine_has_limits_of_its_own(base_url):
    assert shared_budget(ACCOUNT, "us", base_url, {}) is None


@pytest.mark.parametrize(
    ("settings", "is_shared"),
    [({}, True), ({"limits": RateLimits(shared=False)}, False), ({"base_url": "http://localhost:1"}, False)],
)
def test_a_client_shares_unless_it_is_told_not_to(settings, is_shared, tmp_path, monkeypatch):
    monkeypatch.setenv("MP_STATE_DIR", str(tmp_path))
    client = MixpanelClient(ACCOUNT, region="in", **settings)
    shared = client._core._budget_file
    assert (shared and shared.path) == (tmp_path / "in-123.sqlite3" if is_shared else None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_shared", [True, False])
async def test_the_limiters_of_a_client_count_there(is_shared, tmp_path, monkeypatch):
    monkeypatch.setenv("MP_STATE_DIR", str(tmp_path))
    async with MixpanelClient(ACCOUNT, limits=RateLimits(shared=is_shared)) as client:
        for source in (client._core.export_source(), client._core.query_source("lexicon")):
            async with source.limiter.slot():
                pass
    if is_shared:
        assert sorted(name for _, name, _ in rows(tmp_path / "us-123.sqlite3", "requests")) == ["exports", "lexicon"]
    else:
        assert list(tmp_path.iterdir()) == []


async def test_it_is_the_users_alone_and_holds_times_and_names(file):
    record = file.record("exports")
    await record.take(TWO)
    await record.pause(60, counted_only=True)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert list(file.path.parent.iterdir()) == [file.path]
    [(_, name, at)], [(paused, _, began, until)] = rows(file.path, "requests"), rows(file.path, "pauses")
    assert (name, paused) == ("exports", "exports")
    assert at == pytest.approx(time.time(), abs=60)
    assert until - began == pytest.approx(60)
    tables = rows(file.path, "sqlite_master WHERE type = 'table'")
    assert [name for _, name, *_ in tables] == ["requests", "pauses"]


async def test_sqlite_never_runs_on_the_event_loop(file, monkeypatch):
    threads, connect = set(), sqlite3.connect

    def watched(*arguments, **options):
        threads.add(threading.current_thread())
        return connect(*arguments, **options)

    monkeypatch.setattr(budget_file.sqlite3, "connect", watched)
    record = file.record("exports")
    await record.take(TWO)
    await record.wait(TWO)
    await record.pause(1, counted_only=False)
    await record.usage()
    assert threads
    assert threading.main_thread() not in threads


async def test_looking_writes_nothing(file):
    limiter = Limiter(RateLimits().of("exports"), file.record("exports"))
    assert (await limiter.budget()).left == 60
    assert await limiter.forecast(61) >= 3600
    assert await limiter.frees_within() == HOUR
    assert not file.path.parent.exists()

    async with limiter.slot():
        pass
    before = file.path.read_bytes(), file.path.stat().st_mtime_ns
    assert (await limiter.budget()).left == 59
    assert await limiter.forecast(61) >= 3600
    assert (file.path.read_bytes(), file.path.stat().st_mtime_ns) == before


async def test_limits_are_counted_apart(file):
    exports, queries = file.record("exports"), file.record("queries")
    for _ in range(2):
        assert await exports.take(TWO) is None
    await exports.pause(100, counted_only=False)
    assert await exports.take(TWO) is not None
    assert await queries.take(TWO) is None
    assert await queries.wait(None) is None


# clocks


async def test_a_clock_that_was_set_back_holds_requests_for_a_window_at_the_most(tmp_path):
    clock = Clock()
    clock.now += 9 * 86_400
    record = BudgetFile(tmp_path / "x.sqlite3", clock).record("exports")
    for _ in range(2):
        await record.take(TWO)
    await record.pause(100, counted_only=False)
    clock.now -= 8 * 86_400

    usage = await record.usage()
    assert (list(usage.started), usage.paused_until) == ([clock.now] * 2, clock.now + 100)
    assert await record.wait(None) == Wait(100, "Mixpanel's rate limit (a 429)")
    assert await record.take(TWO) == Wait(HOUR, "two an hour")
    clock.now += HOUR
    assert await record.take(TWO) is None


async def test_a_clock_that_is_set_back_while_requests_wait(tmp_path, monkeypatch):
    async def now(work, *arguments):
        return work(*arguments)

    monkeypatch.setattr(budget_file, "finish_in_thread", now)
    ticks = Clock()  # of sleeps; the wall clock is set back by a day
    error = 0
    limiter = Limiter(
        RateLimits(per_hour=1).of("exports"),
        BudgetFile(tmp_path / "x.sqlite3", lambda: ticks.now + 1e9 + error).record("exports"),
        clock=ticks, sleep=ticks.sleep,
    )  # fmt: skip

    async def visit():
        async with limiter.slot():
            return ticks.now

    began = await visit()
    waiting = asyncio.create_task(visit())
    await ticks.until_idle()
    error = -86_400
    [went] = await ticks.run(waiting)
    assert went - began <= HOUR + 61  # it looks once a minute


# cancels


@pytest.mark.parametrize("cancels", [1, 3])
async def test_a_cancel_after_the_request_was_counted_takes_it_out_again(file, cancels):
    record, take = file.record("exports"), file.take
    is_counted, may_return = threading.Event(), threading.Event()

    def slow(*arguments):
        wait = take(*arguments)
        is_counted.set()
        assert may_return.wait(30)
        return wait

    await record.take(TWO)
    file.take = slow
    limiter = Limiter(RateLimits(concurrent=1).of("exports"), record)
    visit = asyncio.create_task(limiter.slot().__aenter__())
    await asyncio.to_thread(is_counted.wait, 30)
    assert len(rows(file.path, "requests")) == 2
    for _ in range(cancels):
        visit.cancel()
        await asyncio.sleep(0)
    may_return.set()
    with pytest.raises(asyncio.CancelledError):
        await visit
    assert len(rows(file.path, "requests")) == 1
    file.take = take
    assert await record.take(TWO) is None
    async with asyncio.timeout(30), limiter.slot():  # its slot is free, too
        pass


# files that are of no use


def a_folder_that_is_a_file(path):
    path.parent.write_text("mine")


def a_folder_in_its_place(path):
    path.mkdir(parents=True)


def damaged(path):
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)


def damaged_within(path):
    BudgetFile(path).take("exports", 1, [])
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


def of_another_program(path):
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")


def newer(path):
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA application_id = {budget_file._APPLICATION_ID}")
        db.execute("PRAGMA user_version = 2")


USELESS = [a_folder_that_is_a_file, a_folder_in_its_place, damaged, damaged_within, of_another_program, newer]


@pytest.mark.parametrize("make", USELESS)
async def test_a_file_that_is_of_no_use_is_told_once_and_left(file, make, caplog):
    make(file.path)
    before = file.path.read_bytes() if file.path.is_file() else None
    exports, queries = file.record("exports"), file.record("queries")
    assert [await exports.take(TWO) for _ in range(2)] == [None, None]
    assert (await exports.take(TWO)).reason == "two an hour"
    assert await started(exports) == 2
    await exports.pause(100, counted_only=True)
    assert (await exports.wait(TWO)).reason != HOURLY_LIMIT  # the hour is longer
    assert await exports.wait(None) is None
    assert await queries.take(TWO) is None

    [told] = [record for record in caplog.records if record.name.startswith("mixpanel_async.")]
    assert told.levelno == logging.WARNING
    for part in (str(file.path), "MP_STATE_DIR", "RateLimits(shared=False)"):
        assert part in told.getMessage()
    assert ("upgrade" in told.getMessage()) == (make is newer)
    assert (file.path.read_bytes() if file.path.is_file() else None) == before


async def test_what_was_counted_before_the_file_failed_still_counts(file, caplog):
    record = file.record("exports")
    await record.take(TWO)
    await record.pause(100, counted_only=False)
    file.path.write_bytes(b"damaged" * 1000)
    assert await record.wait(None) is not None
    assert await started(record) == 1
    assert len(caplog.records) == 1


async def test_a_file_that_stays_locked(file, monkeypatch, caplog):
    monkeypatch.setattr(budget_file, "LOCK_TIMEOUT", 0.05)
    await file.record("exports").take(TWO)
    with contextlib.closing(sqlite3.connect(file.path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        other = BudgetFile(file.path).record("exports")
        assert await other.take(TWO) is None
    assert "database is locked" in caplog.text
    assert len(rows(file.path, "requests")) == 1


async def test_a_lock_that_ends_is_waited_for(file):
    await file.record("exports").take(TWO)
    db = sqlite3.connect(file.path, isolation_level=None, check_same_thread=False)
    with contextlib.closing(db):
        db.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(file.record("exports").take(TWO))
        release = threading.Timer(0.2, db.execute, ["COMMIT"])
        release.start()
        assert await waiting is None
        release.join()
    assert len(rows(file.path, "requests")) == 2


def test_a_record_in_memory_has_the_same_methods():
    assert {name for name in dir(budget_file.SharedRecord) if name[0] != "_"} <= set(dir(MemoryRecord))
