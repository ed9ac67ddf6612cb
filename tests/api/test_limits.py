"""Pace, on a clock that moves only when somebody sleeps."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpanel_async.api.limits import HOUR, Budget, Limit, Limiter, RateLimits
from tests.api.clock import Clock


class Visitors:
    """Requests through one limiter: when each went, and how many were open at once."""

    def __init__(self, **limits):
        self.clock = Clock()
        self.limiter = Limiter(RateLimits(**limits).of("exports"), clock=self.clock, sleep=self.clock.sleep)
        self.went, self.open, self.most_open = [], 0, 0

    async def visit(self, name, *, arrive=0.0, stay=0.0, counted=True):
        if arrive:
            await self.clock.sleep(arrive)
        async with self.limiter.slot(counted=counted):
            self.went.append((name, self.clock.now))
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            if stay:
                await self.clock.sleep(stay)
            self.open -= 1

    def start(self, name, **when):
        return asyncio.create_task(self.visit(name, **when))

    def at(self):
        return [at - 1_000.0 for _, at in self.went]


def most_within(times, window):
    """How many of these times lie within one window, ends included, at the most."""
    return max((sum(start <= time <= start + window for time in times) for start in times), default=0)


ARRIVALS = st.lists(st.tuples(st.floats(0, 40), st.floats(0, 30)), max_size=40)


@given(ARRIVALS, st.integers(1, 4), st.integers(1, 25), st.integers(1, 5))
@settings(deadline=None, max_examples=60)
async def test_no_window_ever_holds_too_many(arrivals, per_second, per_hour, concurrent):
    visitors = Visitors(per_second=per_second, per_hour=per_hour, concurrent=concurrent)
    await visitors.clock.run(*[visitors.start(n, arrive=at, stay=stay) for n, (at, stay) in enumerate(arrivals)])
    times = visitors.at()
    assert len(times) == len(arrivals)
    assert most_within(times, 1.0) <= per_second
    assert most_within(times, 3600.0) <= per_hour
    assert visitors.most_open <= concurrent
    assert times == sorted(times)


async def test_nobody_waits_without_need():
    visitors = Visitors(per_second=3, per_hour=5, concurrent=100)
    await visitors.clock.run(*[visitors.start(number) for number in range(8)])
    first, second, third = visitors.at()[:3], visitors.at()[3:5], visitors.at()[5:]
    assert first == [0, 0, 0]
    assert second[0] == second[1] == pytest.approx(1, abs=0.2)
    assert third == pytest.approx([3600] * 3, abs=2)


async def test_first_come_first_served():
    visitors = Visitors(per_second=1, per_hour=1000, concurrent=2)
    await visitors.clock.run(*[visitors.start(number, stay=2.5) for number in range(12)])
    assert [name for name, _ in visitors.went] == list(range(12))


async def test_nobody_who_comes_when_the_time_is_up_overtakes_those_who_waited_for_it():
    visitors = Visitors(per_second=1, per_hour=1000, concurrent=100)
    early = [visitors.start(number) for number in range(3)]
    await visitors.clock.until_idle()
    visitors.clock.now += 5  # the first that waits could go, but is still asleep
    late = visitors.start("late")
    await visitors.clock.run(*early, late)
    assert [name for name, _ in visitors.went] == [0, 1, 2, "late"]


async def test_a_place_is_free_again_when_its_request_ends_or_fails():
    visitors = Visitors(per_second=100, per_hour=100, concurrent=1)

    async def fail():
        async with visitors.limiter.slot():
            raise OSError

    failed = asyncio.create_task(fail())
    await asyncio.gather(visitors.clock.run(visitors.start("next")), failed, return_exceptions=True)
    assert isinstance(failed.exception(), OSError)
    assert visitors.at() == [0]


async def test_who_waits_for_the_hour_keeps_no_place_from_those_that_are_not_counted():
    visitors = Visitors(per_second=1, per_hour=1, concurrent=2)
    waiting = [visitors.start(number) for number in range(4)]
    await visitors.clock.until_idle()
    page = visitors.start("page", counted=False)
    await visitors.clock.until_idle()
    assert [name for name, _ in visitors.went] == [0, "page"]
    await visitors.clock.run(page, *waiting)
    assert [name for name, _ in visitors.went] == [0, "page", 1, 2, 3]


async def test_a_pause_that_begins_while_one_waits_for_a_place_is_kept():
    visitors = Visitors(per_second=9, per_hour=9, concurrent=1)
    tasks = [visitors.start("first", stay=2), visitors.start(1), visitors.start(2, counted=False)]
    await visitors.clock.until_idle()
    await visitors.limiter.pause(10)
    await visitors.clock.run(*tasks)
    assert visitors.at() == [0, 10, 10]


@pytest.mark.parametrize("cancelled", [1, 2, 3])
async def test_a_cancelled_wait_takes_nothing_and_blocks_nobody(cancelled):
    """1 is the head of the line and sleeps for the clock; the others wait for the head."""
    visitors = Visitors(per_second=1, per_hour=1000, concurrent=100)
    tasks = [visitors.start(number) for number in range(5)]
    await visitors.clock.until_idle()
    tasks[cancelled].cancel()
    rest = [task for number, task in enumerate(tasks) if number != cancelled]
    await visitors.clock.run(*rest)
    assert [name for name, _ in visitors.went] == [number for number in range(5) if number != cancelled]
    assert visitors.at() == pytest.approx([0, 1, 2, 3], abs=0.5)


async def test_a_cancel_while_all_places_are_taken_takes_nothing():
    visitors = Visitors(per_second=100, per_hour=1000, concurrent=1)
    tasks = [visitors.start(number, stay=5) for number in range(3)]
    await visitors.clock.until_idle()
    tasks[1].cancel()
    await visitors.clock.run(tasks[0], tasks[2])
    assert visitors.went == [(0, 1000.0), (2, 1005.0)]


async def test_a_pause_holds_everybody_and_a_longer_one_stays():
    visitors = Visitors(per_second=3, per_hour=1000, concurrent=100)
    await visitors.limiter.pause(10)
    await visitors.limiter.pause(2)
    assert await visitors.limiter.forecast(1) == 10
    await visitors.clock.run(*[visitors.start(number) for number in range(3)])
    assert visitors.at() == [10, 10, 10]
    await visitors.limiter.pause(-5)
    assert await visitors.limiter.forecast(1) <= 1.2


async def test_a_pause_holds_those_who_wait_for_the_clock_already():
    visitors = Visitors(per_second=1, per_hour=1000, concurrent=100)
    tasks = [visitors.start(number) for number in range(3)]
    await visitors.clock.until_idle()
    await visitors.limiter.pause(20)
    await visitors.clock.run(*tasks)
    assert visitors.at() == pytest.approx([0, 20, 21], abs=0.5)


async def test_what_is_not_counted_keeps_to_places_and_pauses_alone():
    visitors = Visitors(per_second=1, per_hour=2, concurrent=3)
    await visitors.limiter.pause(10)
    tasks = [visitors.start(number, stay=1, counted=False) for number in range(9)]
    await visitors.clock.run(*tasks)
    assert visitors.at() == [10, 10, 10, 11, 11, 11, 12, 12, 12]
    assert visitors.most_open == 3
    await visitors.clock.run(visitors.start("counted"))
    assert visitors.at()[-1] == 13


async def test_a_full_window_pauses_those_alone_that_it_counts():
    visitors = Visitors(per_second=9, per_hour=9, concurrent=3)
    await visitors.limiter.pause(3600, counted_only=True)
    await visitors.limiter.pause(10)
    tasks = [visitors.start("counted"), visitors.start("page", counted=False)]
    assert await visitors.limiter.forecast(1) == 3600
    await visitors.clock.run(*tasks)
    assert visitors.went == [("page", 1010.0), ("counted", 4600.0)]


@given(st.lists(st.floats(0, 9000), max_size=30), st.integers(1, 25), st.floats(0, 9000))
@settings(deadline=None)
async def test_what_is_left_of_the_hour_passes_without_a_wait_for_it(arrivals, per_hour, later):
    visitors = Visitors(per_second=10_000, per_hour=per_hour, concurrent=100)
    await visitors.clock.run(*[visitors.start(n, arrive=at) for n, at in enumerate(arrivals)])
    visitors.clock.now += later
    budget = await visitors.limiter.budget()
    recent = sum(at + HOUR > visitors.clock.now for _, at in visitors.went)
    assert budget == Budget(left=per_hour - recent, per_hour=per_hour)
    for _ in range(budget.left):
        assert await visitors.limiter.forecast(1) == 0
        await visitors.visit("more")
    assert (await visitors.limiter.budget()).left == 0
    assert await visitors.limiter.forecast(1) > 0


async def test_nothing_is_left_while_mixpanel_says_that_the_hour_is_used_up():
    visitors = Visitors(per_hour=9)
    await visitors.limiter.pause(20)
    assert (await visitors.limiter.budget()).left == 9
    await visitors.limiter.pause(3600, counted_only=True)
    assert await visitors.limiter.budget() == Budget(left=0, per_hour=9)
    visitors.clock.now += 3600
    assert (await visitors.limiter.budget()).left == 9


async def test_what_left_the_hour_still_counts_in_no_other_window():
    """What `budget` forgets changes no wait."""
    visitors = Visitors(per_second=2, per_hour=3)
    await visitors.clock.run(*[visitors.start(number) for number in range(3)])
    visitors.clock.now += HOUR - 1
    assert (await visitors.limiter.budget()).left == 2  # the third came a second after the others
    assert await visitors.limiter.forecast(1) == 0
    await visitors.clock.run(*[visitors.start(number) for number in range(2)])
    assert await visitors.limiter.forecast(1) > 0


async def test_a_minute():
    clock = Clock()
    limiter = Limiter(RateLimits().of("lexicon"), clock=clock, sleep=clock.sleep)
    went = []

    async def visit():
        async with limiter.slot():
            went.append(clock.now - 1000)

    await clock.run(*[asyncio.create_task(visit()) for _ in range(12)])
    assert went == pytest.approx([0] * 5 + [60] * 5 + [120] * 2, abs=3)
    assert limiter.per_hour == pytest.approx(300, abs=6)


async def test_no_window_at_all():
    clock = Clock()
    limiter = Limiter(RateLimits().of("app"), clock=clock, sleep=clock.sleep)
    for _ in range(100):
        async with limiter.slot():
            pass
    assert clock.now == 1000


@pytest.mark.parametrize(
    "name", ["per_second", "per_hour", "concurrent", "queries_per_hour", "concurrent_queries", "lexicon_per_minute"]
)
@pytest.mark.parametrize("value", [0, -1, True, 1.0, "3", None])
def test_limits_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"RateLimits.{name} must be a whole number from 1 to"):
        RateLimits(**{name: value})


def test_limits_by_default_are_what_mixpanel_documents():
    assert RateLimits() == RateLimits(3, 60, 100, queries_per_hour=60, concurrent_queries=5, lexicon_per_minute=5)
    assert RateLimits().of("exports") == Limit("exports", 100, per_second=3, per_hour=60)
    higher = RateLimits(queries_per_hour=240, concurrent_queries=10, lexicon_per_minute=7)
    assert higher.of("queries") == Limit("queries", 10, per_hour=240)
    assert higher.of("lexicon") == Limit("requests for the lexicon", 10, per_minute=7)
    assert higher.of("app") == Limit("requests of the app's API", 10)
    assert Limiter(RateLimits(per_hour=7).of("exports")).per_hour == 7
