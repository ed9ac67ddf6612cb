"""Totals and page sizes that are wrong: all profiles come, none twice, and what does not add up is told."""

from __future__ import annotations

import logging
from contextlib import suppress
from itertools import product

import pytest

from mixpanel_async import ExportError, ServerError
from mixpanel_async.testing import Fault, GivenProfiles, QueryRules
from tests.slices import few

from .conftest import WAYS, all_ids, people, requested, stored, truth, truth_ids, with_fields, with_total


def without_last(count):
    return lambda page: {**page, "results": page["results"][: len(page["results"]) - count]}


TOTALS = [15, 10, 0, 28, 57, 2**70, 10**400, -5, 24.5, "abc", None, True, [], "23", 23.0]


@pytest.mark.parametrize(
    ("total", "count", "parallel"),
    few(product(TOTALS, [23, 30], [True, False]), 24),
    ids=lambda value: repr(value)[:10],
)
async def test_whatever_the_total_all_profiles_come(fake, client_of, path, edit_pages, total, count, parallel):
    fake.profiles = GivenProfiles(people(count))
    edit_pages(with_total(total))

    client = client_of(fake)
    result = await client.fetch_profiles(parallel=parallel)

    assert stored(path) == truth(fake)
    assert (result.total_rows, result.has_failures) == (count, False)
    assert await all_ids(client.stream_profiles()) == truth_ids(fake)


@WAYS
@pytest.mark.parametrize("total", [2350, 1500, 1000, 0, "2345", 2345.0, None])
async def test_the_case_from_the_field(fake, client_of, path, edit_pages, total, parallel, caplog):
    fake.profiles, fake.query_rules = GivenProfiles(people(2345)), QueryRules()
    edit_pages(with_total(total))

    result = await client_of(fake).fetch_profiles(parallel=parallel)

    assert stored(path) == truth(fake)
    wrong = isinstance(total, int) and f"Mixpanel counted {total:,} profiles, and 2,345 came."
    assert result.warnings == ((wrong,) if wrong else ())
    assert "warnings" not in result.to_dict()
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == ([f"Profiles: {wrong}"] if wrong else [])


async def test_the_total_of_each_page_may_be_its_own(fake, client_of, path, edit_pages):
    edit_pages(lambda page: {**page, "total": len(page["results"])})
    result = await client_of(fake).fetch_profiles(parallel=True)
    assert stored(path) == truth(fake)
    assert result.warnings == ("Mixpanel counted 10 profiles, and 76 came.",)


@WAYS
async def test_a_page_that_keeps_another_total_is_kept_and_told(fake, client_of, path, edit_pages, parallel):
    edit_pages(with_fields(total=500), page=3)
    result = await client_of(fake).fetch_profiles(parallel=parallel)
    assert stored(path) == truth(fake)
    assert result.warnings == ("Page 3 counts 500 profiles in all, and page 0 counts 76.",)


@WAYS
@pytest.mark.parametrize("page", [0, 1, 6])
async def test_a_page_that_is_short_once_is_requested_once_more(fake, client_of, path, edit_pages, page, parallel):
    edit_pages(without_last(3), page=page, attempts=[1])
    client = client_of(fake)
    result = await client.fetch_profiles(parallel=parallel)
    assert stored(path) == truth(fake)
    assert result.warnings == ()
    assert sum(number == page for number, _ in requested(fake)) == 2


@pytest.mark.parametrize("page", [0, 1, 6])
async def test_a_page_that_is_short_once_streams_whole(fake, client_of, edit_pages, page):
    edit_pages(without_last(3), page=page, attempts=[1])
    assert await all_ids(client_of(fake).stream_profiles()) == truth_ids(fake)


@pytest.mark.parametrize("fuller", [1, 2])
async def test_of_two_short_pages_the_fuller_is_kept(fake, client_of, path, edit_pages, fuller):
    edit_pages(without_last(1), page=2, attempts=[fuller])
    edit_pages(without_last(4), page=2, attempts=[3 - fuller])
    result = await client_of(fake).fetch_profiles(parallel=True)
    assert result.total_rows == 75
    assert stored(path) <= truth(fake)


async def test_a_short_page_is_kept_if_it_is_empty_when_requested_again(fake, client_of, path, edit_pages):
    edit_pages(without_last(3), page=2, attempts=[1])
    edit_pages(without_last(10), page=2, attempts=[2, 3, 4])
    result = await client_of(fake).fetch_profiles(parallel=True)
    assert (result.total_rows, result.has_failures) == (73, False)


@WAYS
@pytest.mark.parametrize("page", [0, 6])
@pytest.mark.parametrize("total", [76, 30, 0, 100])
async def test_a_page_that_stays_short_is_kept_and_told(fake, client_of, path, edit_pages, page, total, parallel):
    edit_pages(without_last(3), page=page)
    edit_pages(with_fields(total=total), page=0)
    client = client_of(fake)

    result = await client.fetch_profiles(parallel=parallel)

    assert (result.total_rows, result.has_failures) == (73, False)
    assert stored(path) <= truth(fake)
    assert result.warnings == (
        f"Mixpanel counted {total} profiles, and 73 came.",
        f"1 page before the last has fewer profiles than a page holds (10): page {page} has 7.",
    )
    assert len(await all_ids(client.stream_profiles())) == 73


SIZES = [4, 1000, 11, 0, -1, None, "10", 10.0, True, "x", {}, 2**70]


@pytest.mark.parametrize(
    ("size", "total", "parallel"), few(product(SIZES, [76, None, 30], [True, False]), 24), ids=repr
)
async def test_whatever_the_page_size_all_profiles_come(fake, client_of, path, edit_pages, size, total, parallel):
    edit_pages(lambda page: with_total(total)({**page, "page_size": size}))

    client = client_of(fake)
    result = await client.fetch_profiles(parallel=parallel)

    assert stored(path) == truth(fake)
    assert (result.total_rows, result.has_failures) == (76, False)
    assert await all_ids(client.stream_profiles()) == truth_ids(fake)


@WAYS
async def test_a_page_size_that_is_missing(fake, client_of, path, edit_pages, parallel):
    edit_pages(lambda page: {name: value for name, value in page.items() if name not in ("page_size", "total")})
    await client_of(fake).fetch_profiles(parallel=parallel)
    assert stored(path) == truth(fake)


@WAYS
@pytest.mark.parametrize(
    ("count", "total", "can_be_all"),
    [(0, None, True), (9, None, True), (9, 9, True), (9, 3, True), (10, 10, True), (9, 12, False), (10, None, False)],
)
async def test_without_a_session_only_what_can_be_all_profiles_is_taken(
    fake, client_of, path, edit_pages, count, total, can_be_all, parallel
):
    fake.profiles = GivenProfiles(people(count))
    edit_pages(with_fields(session_id=None, total=total))
    if can_be_all:
        await client_of(fake).fetch_profiles(parallel=parallel)
        assert stored(path) == truth(fake)
        assert len(fake.requests) == 1
    else:
        with pytest.raises(ExportError, match="no session id to request them with"):
            await client_of(fake).fetch_profiles(parallel=parallel)


@WAYS
async def test_the_same_for_several_sessions(fake, client_of, path, edit_pages, parallel):
    fake.profiles = GivenProfiles(people(2300))
    fake.query_rules = QueryRules(page_size=300)
    edit_pages(lambda page: {**page, "total": 5} if page["page"] == 0 and len(page["results"]) == 300 else page)
    ids = [f"顧客-{n}" for n in range(2300)]
    client = client_of(fake)

    result = await client.fetch_profiles(distinct_ids=ids, parallel=parallel)

    assert stored(path) == truth(fake)
    assert set(result.warnings) == {
        "Part 1 of 3: Mixpanel counted 5 profiles, and 1,000 came.",
        "Part 2 of 3: Mixpanel counted 5 profiles, and 1,000 came.",
        "Part 3 of 3: Mixpanel counted 5 profiles, and 300 came.",
    }
    assert sorted(await all_ids(client.stream_profiles(distinct_ids=ids))) == sorted(ids)


async def test_the_same_for_groups(fake, client_of, path, edit_pages):
    fake._data.groups["7"] = GivenProfiles(people(23))
    edit_pages(with_total(10))
    result = await client_of(fake).fetch_profiles(group_id=7, parallel=True)
    assert result.total_rows == 23
    assert result.warnings == ("Mixpanel counted 10 profiles, and 23 came.",)


@pytest.mark.parametrize(
    ("failing", "total", "parallel"), few(product([0, 1, 3], [15, 0, 38, None], [True, False]), 12)
)
async def test_a_resume_goes_on_by_the_same_rule(fake, client_of, path, edit_pages, failing, total, parallel):
    fake.profiles = GivenProfiles(people(33))
    edit_pages(with_total(total))
    edit_pages(without_last(2), page=1)
    fake.faults.add(Fault.status(500), page=failing, times=3)
    client = client_of(fake)
    with suppress(ExportError):
        assert (await client.fetch_profiles(parallel=parallel)).has_failures

    result = await client.fetch_profiles(parallel=parallel, resume=True)

    assert (result.total_rows, result.has_failures) == (31, False)
    assert stored(path) <= truth(fake)


# Empty pages


@WAYS
async def test_empty_pages_at_the_end_are_no_failure(fake, client_of, path, edit_pages, parallel):
    edit_pages(with_total(120))
    heard = []
    result = await client_of(fake).fetch_profiles(parallel=parallel, on_batch_complete=heard.append)
    assert stored(path) == truth(fake)
    assert result.warnings == ("Mixpanel counted 120 profiles, and 76 came.",)
    assert sorted(news.page_index for news in heard) == list(range(12))
    assert all(news.success for news in heard)


async def test_an_empty_page_before_others_is_a_failure_and_a_resume_requests_it(fake, client_of, path, edit_pages):
    client = client_of(fake)
    await client.fetch_profiles()
    before = stored(path)
    fake.profiles = GivenProfiles(people(76, changed=True))
    edit_pages(without_last(10), page=3, times=3)
    edit_pages(with_total(120))

    result = await client.fetch_profiles(parallel=True)
    assert (result.total_rows, result.failed_page_indices) == (0, (3,))
    assert stored(path) == before

    fake.faults.clear()
    result = await client.fetch_profiles(parallel=True, resume=True)
    assert (result.total_rows, result.has_failures) == (76, False)
    assert stored(path) == truth(fake)


async def test_an_empty_page_before_others_ends_a_fetch_without_parallel(fake, client_of, edit_pages):
    edit_pages(without_last(10), page=3)
    with pytest.raises(ServerError, match=r"^Profiles, page 3: The page has no profiles instead of 10 \(after 3"):
        await client_of(fake).fetch_profiles()


async def test_an_empty_page_before_others_ends_a_stream_before_the_others(fake, client_of, edit_pages):
    edit_pages(without_last(10), page=3)
    found = []
    with pytest.raises(ServerError, match=r"^Profiles, page 3: The page has no profiles instead of 10 \(after 3"):
        async for profile in client_of(fake).stream_profiles():
            found.append(profile["distinct_id"])  # noqa: PERF401 - what came before the error counts
    assert found == truth_ids(fake)[:30]


@WAYS
async def test_an_empty_first_page_with_a_total_leaves_the_table(fake, client_of, path, edit_pages, parallel):
    client = client_of(fake)
    await client.fetch_profiles()
    edit_pages(without_last(10), page=0)
    with pytest.raises(ExportError, match="page 0: The page has no profiles instead of 10"):
        await client.fetch_profiles(parallel=parallel)
    assert stored(path) == truth(fake)


# Fields that are odd


@WAYS
@pytest.mark.parametrize(
    "fields", [{"status": None}, {"session_id": 12345}, {"page": "3"}, {"page": None}, {"page": 3.0}, {"extra": [1]}]
)
async def test_odd_fields_beside_good_profiles_do_no_harm(fake, client_of, path, edit_pages, fields, parallel):
    edit_pages(with_fields(**fields), page=3)
    await client_of(fake).fetch_profiles(parallel=parallel)
    assert stored(path) == truth(fake)


@pytest.mark.parametrize("results", [None, {}, "x", 5, [None], [[]], ["x"], {"0": {}}])
async def test_results_that_are_no_list_of_profiles_are_an_error(fake, client_of, path, edit_pages, results):
    client = client_of(fake)
    await client.fetch_profiles()
    edit_pages(with_fields(results=results), page=3)
    assert (await client.fetch_profiles(parallel=True)).failed_page_indices == (3,)
    assert stored(path) == truth(fake)
    edit_pages(with_fields(results=results, total=0), page=0)
    with pytest.raises(ServerError, match="page 0: The response is not a page of profiles"):
        await client.fetch_profiles()
    assert stored(path) == truth(fake)
