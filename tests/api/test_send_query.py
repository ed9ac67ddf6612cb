"""Queries over real sockets: what is sent, how often, and what becomes of each answer."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from mixpanel_async.api.credentials import ServiceAccount
from mixpanel_async.api.limits import Limiter, RateLimits
from mixpanel_async.api.query import Query
from mixpanel_async.api.retry import RetryPolicy
from mixpanel_async.api.send_query import read_json, send_query
from mixpanel_async.api.source import Source
from mixpanel_async.api.transport import Timeouts, Transport
from mixpanel_async.errors import AuthenticationError, ConnectionLostError, QueryError, RateLimitError, ServerError
from mixpanel_async.testing import Catalog, Cohort, FakeLimits, FakeMixpanel, Fault

COHORTS = Query("/api/query/cohorts/list", name="Cohorts", is_post=True)
PAGE = Query("/api/query/engage", {"where": 'properties["näme"] == "a&b"'}, name="Profiles", is_post=True)


@pytest.fixture
async def fake():
    profiles = [{"$distinct_id": "x", "$properties": {"näme": "a&b", "big": 2**80}}]
    catalog = Catalog(cohorts=(Cohort(7, "Seven", members=("x",)),))
    async with FakeMixpanel(profiles=profiles, catalog=catalog, limits=None) as fake:
        yield fake


@asynccontextmanager
async def source_of(fake, *, attempts=3, limits=RateLimits(), patience=0.3):  # noqa: B008 - frozen
    known = fake.project.service_account
    account = ServiceAccount(known.username, known.secret, fake.project.id)
    transport = Transport(None, Timeouts(connect=5, first_byte=patience, idle=patience))
    retry = RetryPolicy(attempts, wait_initial=0.0, wait_max=0.0)
    yield Source(fake.url, account, transport, Limiter(limits.of("queries")), retry)
    await transport.close()


async def test_a_form_and_a_query_string(fake):
    async with source_of(fake) as source:
        posted = await send_query(source, PAGE, read_json)
        got = await send_query(source, Query(PAGE.path, PAGE.parameters), read_json)

    assert posted["results"] == got["results"] == [{"$distinct_id": "x", "$properties": {"näme": "a&b", "big": 2**80}}]
    assert [(made.method, made.status) for made in fake.requests] == [("POST", 200), ("GET", 200)]


PASSING = {
    "500": (Fault.status(500), ServerError),
    "a web page": (Fault.html(), ServerError),
    "an error in a 200": (Fault.error_in_200(), ServerError),
    "a timeout in a 400": (Fault.timeout_error(), ServerError),
    "cut": (Fault.cut(after_fraction=0.5), ConnectionLostError),
    "cut, and no framing tells": (Fault.cut(after_fraction=0.5, framing="close"), ServerError),
    "nothing, and no framing tells": (Fault.cut(after_bytes=0, framing="close"), ServerError),
    "reset": (Fault.reset(), ConnectionLostError),
    "a stall": (Fault.stall(after_bytes=5), ConnectionLostError),
    "429": (Fault.rate_limited(0), RateLimitError),
    "429 without a header": (Fault.rate_limited(), RateLimitError),
}


@pytest.mark.parametrize(("fault", "kind"), PASSING.values(), ids=PASSING)
async def test_what_passes_is_asked_again_and_what_stays_is_raised(fake, fault, kind):
    fake.faults.add(fault, endpoint="cohorts/list", attempts=[1, 2])
    async with source_of(fake) as source:
        assert (await send_query(source, COHORTS, read_json))[0]["name"] == "Seven"
        assert len(fake.requests) == 3

        fake.faults.add(fault, endpoint="cohorts/list")
        with pytest.raises(kind, match=r"^Cohorts: .* \(after 3 attempts\)$") as error:
            await send_query(source, COHORTS, read_json)
    assert error.value.attempts == 3
    assert len(fake.requests) == 6


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (Fault.status(400), QueryError, "Cohorts: Mixpanel rejects the query"),
        (Fault.auth_expired(401), AuthenticationError, "does not accept these credentials"),
        (Fault.auth_expired(400), AuthenticationError, "does not accept these credentials"),
        (Fault.error_in_200("Date range exceeds 90 days into the past"), QueryError, "rejects the dates"),
    ],
)
async def test_what_will_stay_is_asked_once(fake, fault, kind, says):
    fake.faults.add(fault, endpoint="cohorts/list")
    async with source_of(fake) as source:
        with pytest.raises(kind, match=says):
            await send_query(source, COHORTS, read_json)
    assert len(fake.requests) == 1


async def test_a_plan_without_queries_is_said_plainly(fake):
    fake.plan_has_queries = False
    async with source_of(fake) as source:
        with pytest.raises(QueryError, match=r"\(402\).*plan does not include the query API.*raw exports do not"):
            await send_query(source, COHORTS, read_json)
    assert len(fake.requests) == 1


async def test_a_429_holds_everybody_back_and_a_long_one_is_told_once(fake, caplog):
    caplog.set_level(logging.INFO)
    fake.faults.add(Fault.status(429, headers={"Retry-After": "1"}), endpoint="cohorts/list", times=2)
    async with source_of(fake) as source:
        began = time.monotonic()
        await asyncio.gather(*(send_query(source, COHORTS, read_json) for _ in range(2)))
        assert time.monotonic() - began >= 1
        assert "Cohorts: Mixpanel's rate limit (429): Error 429. Attempt 2 follows in 1.0 s." in caplog.text
        assert {record.levelname for record in caplog.records} == {"INFO"}

        for name in ("One", "Another"):
            await source.wait(name, 1, RateLimitError("slow down", retry_after=3600))
        assert await source.limiter.forecast(1) > 3599
        waiting = [asyncio.create_task(send_query(source, COHORTS, read_json)) for _ in range(3)]
        told = asyncio.Event()
        source.limiter.waits.watchers.append(lambda _: told.set())
        await told.wait()
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    assert [record.levelname for record in caplog.records[-3:]] == ["INFO", "INFO", "WARNING"]
    assert caplog.records[-1].getMessage().endswith("; 3 requests wait.")


async def test_the_hour_and_the_places_are_kept(fake):
    fake.limits = FakeLimits(queries_per_hour=7, concurrent_queries=2)
    fake.latency = 0.02
    limits = RateLimits(queries_per_hour=7, concurrent_queries=2)
    async with source_of(fake, limits=limits, patience=60) as source:  # an eighth request would wait for an hour
        async with asyncio.TaskGroup() as group:
            for _ in range(7):
                group.create_task(send_query(source, COHORTS, read_json))
        assert await source.limiter.forecast(1) > 3500
    assert [made.status for made in fake.requests] == [200] * 7
    assert fake.max_open_queries == 2


def test_no_number_is_rounded_but_to_a_double():
    told = read_json(b'{"n": 123456789012345678901234567890, "x": 1e400, "f": 0.1, "t": "\\ud83d\\ude00"}')
    assert told == {"n": 123456789012345678901234567890, "x": Decimal("1e400"), "f": 0.1, "t": "\N{GRINNING FACE}"}
