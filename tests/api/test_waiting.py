"""No wait is silent, and an hour of waiting takes no time here."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from itertools import pairwise

import pytest

from mixpanel_async.api.budget import RATE_LIMIT
from mixpanel_async.api.limits import Limiter, RateLimits
from mixpanel_async.api.retry import RetryPolicy
from mixpanel_async.api.source import Attempts, Source
from mixpanel_async.api.waiting import Waiting
from mixpanel_async.errors import ConnectionLostError, RateLimitError, ServerError
from tests.api.clock import Clock
from tests.conftest import tasks_of_the_library

NOON = dt.datetime(2026, 11, 29, 12, tzinfo=dt.timezone(dt.timedelta(hours=1)))
HOUR = "the limit of 60 exports an hour"


class Run(logging.Handler):
    """Requests through one limiter on a clock of its own, which begins at noon; and when each line was logged."""

    def __init__(self, **limits):
        super().__init__()
        self.clock = Clock()
        self.limiter = Limiter(
            RateLimits(**limits).of("exports"), clock=self.clock, sleep=self.clock.sleep, now=self.now
        )
        self.source = Source("", None, None, self.limiter, RetryPolicy(wait_initial=0.0))
        self.lines, self.seen = [], []
        self.limiter.waits.watchers.append(self.seen.append)

    def now(self):
        return NOON + dt.timedelta(seconds=self.clock.now - 1000)

    def emit(self, record):
        self.lines.append((round(self.clock.now - 1000), record.levelname, record.getMessage()))

    def at(self, seconds):
        return pytest.approx(NOON + dt.timedelta(seconds=seconds), abs=dt.timedelta(seconds=5))

    async def pass_through(self, *, counted=True):
        async with self.limiter.slot(counted=counted):
            pass

    def start(self, work):
        return asyncio.create_task(work)

    def requests(self, number, **options):
        return [self.start(self.pass_through(**options)) for _ in range(number)]

    async def end(self, *tasks):
        await self.clock.run(*tasks)
        await self.clock.until_idle()
        assert self.limiter.waits.current is None
        assert self.limiter.waits.requests == 0


@pytest.fixture
def begin(caplog):
    """Makes a `Run` with limits of its own."""
    caplog.set_level(logging.INFO, "mixpanel_async")
    logger, runs = logging.getLogger("mixpanel_async"), []

    def begin(**limits):
        runs.append(Run(**limits))
        logger.addHandler(runs[-1])
        return runs[-1]

    yield begin
    for run in runs:
        logger.removeHandler(run)


@pytest.fixture
def run(begin):
    return begin()


async def test_an_hour_is_told_at_once_and_every_minute(run):
    await run.end(*run.requests(70))
    (began, level, message), *repeated = run.lines
    assert 20 <= began <= 23
    assert (level, message) == ("WARNING", f"Waiting for {HOUR} until 13:00:01; 10 requests wait.")
    assert [line[1] for line in repeated] == ["INFO"] * len(repeated)
    assert {line[2] for line in repeated} == {message}
    times = [line[0] for line in run.lines]
    assert {after - before for before, after in pairwise(times)} == {60}
    assert 3540 < times[-1] < 3601
    assert [each and (each.reason, each.until) for each in run.seen] == [(HOUR, run.at(3601)), None]


async def test_a_second_hour_is_a_warning_again(run):
    await run.end(*run.requests(130))
    assert [line[1:] for line in run.lines if line[1] == "WARNING"] == [
        ("WARNING", f"Waiting for {HOUR} until 13:00:01; 70 requests wait."),
        ("WARNING", f"Waiting for {HOUR} until 14:00:02; 10 requests wait."),
    ]


async def test_a_thousand_requests_are_one_line(begin):
    run = begin(per_second=60)
    tasks = run.requests(1096)
    await run.clock.until_idle()
    assert [line[2] for line in run.lines] == [f"Waiting for {HOUR} until 13:00:01; 1,036 requests wait."]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_short_waits_are_not_told(run):
    await run.limiter.pause(9)
    await run.end(*run.requests(30), run.start(run.limiter.rest(10, "another attempt")))
    assert run.lines == []
    assert run.seen == []


async def test_all_that_waits_is_one_line(run):
    await run.limiter.pause(600)
    rests = [run.start(run.limiter.rest(seconds, "another attempt")) for seconds in (15, 50, 300)]
    tasks = [*run.requests(5), *run.requests(5, counted=False), *rests]
    await run.end(*tasks)
    assert [line[:2] for line in run.lines] == [(0, "WARNING")] + [(60 * n, "INFO") for n in range(1, 10)]
    assert run.lines[-1][2] == "Waiting for Mixpanel's rate limit (a 429) until 12:10:00; 10 requests wait."
    assert run.lines[0][2].endswith("; 13 requests wait.")
    assert [each and each.until for each in run.seen] == [run.at(600), None]


async def test_a_longer_wait_that_follows_is_a_warning_again(run):
    await run.limiter.pause(30)
    await run.clock.run(*run.requests(1))
    await run.limiter.pause(50)
    await run.clock.run(*run.requests(1))
    await run.limiter.pause(3600)
    await run.clock.run(*run.requests(1))
    assert run.lines[:3] == [
        (0, "WARNING", f"Waiting for {RATE_LIMIT} until 12:00:30; 1 request waits."),
        (30, "INFO", f"Waiting for {RATE_LIMIT} until 12:01:20; 1 request waits."),
        (80, "WARNING", f"Waiting for {RATE_LIMIT} until 13:01:20; 1 request waits."),
    ]


async def test_a_pause_that_becomes_longer_is_told(run):
    await run.limiter.pause(100)
    [task] = run.requests(1)
    await run.clock.until_idle()
    await run.limiter.pause(1000)
    await run.end(task)
    assert run.lines[0] == (0, "WARNING", f"Waiting for {RATE_LIMIT} until 12:01:40; 1 request waits.")
    assert run.lines[1] == (60, "WARNING", f"Waiting for {RATE_LIMIT} until 12:16:40; 1 request waits.")
    assert [each and each.until for each in run.seen] == [run.at(100), run.at(1000), None]


async def test_windows_that_free_one_place_a_minute_are_no_flood_of_warnings(begin):
    run = begin(per_hour=3)
    for second in (0, 60, 120):
        run.clock.now = 1000 + second
        await run.pass_through()
    await run.end(*run.requests(3))
    assert [line[1] for line in run.lines].count("WARNING") == 1
    assert 50 < len(run.lines) < 65


@pytest.mark.parametrize("work", ["slot", "queued", "uncounted", "rest"])
async def test_a_cancelled_wait_takes_no_slot_and_leaves_nothing(run, work):
    await run.limiter.pause(3600)
    await asyncio.sleep(0)
    others = run.requests(1) if work == "queued" else []
    waits = {"rest": lambda: run.limiter.rest(3600, "another attempt")}
    task = run.start(waits.get(work, lambda: run.pass_through(counted=work != "uncounted"))())
    await run.clock.until_idle()
    assert run.limiter.waits.current is not None
    for each in (task, *others):
        each.cancel()
    await asyncio.wait([task, *others])
    await run.clock.until_idle()
    assert (run.limiter.waits.current, run.limiter.waits.requests) == (None, 0)
    assert run.seen[-1] is None
    assert tasks_of_the_library() == []
    assert run.limiter._open._value == run.limiter.concurrent
    assert (await run.limiter._record.usage()).started == []


async def test_a_wait_after_one_that_was_cancelled_is_told_at_once(run):
    await run.limiter.pause(3600)
    [task] = run.requests(1)
    await run.clock.until_idle()
    task.cancel()
    await asyncio.wait([task])
    await run.clock.until_idle()
    run.clock.now += 5
    await run.end(run.start(run.limiter.rest(600, "another attempt")))
    assert run.lines[1] == (5, "WARNING", "Waiting for another attempt until 12:10:05; 1 request waits.")


async def test_a_watcher_that_fails_disturbs_no_request(run):
    failed = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context["exception"]))
    run.limiter.waits.watchers.insert(0, lambda waiting: 1 / 0)
    await run.limiter.pause(600)
    await run.end(*run.requests(1))
    assert [type(each) for each in failed] == [ZeroDivisionError] * 2
    assert run.seen == [Waiting(run.at(600), RATE_LIMIT), None]


# between two attempts


async def fail(run, *errors):
    attempts = Attempts(run.source, "Chunk")
    for error in errors:
        await attempts.failed(error)


async def test_a_retry_after_is_told_once_for_all_that_wait_for_one(run):
    tasks = [run.start(fail(run, ServerError("down", status=503, retry_after=600.0))) for _ in range(3)]
    await run.end(*tasks)
    assert run.lines[:3] == [(0, "INFO", "Chunk: down. Attempt 2 follows.")] * 3
    line = "Waiting for another attempt after a response with status 503 until 12:10:00; 3 requests wait."
    assert run.lines[3:] == [(0, "WARNING", line)] + [(60 * n, "INFO", line) for n in range(1, 10)]


async def test_a_backoff_is_told_by_its_attempt_if_it_is_short(run):
    await run.end(run.start(fail(run, ConnectionLostError("reset"), ServerError("busy", status=503, retry_after=9.0))))
    assert [line[2] for line in run.lines] == [
        "Chunk: reset. Attempt 2 follows in 0.0 s.",
        "Chunk: busy. Attempt 3 follows in 9.0 s.",
    ]


async def test_a_long_backoff_after_a_lost_connection(run):
    await run.end(run.start(run.limiter.rest(30, "another attempt after a lost connection")))
    assert run.lines == [
        (0, "WARNING", "Waiting for another attempt after a lost connection until 12:00:30; 1 request waits.")
    ]


async def test_only_429s_that_name_no_time_make_the_next_one_patient(run):
    """Three other errors come first, and a short limit costs a minute all the same."""
    errors = [ConnectionLostError("reset"), ServerError("busy", status=503), RateLimitError("wait", retry_after=5.0)]
    await run.clock.run(run.start(fail(run, *errors, RateLimitError("too many"))))
    assert 54 <= await run.limiter.forecast(1) <= 60


@pytest.mark.parametrize(("is_full", "kind"), [(True, "hourly"), (False, "rate")])
async def test_a_429_is_told_by_the_requests_that_wait_for_it(run, is_full, kind):
    error = RateLimitError("too many", retry_after=3600.0)
    error.is_window_full = is_full
    await fail(run, error)
    assert run.lines == [(0, "INFO", "Chunk: too many. Attempt 2 follows.")]
    await run.end(*run.requests(1))
    assert run.lines[1] == (
        0, "WARNING", f"Waiting for Mixpanel's {kind} limit (a 429) until 13:00:00; 1 request waits."
    )  # fmt: skip
