"""Streams of profiles: each once and in order, whatever breaks; and nothing goes on when the caller does not."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from contextlib import aclosing

import pytest

from mixpanel_async import ExportError, QueryError
from mixpanel_async.testing import Fault, GivenProfiles, QueryRules

from .conftest import PAGES, people, requested, truth_ids
from .test_fetch import PASSING, UNUSUAL


async def listed(stream):
    return [profile async for profile in stream]


async def test_profiles_come_in_order_as_mixpanel_has_them_or_with_our_names(fake, client_of, path):
    client = client_of(fake)
    assert await listed(client.stream_profiles(raw=True)) == list(fake.truth_profiles())
    normalized = await listed(client.stream_profiles())
    assert normalized == [
        {
            "distinct_id": it["$distinct_id"],
            "last_seen": dt.datetime.fromisoformat(seen) if (seen := it["$properties"].get("$last_seen")) else None,
            "properties": it["$properties"],
        }
        for it in fake.truth_profiles()
    ]
    assert not path.exists()


@pytest.mark.parametrize("count", [0, 1, 10, 30])
@pytest.mark.parametrize("total", [True, False])
async def test_any_number(fake, client_of, count, total):
    fake.profiles = GivenProfiles(people(count))
    fake.query_rules = QueryRules(page_size=10, total_on_first_page=total)
    assert await listed(client_of(fake).stream_profiles(raw=True)) == list(fake.truth_profiles())


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
async def test_a_passing_fault_leaves_no_trace(fake, client_of, fault):
    fake.faults.add(fault, page=3, attempts=[1, 2])
    fake.faults.add(fault, page=7, attempts=[1])
    assert await listed(client_of(fake).stream_profiles(raw=True)) == list(fake.truth_profiles())


async def test_a_session_that_expires_begins_again_and_nothing_comes_twice(fake, client_of):
    """The profiles changed their places meanwhile: what was on the pages that were given is now on others."""
    given = fake.profiles
    shuffled = list(people(10 * PAGES - 4))[::-1]
    fake.faults.add(Fault.session_expired(), page=6, times=1)
    fake.latency = 0.01
    found = []
    async for profile in client_of(fake).stream_profiles(raw=True):
        fake.profiles = GivenProfiles(shuffled)
        found.append(profile)
    first = 10 * sum(page < 6 and page > 0 for page, _ in requested(fake)[:7]) + 10
    assert [it["$distinct_id"] for it in found[:first]] == list(given.snapshot().distinct_ids())[:first]
    assert sorted(it["$properties"]["n"] for it in found) == list(range(76))


async def test_a_session_that_always_expires_ends(fake, client_of):
    fake.query_rules = QueryRules(page_size=10, session_pages=4)
    found = []
    with pytest.raises(QueryError, match="uncached query"):
        async for profile in client_of(fake).stream_profiles():
            found.append(profile["distinct_id"])  # noqa: PERF401 - what came before the error counts
    assert found == truth_ids(fake)[: len(found)]
    assert len(set(found)) == len(found)


async def test_a_page_that_always_fails_ends_the_stream_after_the_pages_before(fake, client_of):
    fake.faults.add(Fault.status(500), page=4)
    found = []
    with pytest.raises(ExportError, match=r"Profiles, page 4: .*after 3 attempts"):
        async for profile in client_of(fake).stream_profiles(raw=True):
            found.append(profile)  # noqa: PERF401 - as above
    assert found == list(fake.truth_profiles())[:40]


async def test_a_slow_consumer_holds_the_downloads_back_and_leaving_closes_them(fake, client_of):
    fake.profiles = GivenProfiles(people(300))
    async with aclosing(client_of(fake).stream_profiles()) as stream:
        async for profile in stream:
            if profile["properties"]["n"] == 25:
                await asyncio.sleep(0.1)  # all that is read ahead is there by then
                break
    assert fake.max_open_queries <= 5
    assert len(fake.requests) <= 3 + 5
    await fake.until(lambda: fake.open_queries == 0)


async def test_a_cancel_and_a_closed_client_end_it(fake, client_of):
    client = client_of(fake)
    fake.faults.add(Fault.stall(after_bytes=5), page=2)
    task = asyncio.ensure_future(listed(client.stream_profiles()))
    await fake.until(lambda: len(fake.requests) == 6)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await fake.until(lambda: fake.open_queries == 0)

    task = asyncio.ensure_future(listed(client.stream_profiles()))
    await fake.until(lambda: len(fake.requests) == 12)
    await client.close()
    with pytest.raises(RuntimeError, match="client was closed"):
        await task


async def test_ids_of_several_parts_come_once_each(fake, client_of):
    fake.query_rules = QueryRules()
    client = client_of(fake)
    same = json.dumps({"results": [{"$distinct_id": "a", "$properties": {}}], "session_id": "s", "total": 1})
    fake.faults.add(Fault.status(200, same, content_type="application/json"), page=0)
    found = await listed(client.stream_profiles(distinct_ids=[f"alias {n}" for n in range(1001)]))
    assert [it["distinct_id"] for it in found] == ["a"]
    assert len(fake.requests) == 2


async def test_unusual_values(fake, client_of):
    fake.faults.add(Fault.status(200, UNUSUAL.encode(), content_type="application/json"), endpoint="engage")
    found = {it["distinct_id"]: it["properties"] for it in await listed(client_of(fake).stream_profiles())}
    assert found[""]["n"] == 123456789012345678901234567890
    assert found["\ufffd"]["s"] == "\N{GRINNING FACE} \ufffd"
    assert len(found) == 9


async def test_bad_arguments_raise_at_the_call(fake, client_of):
    with pytest.raises(ValueError, match="exclude each other"):
        client_of(fake).stream_profiles(behaviors=[{"window": "7d"}], cohort_id=7)
