"""Mixpanel's limits over real sockets: what waits for which, with an hour that passes in no time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest

from mixpanel_async import RateLimits, RetryPolicy, ServiceAccount, Timeouts
from mixpanel_async.api.limits import Limiter
from mixpanel_async.api.source import Source
from mixpanel_async.api.transport import Transport
from mixpanel_async.lookups.fetch import fetch_lookup
from mixpanel_async.lookups.request import lexicon_schemas_request
from mixpanel_async.testing import (
    Annotation,
    Catalog,
    Cohort,
    FakeLimits,
    FakeMixpanel,
    Fault,
    QueryRules,
    Schema,
)
from tests.conftest import tasks_of_the_library

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


def account_of(fake):
    known = fake.project.service_account
    return ServiceAccount(known.username, known.secret, fake.project.id)


@asynccontextmanager
async def source_of(fake, limit, url, *, retry=RetryPolicy(), limits=RateLimits()):  # noqa: B008 - frozen
    """A source whose limiter has the fake's clock, and moves it instead of sleeping; and the sleeps."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        fake.clock.advance(seconds)
        await asyncio.sleep(0)

    transport = Transport(None, Timeouts())
    limiter = Limiter(limits.of(limit), clock=fake.clock.monotonic, sleep=sleep)
    yield Source(url, account_of(fake), transport, limiter, retry), slept
    await transport.close()


@pytest.fixture
async def fake():
    profiles, rules = [{"$distinct_id": str(n), "$properties": {"n": n}} for n in range(40)], QueryRules(page_size=10)
    async with FakeMixpanel(profiles=profiles, catalog=CATALOG, query_rules=rules, limits=None) as server:
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
async def test_a_sixth_request_for_the_lexicon_waits_for_the_minute(fake, entries):
    """Seven lists in one response each, or one list in seven pages."""
    fake.limits, fake.query_rules = FakeLimits(), QueryRules(entries=entries)
    request = lexicon_schemas_request(account_of(fake), None, None)
    async with source_of(fake, "lexicon", fake.url) as (source, slept):
        lists = [await fetch_lookup(request, source) for _ in range(1 if entries else 7)]
    assert [len(each) for each in lists] == [7] * len(lists)
    assert [made.status for made in fake.requests] == [200] * 7
    assert 59 < sum(slept) < 62
