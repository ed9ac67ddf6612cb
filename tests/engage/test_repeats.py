"""Profiles that come more than once: each is kept once, and pages that repeat others for ever end in an error."""

from __future__ import annotations

import json
from contextlib import suppress

import duckdb
import pytest

from mixpanel_async import ServerError
from mixpanel_async.testing import Fault

from .conftest import WAYS, all_ids, stored, truth, truth_ids, with_fields, with_total

# Pages that repeat others


def with_results_of(first):
    """Each page has the profiles of the first."""
    return lambda page: {**page, "results": first}


@WAYS
@pytest.mark.parametrize("total", [10, 0, None, 15, 76, 10**12])
async def test_a_server_that_repeats_the_first_page_for_ever_is_an_error(
    fake, client_of, path, edit_pages, total, parallel
):
    client = client_of(fake)
    await client.fetch_profiles()
    before = stored(path)
    first = [json.loads(line) for line in fake.profiles.snapshot().written(range(10))]
    edit_pages(lambda page: with_total(total)({**page, "results": first}))

    with suppress(ServerError):
        assert (await client.fetch_profiles(parallel=parallel)).has_failures
    assert stored(path) == before

    found = []
    with pytest.raises(ServerError, match=r"page 1: "):
        async for profile in client.stream_profiles():
            found.append(profile["distinct_id"])  # noqa: PERF401 - what came before the error counts
    assert found == truth_ids(fake)[:10]


@WAYS
async def test_a_server_that_begins_again_at_the_end_is_an_error(fake, client_of, path, edit_pages, parallel):
    """Each page is full, and from page 3 on holds what came before, never in the same pages."""
    lines = [json.loads(line) for line in fake.profiles.snapshot().written(range(23))]
    edit_pages(
        lambda page: {**page, "total": None, "results": [lines[(page["page"] * 10 + n) % 23] for n in range(10)]}
    )
    client = client_of(fake)
    with pytest.raises(ServerError, match="page 3: All 10 profiles of this page were on pages before it"):
        await client.fetch_profiles(parallel=parallel)
    found = []
    with pytest.raises(ServerError, match="page 3: All 10 profiles of this page were on pages before it"):
        async for profile in client.stream_profiles():
            found.append(profile["distinct_id"])  # noqa: PERF401 - what came before the error counts
    assert sorted(found) == sorted(truth_ids(fake)[:23])


async def test_a_page_that_is_another_once_is_requested_again(fake, client_of, path, edit_pages):
    second = [json.loads(line) for line in fake.profiles.snapshot().written(range(10, 20))]
    edit_pages(with_results_of(second), page=4, attempts=[1])
    result = await client_of(fake).fetch_profiles()
    assert stored(path) == truth(fake)
    assert result.warnings == ()


# One profile on several pages


@WAYS
@pytest.mark.parametrize("page", [1, 4])
async def test_a_profile_on_two_pages_comes_once_and_is_told(fake, client_of, path, edit_pages, page, parallel):
    first = {"$distinct_id": "顧客-0", "$properties": {"n": 0, "again": True}}
    edit_pages(lambda it: {**it, "results": [first, *it["results"][1:]]}, page=page)
    client = client_of(fake)

    result = await client.fetch_profiles(parallel=parallel)

    assert result.total_rows == 75
    assert result.warnings == ("1 profile came more than once, and is kept once; another may be missing.",)
    with duckdb.connect(str(path)) as connection:
        rows = dict(connection.execute("SELECT distinct_id, properties FROM profiles").fetchall())
    assert len(rows) == 75
    assert "again" in rows["顧客-0"]  # the last that came
    found = [it async for it in client.stream_profiles()]
    assert len(found) == len({it["distinct_id"] for it in found}) == 75
    assert "again" not in found[0]["properties"]  # a stream can only keep the first


@WAYS
@pytest.mark.parametrize("total", [1, None])
async def test_several_sessions_may_have_a_profile_in_common(fake, client_of, edit_pages, total, parallel):
    edit_pages(with_fields(results=[{"$distinct_id": "a", "$properties": {}}], total=total), page=0)
    aliases = {"distinct_ids": [f"alias {n}" for n in range(1001)]}
    client = client_of(fake)
    result = await client.fetch_profiles(**aliases, parallel=parallel)
    assert (result.total_rows, result.warnings) == (1, ())
    assert await all_ids(client.stream_profiles(**aliases)) == ["a"]


async def test_a_stream_whose_session_expired_gives_each_profile_once_with_no_total(fake, client_of, edit_pages):
    """The pages that come again after the session has expired are not taken for repeated ones."""
    edit_pages(with_total(None))
    fake.faults.add(Fault.session_expired(), page=5, times=1)
    edit_pages(lambda page: {**page, "results": [page["results"][0], *page["results"]]}, page=2)
    assert await all_ids(client_of(fake).stream_profiles()) == truth_ids(fake)
