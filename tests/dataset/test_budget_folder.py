"""The record of requests beside the data: many processes together keep to the limits of one."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import threading
import time
from contextlib import AsyncExitStack

import pytest

from mixpanel_async import RateLimits
from mixpanel_async.api.budget import HOUR
from mixpanel_async.api.limits import Limiter
from mixpanel_async.dataset import budget_folder
from mixpanel_async.dataset.budget_folder import FolderRecord
from mixpanel_async.dataset.budget_state import LEASE
from mixpanel_async.dataset.folder import local_folder


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def record_of(tmp_path, clock):
    return lambda project=1: FolderRecord(local_folder(tmp_path / "events"), project, clock)


WINDOWS = RateLimits(per_second=3, per_hour=60).of("exports").windows


async def take(record, count):
    return [await record.take(WINDOWS) for _ in range(count)]


async def test_processes_share_the_second_and_the_hour(record_of, clock):
    records = [record_of(), record_of()]
    assert [await records[number % 2].take(WINDOWS) for number in range(3)] == [None] * 3
    wait = await records[1].take(WINDOWS)
    assert wait.reason == "the limit of 3 exports a second"
    assert wait.seconds == pytest.approx(1.1)

    for _ in range(19):
        clock.now += wait.seconds
        assert await take(records[0], 3) == [None] * 3
    clock.now += 10
    wait = await records[1].wait(WINDOWS)
    assert wait.reason == "the limit of 60 exports an hour"
    assert (await records[0].usage()).frees_within == pytest.approx(wait.seconds)
    clock.now += wait.seconds
    assert await records[1].take(WINDOWS) is None


async def test_projects_do_not_share(record_of):
    await take(record_of(1), 3)
    assert await record_of(2).take(WINDOWS) is None


async def test_a_pause_is_for_all(record_of, clock):
    await record_of().pause(20, counted_only=False)
    await record_of().pause(5, counted_only=False)  # the longer one stays
    assert (await record_of().wait(None)).seconds == 20
    await record_of().pause(900, counted_only=True)
    assert (await record_of().wait(WINDOWS)).seconds == 900
    clock.now += 20
    assert await record_of().wait(None) is None
    assert (await record_of().usage()).counted_paused_until == clock.now + 880


async def test_a_clock_that_is_ahead_holds_no_request_for_longer_than_a_window(record_of, clock):
    clock.now += 10_000
    await take(record_of(), 3)
    clock.now -= 10_000
    assert (await record_of().wait(WINDOWS)).seconds == pytest.approx(1.1)


async def test_exports_at_once_are_counted_over_all(record_of, clock):
    async with AsyncExitStack() as stack:
        for _ in range(2):
            assert await stack.enter_async_context(record_of().running(2, [])) is None
        async with record_of().running(2, []) as wait:
            assert wait.reason == "the limit of 2 exports at once"
    async with record_of().running(2, []) as wait:
        assert wait is None


async def test_the_first_request_of_an_export_is_counted_once(record_of):
    record = record_of()
    async with record.running(2, WINDOWS) as wait:
        assert wait is None
        limiter = Limiter(RateLimits().of("exports"), record)
        async with limiter.slot():
            pass
        assert len((await record.usage()).started) == 1
        async with limiter.slot():
            pass
        assert len((await record.usage()).started) == 2


async def test_an_export_whose_process_was_killed_ends_with_its_lease(record_of, clock):
    killed = record_of().running(1, [])
    await killed.__aenter__()
    async with record_of().running(1, []) as wait:
        assert wait is not None
    clock.now += LEASE + 1
    async with record_of().running(1, []) as wait:
        assert wait is None
    await killed.__aexit__(None, None, None)


async def test_an_export_that_runs_renews_its_lease(record_of, clock, monkeypatch):
    monkeypatch.setattr(budget_folder, "LEASE", 0.04)
    async with record_of().running(1, []):
        states = record_of()
        clock.now += LEASE - 1
        while True:  # until it was renewed
            last = await asyncio.to_thread(lambda: states._last()[1])
            if list(last.running.values()) == [clock.now]:
                break
        clock.now += 2
        async with states.running(1, []) as wait:
            assert wait is not None


async def test_a_cancelled_request_is_not_counted(record_of, monkeypatch):
    record = record_of()
    entered, goes_on = threading.Event(), threading.Event()
    change = record._change_now

    def slow(given):
        result = change(given)
        entered.set()
        goes_on.wait()
        return result

    monkeypatch.setattr(record, "_change_now", slow)
    taking = asyncio.create_task(record.take(WINDOWS))
    await asyncio.to_thread(entered.wait)
    taking.cancel()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert (await record_of().usage()).started == []


async def test_many_at_once_never_take_the_same_place(tmp_path):
    """Eight records in threads of their own: each place is taken once, and none is lost."""
    folder = local_folder(tmp_path / "events")
    windows = RateLimits(per_second=1000, per_hour=40).of("exports").windows
    results = await asyncio.gather(*[take_all(FolderRecord(folder, 1), windows) for _ in range(8)])

    assert sum(results) == 40
    assert len((await FolderRecord(folder, 1).usage()).started) == 40


async def take_all(record, windows):
    count = 0
    while await record.take(windows) is None:
        count += 1
    return count


async def test_a_state_that_was_created_too_late_does_not_count(record_of, monkeypatch):
    times = iter([0.0, 61.0, 70.0, 71.0])
    monkeypatch.setattr(budget_folder.time, "monotonic", lambda: next(times, 71.0))
    record = record_of()
    assert await asyncio.to_thread(record._change_now, lambda state, now: (state.with_request("a", now), None)) is None
    monkeypatch.undo()
    assert len((await record_of().usage()).started) == 1
    assert list(times) == []


async def test_old_states_are_deleted(record_of, tmp_path, clock):
    await take(record_of(), 3)
    folder = tmp_path / "events/_mixpanel/budgets/project_id=1"
    hour_ago = time.time() - 3600
    for path in folder.iterdir():
        os.utime(path, (hour_ago, hour_ago))
    clock.now += HOUR
    await record_of().take(WINDOWS)
    await record_of().take(WINDOWS)
    assert sorted(path.name for path in folder.iterdir()) == ["000000000004.json", "000000000005.json"]
    assert dt.timedelta(minutes=10) == budget_folder.KEPT
