"""Rate limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from mixpanel_async.testing import (
    Annotation,
    Catalog,
    FakeClock,
    FakeLimits,
    FakeMixpanel,
    Fault,
    Project,
    QueryRules,
    Schema,
    ServiceAccount,
    Wording,
)
from mixpanel_async.testing.http.response import RefusedError
from mixpanel_async.testing.limits.rate_limiter import RateLimiter
from mixpanel_async.testing.limits.too_many_requests import check_query

HOURLY = FakeLimits(per_second=None, per_hour=3, concurrent=None)


async def statuses(ask, fake, count):
    return [(await ask(fake)).status for _ in range(count)]


async def test_item_50_sixty_an_hour_in_a_rolling_window(ask):
    async with FakeMixpanel(limits=FakeLimits(per_second=None)) as fake:
        assert await statuses(ask, fake, 30) == [200] * 30
        fake.clock.advance(1800)
        assert await statuses(ask, fake, 31) == [200] * 30 + [429]
        fake.clock.advance(1801)
        assert await statuses(ask, fake, 31) == [200] * 30 + [429]


async def test_item_50_the_hour_rolls_with_each_request(ask):
    async with FakeMixpanel(limits=HOURLY) as fake:
        for _ in range(3):
            assert (await ask(fake)).status == 200
            fake.clock.advance(1000)
        assert (await ask(fake)).status == 429
        fake.clock.advance(600)
        assert await statuses(ask, fake, 2) == [200, 429]


async def test_item_51_three_a_second(ask):
    async with FakeMixpanel() as fake:
        assert await statuses(ask, fake, 4) == [200, 200, 200, 429]
        fake.clock.advance(1)
        assert (await ask(fake)).status == 200


async def test_item_52_open_at_once_and_slots_come_free(ask, session):
    limits = FakeLimits(per_second=None, per_hour=None, concurrent=2)
    async with FakeMixpanel(limits=limits, latency=3600) as fake:
        open_ones = [asyncio.create_task(ask(fake)) for _ in range(2)]
        await fake.until(lambda: fake.open == 2)
        reply = await ask(fake)
        assert reply.status == 429
        assert json.loads(reply.body) == {"error": "too many export requests in progress for this project"}
        open_ones[0].cancel()
        await fake.until(lambda: fake.open == 1)
        fake.latency = 0
        assert (await ask(fake)).status == 200
        open_ones[1].cancel()
        await asyncio.wait(open_ones)
    assert fake.max_open == 3


async def test_item_53_a_retry_after_in_seconds_with_ratelimit_headers(ask):
    async with FakeMixpanel(limits=HOURLY) as fake:
        await statuses(ask, fake, 3)
        reply = await ask(fake)
    assert reply.headers["retry-after"] == "3600"
    assert reply.headers["ratelimit"].startswith('"project";r=0;t=3600')
    assert '"project";q=3;w=3600' in reply.headers["ratelimit-policy"]
    assert "(4/3 queries running in the last hour)" in json.loads(reply.body)["error"]
    assert json.loads(reply.body)["request"].startswith("/api/2.0/export?")


async def test_item_53_b_no_headers_and_plain_text(ask):
    async with FakeMixpanel(limits=HOURLY, wording=Wording(retry_after="none", too_many="plain")) as fake:
        await statuses(ask, fake, 3)
        reply = await ask(fake)
    assert reply.status == 429
    assert not {"retry-after", "ratelimit", "ratelimit-policy"} & reply.headers.keys()
    assert reply.body.startswith(b"Query rate limit exceeded")


async def test_item_53_c_retry_after_as_a_date(ask):
    async with FakeMixpanel(limits=HOURLY, wording=Wording(retry_after="date")) as fake:
        await statuses(ask, fake, 3)
        reply = await ask(fake)
    wait = parsedate_to_datetime(reply.headers["retry-after"]) - datetime.now(UTC)
    assert 3500 < wait.total_seconds() <= 3600


@pytest.mark.parametrize("status", [401, 402, 429])
async def test_item_58_some_answers_cost_nothing(ask, status):
    async with FakeMixpanel(limits=HOURLY) as fake:
        fake.faults.add(Fault.status(status), times=5)
        assert await statuses(ask, fake, 9) == [status] * 5 + [200] * 3 + [429]


async def test_item_58_others_cost(ask):
    async with FakeMixpanel(limits=HOURLY) as fake:
        fake.faults.add(Fault.status(503), times=2)
        assert await statuses(ask, fake, 4) == [503, 503, 200, 429]


async def test_item_58_refused_by_the_limit_itself_or_by_the_gate_costs_nothing(ask):
    async with FakeMixpanel(limits=HOURLY) as fake:
        assert (await ask(fake, authorization=None)).status == 401
        assert await statuses(ask, fake, 6) == [200] * 3 + [429] * 3
        fake.clock.advance(3601)
        assert (await ask(fake)).status == 200


async def test_projects_are_counted_apart_and_limits_can_be_lifted(ask):
    account = ServiceAccount("a", "b")
    projects = [Project(1, (account,)), Project(2, (account,))]
    async with FakeMixpanel(limits=HOURLY, projects=projects) as fake:
        assert await statuses(ask, fake, 4) == [200] * 3 + [429]
        assert (await ask(fake, project_id=2)).status == 200
        fake.limits = None
        assert await statuses(ask, fake, 5) == [200] * 5


# the lexicon


@pytest.fixture
def lexicon(query):
    """Requests the schemas, or another list of the app API."""

    async def lexicon(fake, name="schemas", **params):
        return await query(fake, f"/api/app/projects/{fake.project.id}/{name}", method="GET", params=params)

    return lexicon


async def test_the_lexicon_in_a_rolling_minute_whatever_the_entity_type_or_the_page(lexicon):
    rules = QueryRules(entries=1)
    catalog = Catalog(schemas=(Schema("a"), Schema("b")), annotations=(Annotation(1, "2026-01-15 12:00:00", "x"),))
    async with FakeMixpanel(limits=FakeLimits(), catalog=catalog, query_rules=rules) as fake:
        asked = [await lexicon(fake), await lexicon(fake, cursor="1"), await lexicon(fake, "schemas/event")]
        fake.clock.advance(30)
        asked += [await lexicon(fake), await lexicon(fake), await lexicon(fake)]
        assert [reply.status for reply in asked] == [200] * 5 + [429]
        assert asked[-1].headers["retry-after"] == "60"
        assert asked[-1].json["status"] == "error"
        fake.clock.advance(31)
        assert [(await lexicon(fake)).status for _ in range(4)] == [200] * 3 + [429]


async def test_the_lexicon_and_the_query_api_do_not_count_each_others_requests(lexicon, query):
    async with FakeMixpanel(limits=FakeLimits(queries_per_hour=2, schemas_per_minute=1)) as fake:
        statuses = [(await query(fake, "/api/query/cohorts/list")).status for _ in range(3)]
        statuses += [(await lexicon(fake)).status for _ in range(2)]
        statuses += [(await lexicon(fake, "annotations")).status for _ in range(9)]
        fake.limits = None
        statuses += [(await lexicon(fake)).status, (await query(fake, "/api/query/cohorts/list")).status]
    assert statuses == [200, 200, 429] + [200, 429] + [200] * 9 + [200, 200]


@pytest.mark.parametrize(("how", "header"), [("none", None), ("date", "GMT")])
async def test_the_429_of_the_lexicon_has_the_headers_that_the_wording_has(lexicon, how, header):
    async with FakeMixpanel(limits=FakeLimits(schemas_per_minute=0), wording=Wording(retry_after=how)) as fake:
        reply = await lexicon(fake)
    assert reply.status == 429
    assert reply.headers.get("retry-after", "")[-3:] == (header or "")


# queries, without HTTP; the tests of the endpoints send requests

POLICY = '"project";q=60;w=3600, "project-concurrency";q=5;qu="concurrent-requests"'


@pytest.fixture
def rate_limiter():
    return RateLimiter(check_query, FakeLimits(), FakeClock(), Wording())


def refusal(rate_limiter, **how):
    with pytest.raises(RefusedError) as refused, rate_limiter.admit(12345, **how):
        pass
    response = refused.value.response
    assert response.status == 429
    return dict(response.headers), json.loads(response.body)


def test_queries_in_an_hour(rate_limiter):
    for _ in range(60):
        with rate_limiter.admit(12345):
            pass
    with rate_limiter.admit(12345, is_counted=False), rate_limiter.admit(777):
        headers, body = refusal(rate_limiter)
    assert headers == {
        "Retry-After": "3600",
        "RateLimit-Policy": POLICY,
        "RateLimit": '"project";r=0;t=3600, "project-concurrency";r=4',
    }
    assert body["request"] == "https://mixpanel.com{request}"
    assert body["error"].startswith(
        "Query rate limit exceeded for project_id: 12345. This request exceeded the rate limit "
        "(61/60 queries running in the last hour). For more information, please consult our documentation at https://"
    )


@pytest.mark.parametrize("limits", [FakeLimits(queries_per_hour=0), FakeLimits(concurrent_queries=0)])
def test_queries_refused_without_a_hint(limits):
    rate_limiter = RateLimiter(check_query, limits, FakeClock(), Wording(retry_after="none"))
    text = "Query rate limit exceeded for project_id: 12345 For more information, please consult our documentation"
    assert refusal(rate_limiter) == ({}, {"error": text})


def test_queries_at_once(rate_limiter):
    with contextlib.ExitStack() as open_ones:
        for number in range(5):
            open_ones.enter_context(rate_limiter.admit(12345, is_counted=number > 2))
        headers, body = refusal(rate_limiter)
        assert refusal(rate_limiter, is_counted=False) == (headers, body)
    assert headers == {
        "Retry-After": "10",
        "RateLimit-Policy": POLICY,
        "RateLimit": '"project";r=58, "project-concurrency";r=0;t=10',
    }
    assert body == {
        "error": "Query rate limit exceeded for project_id: 12345. "
        "This request exceeded the concurrency limit (6/5 queries running concurrently)."
    }
    with rate_limiter.admit(12345):
        pass
