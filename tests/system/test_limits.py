"""Mixpanel's limits over real sockets: what waits for which, with an hour that passes in no time."""

from __future__ import annotations

import asyncio
import heapq
import re
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from math import ceil

import pytest

from mixpanel_async import RateLimitError, RateLimits, RetryPolicy
from mixpanel_async.api.limits import Limiter
from mixpanel_async.api.responses import HOURLY_LIMIT_WAIT
from mixpanel_async.testing import (
    Annotation,
    Catalog,
    Cohort,
    FakeClock,
    FakeLimits,
    FakeMixpanel,
    Fault,
    GeneratedEvents,
    QueryRules,
    Schema,
    Wording,
)
from tests.conftest import tasks_of_the_library

from .conftest import expected, stored

CATALOG = Catalog(
    cohorts=(Cohort(1, "One"),),
    schemas=tuple(Schema(f"Event {number}") for number in range(7)),
    annotations=(Annotation(1, "2026-01-15 12:00:00", "launch"),),
)
HOUR_USED_UP = Fault.status(
    429,
    '{"error": "This request exceeded the rate limit (61/60 queries running in the last hour)."}',
    headers={"Retry-After": "3600", "RateLimit": '"project";r=0;t=3600, "project-concurrency";r=3'},
)


class StillClock(FakeClock):
    """A clock that real time does not move, so that a busy machine changes nothing."""

    def monotonic(self):
        return self._moved_by


class Sleepers:
    """Clients whose limiters keep to the fake's clock. It moves to the end of a sleep when no request is on its way."""

    def __init__(self, fake, clients):
        self._fake, self._sleeping = fake, []
        for client in clients:
            use_clock(client, fake, RateLimits(), self.sleep)

    async def sleep(self, seconds):
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleeping, (self._fake.clock.monotonic() + seconds, id(wake), wake))
        await wake

    async def run(self, *calls):
        running, seen = asyncio.gather(*calls), -1
        while not running.done():
            await asyncio.sleep(0.003)
            if self._sleeping and self._fake.open == 0 and seen == len(self._fake.requests):
                at, _, wake = heapq.heappop(self._sleeping)
                if not wake.done():
                    self._fake.clock.advance(max(0, ceil((at - self._fake.clock.monotonic()) * 1000) / 1000))
                    wake.set_result(None)
            seen = len(self._fake.requests)
        return await running


def use_clock(client, fake, limits, sleep):
    client._core.export_source()
    for name, source in client._core._sources.items():
        limiter = Limiter(limits.of(name), clock=fake.clock.monotonic, sleep=sleep)
        client._core._sources[name] = replace(source, limiter=limiter)


def without_hours(client, fake, limits=RateLimits()):  # noqa: B008 - frozen
    """Let a client's limiters keep to these limits by the fake's clock, and move it instead of sleeping.

    Return the times of the sleeps, in seconds.
    """
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        fake.clock.advance(ceil(seconds * 1000) / 1000)  # the clock drops less than a microsecond
        await asyncio.sleep(0)

    use_clock(client, fake, limits, sleep)
    return slept


@pytest.fixture
async def fake():
    profiles, rules = [{"$distinct_id": str(n), "$properties": {"n": n}} for n in range(40)], QueryRules(page_size=10)
    async with FakeMixpanel(
        profiles=profiles, catalog=CATALOG, query_rules=rules, limits=None, clock=StillClock()
    ) as server:
        yield server


# each limit has its own 429


@asynccontextmanager
async def still_waiting(fake, call):
    """A call that got a 429, and waits for as long as the block runs."""
    task = asyncio.create_task(call)
    await fake.until(lambda: any(made.status == 429 for made in fake.requests) and fake.open_queries == 0)
    async with asyncio.timeout(20):
        yield
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert tasks_of_the_library() == []


async def test_a_429_of_the_lexicon_stops_the_lexicon_alone(fake, client_of):
    fake.faults.add(Fault.rate_limited(3600), endpoint="schemas")
    client = client_of(fake)
    async with still_waiting(fake, client.lookups.lexicon_schemas()):
        assert len(await client.lookups.annotations()) == 1
        assert len(await client.lookups.cohorts()) == 1
        assert (await client.fetch_profiles(parallel=True)).total_rows == 40


async def test_a_429_of_the_annotations_stops_the_annotations_alone(fake, client_of):
    fake.faults.add(Fault.rate_limited(3600), endpoint="annotations")
    client = client_of(fake)
    async with still_waiting(fake, client.lookups.annotations()):
        assert len(await client.lookups.lexicon_schemas()) == 7
        assert (await client.fetch_profiles()).rows == 40


async def test_a_429_of_a_query_stops_neither_of_them(fake, client_of):
    fake.faults.add(Fault.rate_limited(3600), endpoint="cohorts/list")
    client = client_of(fake)
    async with still_waiting(fake, client.lookups.cohorts()):
        assert len(await client.lookups.lexicon_schemas()) == 7
        assert len(await client.lookups.annotations()) == 1


async def test_an_hour_that_is_used_up_does_not_stop_the_pages_of_a_session(fake, client_of):
    """Pages that name their session do not count in the hour."""
    client = client_of(fake)
    fake.faults.add(HOUR_USED_UP, endpoint="cohorts/list")
    profiles = client.stream_profiles()
    async with aclosing(profiles):
        came = [await anext(profiles)]
        async with still_waiting(fake, client.lookups.cohorts()):
            came += [profile async for profile in profiles]
    assert len(came) == 40


# the pace


@pytest.mark.parametrize("entries", [None, 1])
async def test_a_sixth_request_for_the_lexicon_waits_for_the_minute(fake, client_of, entries):
    """Seven lists in one response each, or one list in seven pages."""
    fake.limits, fake.query_rules = FakeLimits(), QueryRules(entries=entries)
    client = client_of(fake)
    slept = without_hours(client, fake)
    lists = [await client.lookups.lexicon_schemas() for _ in range(1 if entries else 7)]
    assert [len(each) for each in lists] == [7] * len(lists)
    assert [made.status for made in fake.requests] == [200] * 7
    assert sum(slept) == pytest.approx(61, abs=0.1)


@pytest.mark.parametrize("work", ["table", "stream"])
async def test_more_requests_than_an_hour_allows_say_that_they_wait(client_of, path, caplog, work):
    async with FakeMixpanel(GeneratedEvents(per_day=2), clock=StillClock("2026-06-01")) as fake:
        client = client_of(fake)
        slept = without_hours(client, fake)
        # one at a time, because the clock must not move while a request is on its way
        dates = {"from_date": "2026-01-01", "to_date": "2026-05-05"}
        options = {"parallel": True, "chunk_days": 1, "max_workers": 1}
        if work == "table":
            assert (await client.fetch_events(**dates, **options)).successful_batches == 125
            assert stored(path) == expected(fake, *dates.values())
        else:
            streamed = client.stream_events(**dates, **options, raw=True)
            assert [event async for event in streamed] == list(fake.truth(*dates.values(), time_in_ms=True))
        assert [made.status for made in fake.requests] == [200] * 125
    assert sum(slept) == pytest.approx(2 * 3601, abs=2)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 2
    for line in told:
        assert re.fullmatch(
            r"Waiting for the limit of 60 exports an hour until \d\d:\d\d:\d\d; 1 request waits\.", line
        )


# an hour that other programs used up


async def test_an_hour_frees_as_the_oldest_request_leaves_it(client_of, caplog):
    """Mixpanel's Retry-After says an hour. A request of ours leaves the window before that."""
    limits = FakeLimits(queries_per_hour=3)
    async with FakeMixpanel(catalog=CATALOG, limits=limits, clock=StillClock()) as fake:
        client, other = client_of(fake, retry=RetryPolicy()), client_of(fake)
        slept = without_hours(client, fake)
        without_hours(other, fake)
        await client.lookups.cohorts()
        fake.clock.advance(600)
        await other.lookups.cohorts()
        await other.lookups.cohorts()
        fake.clock.advance(400)
        await client.lookups.cohorts()
        assert [made.status for made in fake.requests] == [200] * 3 + [429] * 3 + [200]
    assert sum(slept) == pytest.approx(2601, abs=1)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told
    for line in told:
        assert re.fullmatch(
            r"Waiting for Mixpanel's hourly limit \(a 429\) until \d\d:\d\d:\d\d; 1 request waits\.", line
        )


async def client_of_an_hour(fake, client_of, attempts):
    """A client that has sent a request in each minute of the last hour."""
    client = client_of(fake, retry=RetryPolicy(attempts))
    without_hours(client, fake)
    for _ in range(60):
        await client.lookups.cohorts()
        fake.clock.advance(60)
    fake.forget_requests()
    return client


@pytest.mark.parametrize("refused", [4, 50])
async def test_if_another_program_takes_each_place_that_becomes_free_the_call_goes_on(fake, client_of, refused):
    client = await client_of_an_hour(fake, client_of, 2)
    fake.faults.add(HOUR_USED_UP, endpoint="cohorts/list", times=refused)
    assert len(await client.lookups.cohorts()) == 1
    assert [made.status for made in fake.requests] == [429] * refused + [200]


@pytest.mark.parametrize("attempts", [2, 5])
async def test_each_hour_that_others_use_up_is_one_attempt(fake, client_of, attempts):
    client = await client_of_an_hour(fake, client_of, attempts)
    fake.faults.add(HOUR_USED_UP, endpoint="cohorts/list")
    began = fake.clock.monotonic()
    with pytest.raises(RateLimitError, match=r"^Cohorts: .* \(after \d+ attempts\)$") as error:
        await client.lookups.cohorts()
    hours = (fake.clock.monotonic() - began) / 3600
    assert attempts - 1 <= hours <= (attempts - 1) * 1.3
    assert error.value.attempts == len(fake.requests) <= 62 * hours


@pytest.mark.parametrize(("attempts", "sent"), [(1, 1), (2, 5), (5, 17)])
async def test_an_hour_that_others_used_up_is_asked_for_every_15_minutes(fake, client_of, attempts, sent):
    client = client_of(fake, retry=RetryPolicy(attempts))
    slept = without_hours(client, fake)
    fake.faults.add(HOUR_USED_UP, endpoint="cohorts/list")
    with pytest.raises(RateLimitError):
        await client.lookups.cohorts()
    assert [made.status for made in fake.requests] == [429] * sent
    assert sum(slept) == pytest.approx(HOURLY_LIMIT_WAIT * (sent - 1), abs=1)


async def test_two_machines_that_fetch_at_once_share_the_hour_and_lose_no_chunk(client_of, tmp_path):
    """Neither sees the requests of the other; each takes the places again that its own requests free."""
    limits = FakeLimits(per_second=None)  # one clock for both would let them collide in each second, too
    async with FakeMixpanel(GeneratedEvents(per_day=1), limits=limits, clock=StillClock("2026-06-01")) as fake:
        clients = [client_of(fake, database=tmp_path / f"{n}.duckdb", retry=RetryPolicy()) for n in range(2)]
        sleepers = Sleepers(fake, clients)
        dates = {"from_date": "2026-01-01", "to_date": "2026-04-30"}
        calls = [client.fetch_events(**dates, parallel=True, chunk_days=1, max_workers=10) for client in clients]
        results = await sleepers.run(*calls)
        assert [result.successful_batches for result in results] == [120, 120]
        statuses = [made.status for made in fake.requests]
        assert statuses.count(200) == 240
        assert 0 < statuses.count(429) < 80
        assert fake.clock.monotonic() < 3.5 * 3600


# a 429 that says nothing


async def profiles_of(client):
    return [profile async for profile in client.stream_profiles()]


CALLS = {
    "lookup": lambda client: client.lookups.cohorts(),
    "profiles": lambda client: client.fetch_profiles(parallel=True),
    "stream of profiles": profiles_of,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_an_hour_that_another_program_used_up_costs_no_call(client_of, caplog, call):
    """Mixpanel refuses with neither a header nor a limit's name until the hour is over."""
    profiles = [{"$distinct_id": "x", "$properties": {}}]
    wording = Wording(retry_after="none")
    limits = FakeLimits(queries_per_hour=3)
    async with FakeMixpanel(
        profiles=profiles, catalog=CATALOG, wording=wording, limits=limits, clock=StillClock()
    ) as fake:
        client = client_of(fake, retry=RetryPolicy(wait_initial=0.0))
        slept = without_hours(client, fake, RateLimits(queries_per_hour=1000))
        for _ in range(3):
            await client.lookups.cohorts()
        assert await call(client)
        assert [made.status for made in fake.requests] == [200] * 3 + [429] * 4 + [200]
    assert 3600 < sum(slept) < 4100
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told
    assert all(line.startswith("Waiting for Mixpanel's rate limit (a 429) until") for line in told)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("refused", [1, 4])
async def test_an_export_outlasts_an_hour_and_a_short_limit_costs_a_minute(client_of, path, stream, refused):
    async with FakeMixpanel(GeneratedEvents(per_day=20), limits=None, clock=StillClock("2026-06-01")) as fake:
        fake.faults.add(Fault.rate_limited(), times=refused)
        client = client_of(fake, retry=RetryPolicy(wait_initial=0.0))
        slept = without_hours(client, fake)
        dates = {"from_date": "2026-01-01", "to_date": "2026-01-02"}
        if stream:
            events = [event async for event in client.stream_events(**dates, raw=True)]
            assert events == list(fake.truth(*dates.values(), time_in_ms=True))
        else:
            await client.fetch_events(**dates)
            assert stored(path) == expected(fake, *dates.values())
    assert 54 <= sum(slept) <= 60 if refused == 1 else 3601 < sum(slept) < 4100
