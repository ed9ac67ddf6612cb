"""Requests of several clients over one record, in memory and in a file: exact, and nobody waits without need."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left, bisect_right
from itertools import count

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mixpanel_async.api import budget_file
from mixpanel_async.api.budget import HOUR, HOURLY_LIMIT, RATE_LIMIT, MemoryRecord, Wait
from mixpanel_async.api.budget_file import BudgetFile
from mixpanel_async.api.limits import SECOND, Budget, Limiter, RateLimits
from tests.api.clock import Clock

NEW_YEAR = 1_767_225_600.0  # 2026-01-01
DAY = 86_400


class WallClock(Clock):
    """Begins at the new year of 2026, and knows exactly when nothing else is to do."""

    def __init__(self):
        super().__init__()
        self.now = NEW_YEAR

    async def until_idle(self):
        while asyncio.get_running_loop()._ready:  # noqa: ASYNC110 - no event says that nothing else is to do
            await asyncio.sleep(0)


@pytest.fixture
def at_once(monkeypatch):
    """The file's work without threads, which the clock knows nothing of; and without waiting for the disk."""

    async def now(work, *arguments):
        return work(*arguments)

    monkeypatch.setattr(budget_file, "finish_in_thread", now)
    monkeypatch.setattr(budget_file, "_SYNCHRONOUS", "OFF")


@pytest.fixture(params=["memory", "file"])
def record_of(request, at_once, tmp_path):
    """Makes a new record by its clock; its result makes what each client has of it."""
    number = count()

    def make(clock):
        if request.param == "memory":
            record = MemoryRecord(clock)
            return lambda: record
        path = tmp_path / f"{next(number)}.sqlite3"
        return lambda: BudgetFile(path, clock).record("exports")

    return make


class Clients:
    """Several clients of one project, with limits of their own: when each request came and went."""

    def __init__(self, record_of, *limits):
        self.clock = WallClock()
        new = record_of(self.clock)
        self.limiters = [
            Limiter(each.of("exports"), new(), clock=self.clock, sleep=self.clock.sleep) for each in limits
        ]
        self.visits = [[] for _ in limits]

    async def visit(self, client, stay=0.0):
        came = self.clock.now
        async with self.limiters[client].slot():
            self.visits[client].append((came, self.clock.now))
            if stay:
                await self.clock.sleep(stay)

    async def work(self, client, arrivals):
        """Requests that come at these times: pairs of a time and a number of requests."""
        async with asyncio.TaskGroup() as group:
            for at, requests in arrivals:
                if at > self.clock.now:
                    await self.clock.sleep(at - self.clock.now)
                for _ in range(requests):
                    group.create_task(self.visit(client))

    async def run(self, *arrivals):
        await self.clock.run(*[asyncio.create_task(self.work(*each)) for each in enumerate(arrivals)])

    @property
    def times(self):
        return sorted(went for visits in self.visits for _, went in visits)


def most_within(times, seconds):
    """How many of these times lie within so many seconds, ends included, at the most."""
    return max(bisect_right(times, time + seconds) - number for number, time in enumerate(times))


def waited_without_need(visits, times, windows):
    """Moments at which the first request of a client's queue waited, and no window was full."""

    def is_full(moment, seconds, most):
        recent = times[bisect_left(times, moment - seconds - 1) : bisect_right(times, moment)]
        return sum(time + seconds > moment for time in recent) >= most

    previous, found = 0.0, []
    for came, went in visits:
        first = max(came, previous)
        frees = [
            time + seconds
            for seconds, _ in windows
            for time in times[bisect_left(times, first - seconds - 1) : bisect_right(times, went - seconds + 1)]
        ]
        moments = [first, *frees] if went > first else []
        found += [
            moment
            for moment in moments
            if first <= moment < went and not any(is_full(moment, *window) for window in windows)
        ]
        previous = went
    return found


async def test_a_year_of_nights_and_hours(record_of):
    """A sync each hour, a larger one each night, and somebody who fetches months now and then."""
    chance = random.Random(7)
    hourly = [(NEW_YEAR + 3600 * hour + chance.choice([0, 0, 5, 600.25]), 1) for hour in range(365 * 24)]
    nightly = [(NEW_YEAR + DAY * day + 7200, chance.randrange(4, 16)) for day in range(365)]
    now_and_then = [(NEW_YEAR + DAY * chance.uniform(0, 360), chance.choice([1, 5, 90, 130])) for _ in range(24)]
    clients = Clients(record_of, *[RateLimits()] * 3)
    await clients.run(hourly, nightly, sorted(now_and_then))

    times = clients.times
    assert len(times) == sum(requests for each in (hourly, nightly, now_and_then) for _, requests in each)
    assert times[-1] - times[0] > 364 * DAY
    assert most_within(times, 1.0) == 3
    assert most_within(times, 3600.0) == 60
    assert sum(went - came > 600 for visits in clients.visits for came, went in visits) > 100
    for visits in clients.visits:
        assert visits == sorted(visits, key=lambda visit: visit[1])
        assert waited_without_need(visits, times, [(SECOND, 3), (HOUR, 60)]) == []


@given(
    st.lists(st.tuples(st.floats(0, 9000), st.integers(1, 4)), max_size=12),
    st.integers(1, 4),
    st.integers(1, 12),
    st.integers(0, 30),
    st.floats(0, 4000),
    st.floats(-1, 5000),
    st.booleans(),
)
@example([(0, 4)], 3, 4, 4, 0.0, 8.0, True)  # the careful hour ends among them
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_forecast_comes_true(record_of, arrivals, per_second, per_hour, requests, later, pause, counted_only):
    clients = Clients(record_of, RateLimits(per_second=per_second, per_hour=per_hour))
    [limiter] = clients.limiters
    await clients.run(sorted((NEW_YEAR + at, number) for at, number in arrivals))
    clients.clock.now += later
    await limiter.pause(pause, counted_only=counted_only)
    began, before = clients.clock.now, len(clients.times)
    forecast = await limiter.forecast(requests)
    await clients.run([(began, requests)])
    assert len(clients.times) == before + requests
    assert forecast == pytest.approx(clients.times[-1] - began if requests else 0, abs=1e-5)


async def test_each_client_keeps_to_its_own_numbers_over_the_common_record(record_of):
    clients = Clients(record_of, RateLimits(), RateLimits(per_second=1, per_hour=5))
    await clients.run([(NEW_YEAR, 4)], [(NEW_YEAR + 10, 3)])
    large, small = clients.visits
    assert [went - NEW_YEAR for _, went in large] == pytest.approx([0, 0, 0, SECOND])
    assert [went - NEW_YEAR for _, went in small] == pytest.approx([10, HOUR, HOUR + SECOND])
    assert await clients.limiters[0].budget() == Budget(57, 60)  # 4 of the 7 have left the hour
    assert await clients.limiters[1].budget() == Budget(2, 5)


async def test_a_place_that_another_client_took_meanwhile_is_waited_for_again(record_of):
    """The second request of the first client waits for a slot; the window had a place for it when it began to."""
    clients = Clients(record_of, RateLimits(per_hour=2, concurrent=1), RateLimits(per_hour=2))
    first = [asyncio.create_task(clients.visit(0, stay)) for stay in (100, 0)]
    await clients.clock.until_idle()
    other = asyncio.create_task(clients.visit(1))
    await clients.clock.run(*first, other)
    assert [went - NEW_YEAR for _, went in clients.visits[0]] == [0, HOUR]
    assert [went - NEW_YEAR for _, went in clients.visits[1]] == [0]


async def test_a_pause_holds_every_client_and_what_is_not_counted_only_if_it_is_for_all(record_of):
    clock = WallClock()
    one, other = record_of(clock), RateLimits().of("exports").windows
    one, another = one(), one()
    await one.pause(600, counted_only=True)
    await one.pause(5, counted_only=False)
    await one.pause(2, counted_only=False)  # a longer one is running
    assert await another.wait(other) == await another.take(other) == Wait(600, HOURLY_LIMIT)
    assert await another.wait(None) == Wait(5, RATE_LIMIT)
    clock.now += 5
    assert await another.wait(None) is None
    clock.now += 595
    assert await another.take(other) is None
    assert list((await one.usage()).started) == [NEW_YEAR + 600]


async def test_what_left_the_hour_is_forgotten(record_of):
    clock = WallClock()
    record = record_of(clock)()
    assert (await record.usage()).frees_within == HOUR
    for _ in range(3):
        await record.take([])
        clock.now += 1000
    assert (await record.usage()).frees_within == HOUR - 3000
    clock.now = NEW_YEAR + HOUR
    assert list((await record.usage()).started) == [NEW_YEAR + 1000, NEW_YEAR + 2000]
