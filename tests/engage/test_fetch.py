"""Fetches of profiles: exact whatever goes wrong, and the table as it was until all is there."""

from __future__ import annotations

import asyncio
import json
import logging
import math

import duckdb
import pytest

from mixpanel_async import (
    AuthenticationError,
    ExportError,
    MixpanelClient,
    QueryError,
    RetryPolicy,
    SelectionMismatchError,
    ServerError,
    ServiceAccount,
    StoreError,
    TableNotFoundError,
)
from mixpanel_async.testing import (
    Catalog,
    Cohort,
    FakeLimits,
    Fault,
    GeneratedProfiles,
    GivenProfiles,
    QueryRules,
    Wording,
)
from tests.system.conftest import AT_ONCE

from .conftest import PAGES, ours, people, requested, stored, truth

PARALLEL = {"parallel": True}


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (10, 2), (11, 2), (30, 4), (76, 8)])
async def test_any_number_of_profiles_is_exact(fake, client_of, path, parallel, count, pages):
    fake.profiles = GivenProfiles(people(count))

    result = (await client_of(fake).fetch_profiles(parallel=parallel)).to_dict()

    assert stored(path) == truth(fake)
    assert sorted(page for page, _ in requested(fake)) == list(range(pages))
    assert result.get("total_rows", result.get("rows")) == count
    assert (result["table"], result.get("type", "profiles")) == ("profiles", "profiles")
    assert result.get("successful_pages", pages) == pages
    assert ours(path) == {"profiles"}


async def test_mixpanels_own_page_size(fake, client_of, path):
    """7,300 profiles, and page 3 fails once."""
    fake.profiles, fake.query_rules = GeneratedProfiles(count=7300), QueryRules()
    fake.faults.add(Fault.status(503), page=3, attempts=[1])

    result = await client_of(fake).fetch_profiles(**PARALLEL)

    assert stored(path) == truth(fake)
    assert (result.total_rows, result.successful_pages, result.failed_page_indices) == (7300, 8, ())
    assert len(fake.requests) == 9


async def test_a_session_that_expires_at_page_40_begins_again(fake, client_of, path, caplog):
    caplog.set_level(logging.INFO)
    fake.profiles = GivenProfiles(people(596))
    fake.faults.add(Fault.session_expired(), page=40, times=1)

    result = await client_of(fake).fetch_profiles(**PARALLEL)

    assert stored(path) == truth(fake)
    assert (result.total_rows, result.successful_pages) == (596, 60)
    assert sum(page == 0 for page, _ in requested(fake)) == 2
    assert "All profiles, from the first page: Profiles, page 40: Mixpanel rejects the query (400): " in caplog.text


@pytest.mark.parametrize("parallel", [True, False])
async def test_a_session_that_always_expires_ends_and_leaves_the_table(fake, client_of, path, parallel):
    client = client_of(fake)
    await client.fetch_profiles()
    before = stored(path)
    fake.profiles = GivenProfiles(people(76, changed=True))
    fake.query_rules = QueryRules(page_size=10, session_pages=4)

    with pytest.raises(QueryError, match="uncached query"):
        await client.fetch_profiles(parallel=parallel)

    assert stored(path) == before
    assert sum(page == 0 for page, _ in requested(fake)) == 1 + AT_ONCE.attempts


async def test_first_page_first_and_then_five_at_once(fake, client_of, caplog):
    fake.latency = 0.02
    opened = []
    fake.faults.add(Fault.status(503), page=0, attempts=[1])
    task = asyncio.ensure_future(client_of(fake).fetch_profiles(**PARALLEL, max_workers=9))
    await fake.until(lambda: opened.append(fake.open_queries) or len(fake.requests) == 2)
    assert max(opened) == 1
    await task

    assert fake.max_open_queries == 5
    assert "max_workers=9: Mixpanel allows 5 queries at once, so 5 are used." in caplog.text


async def test_without_parallel_one_after_the_other(fake, client_of):
    fake.latency = 0.002
    await client_of(fake).fetch_profiles()
    assert fake.max_open_queries == 1
    assert [page for page, _ in requested(fake)] == [*range(PAGES)]


@pytest.mark.parametrize("count", [0, 9, 10, 30, 76])
@pytest.mark.parametrize("parallel", [True, False])
async def test_without_a_total_the_end_is_an_empty_page(fake, client_of, path, count, parallel):
    fake.profiles = GivenProfiles(people(count))
    fake.query_rules = QueryRules(page_size=10, total_on_first_page=False)
    heard = []

    await client_of(fake).fetch_profiles(parallel=parallel, on_batch_complete=heard.append)

    assert stored(path) == truth(fake)
    assert len(fake.requests) == math.ceil(count / 10) + 1
    assert [news.page_index for news in heard] == list(range(math.ceil(count / 10) + 1))


PASSING = {
    "500": Fault.status(500),
    "429": Fault.rate_limited("0"),
    "400 Timeout Error": Fault.timeout_error(),
    "a web page": Fault.html(),
    "an error in a 200": Fault.error_in_200(),
    "no results": Fault.results_missing(),
    "cut": Fault.cut(after_fraction=0.5),
    "cut, which no framing tells": Fault.cut(after_fraction=0.5, framing="close"),
    "no trailer": Fault.no_trailer(),
    "reset": Fault.reset(after_bytes=50),
    "not UTF-8": Fault.bad_utf8(),
    "another page": Fault.status(200, '{"page":5,"results":[]}', content_type="application/json"),
    "an error without words": Fault.status(200, '{"status":"error","results":[]}', content_type="application/json"),
    "another status": Fault.status(200, '{"status":"partial","results":[]}', content_type="application/json"),
    "fewer profiles": Fault.status(200, '{"results":[]}', content_type="application/json"),
    "no distinct id": Fault.status(200, '{"results":[{"$properties":{}}]}', content_type="application/json"),
    "properties that are none": Fault.status(
        200, '{"results":[{"$distinct_id":"a","$properties":[]}]}', content_type="application/json"
    ),
    "NaN": Fault.status(
        200, '{"results":[{"$distinct_id":"a","$properties":{"n":NaN}}]}', content_type="application/json"
    ),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
async def test_a_passing_fault_leaves_no_trace(fake, client_of, path, fault):
    fake.faults.add(fault, page=3, attempts=[1, 2])
    fake.faults.add(fault, page=7, attempts=[1])

    result = await client_of(fake).fetch_profiles(**PARALLEL)

    assert stored(path) == truth(fake)
    assert (result.total_rows, result.has_failures) == (76, False)
    assert len(fake.requests) == PAGES + 3


@pytest.mark.parametrize("fields", ['"status":"error"', '"status":"error","error":{}', '"total":5,"page_size":-1'])
async def test_a_first_page_of_a_wrong_shape_leaves_the_table(fake, client_of, path, fields):
    client = client_of(fake)
    await client.fetch_profiles()
    answer = f'{{{fields},"session_id":"s","results":[]}}'
    fake.faults.add(Fault.status(200, answer, content_type="application/json"), page=0)

    with pytest.raises(ServerError, match="page 0: "):
        await client.fetch_profiles()

    assert stored(path) == truth(fake)


async def test_a_page_of_another_total_is_no_page_of_this_session(fake, client_of, path):
    others = [{"$distinct_id": f"other-{n}", "$properties": {}} for n in range(10)]
    page = json.dumps({"page": 3, "page_size": 10, "total": 500, "results": others})
    fake.faults.add(Fault.status(200, page, content_type="application/json"), page=3, times=1)

    result = await client_of(fake).fetch_profiles(**PARALLEL)

    assert stored(path) == truth(fake)
    assert (result.total_rows, len(fake.requests)) == (76, PAGES + 1)


@pytest.mark.parametrize("fault", [PASSING["an error in a 200"], PASSING["not UTF-8"], PASSING["fewer profiles"]])
async def test_a_page_that_always_fails_leaves_the_table_and_is_named(fake, client_of, path, fault, caplog):
    client = client_of(fake)
    await client.fetch_profiles()
    before = stored(path)
    fake.profiles = GivenProfiles(people(76, changed=True))
    planned = [fake.faults.add(fault, page=page) for page in (3, 5)]
    heard = []

    result = await client.fetch_profiles(**PARALLEL, on_batch_complete=heard.append)

    assert (result.total_rows, result.successful_pages, result.failed_page_indices) == (0, 6, (3, 5))
    assert result.has_failures
    assert [error.partition(":")[0] for error in result.page_errors] == ["Profiles, page 3", "Profiles, page 5"]
    assert {news.page_index: (news.success, news.rows) for news in heard} == {
        page: (page not in (3, 5), 0 if page in (3, 5) else 6 if page == 7 else 10) for page in range(PAGES)
    }
    assert all("after 3 attempts" in news.error for news in heard if not news.success)
    assert sorted(record.getMessage() for record in caplog.records if record.levelno == logging.WARNING) == sorted(
        f"{news.error}. The other pages go on; resume=True fetches this one again."
        for news in heard
        if not news.success
    )
    assert stored(path) == before
    assert [each.happened for each in planned] == [3, 3]


async def test_resume_requests_only_the_failed_pages(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_profiles()
    fake.profiles = GivenProfiles(people(76, changed=True))
    fake.faults.add(Fault.status(500), page=3, times=3)
    assert (await client.fetch_profiles(**PARALLEL)).failed_page_indices == (3,)
    fake.profiles = GivenProfiles(people(3))  # the session still has the others
    fake.forget_requests()
    heard = []

    result = await client_of(fake).fetch_profiles(**PARALLEL, resume=True, on_batch_complete=heard.append)

    assert requested(fake) == [(3, 200)]
    assert (result.total_rows, result.successful_pages, result.failed_pages) == (76, 8, 0)
    assert [(news.page_index, news.total_pages) for news in heard] == [(3, 8)]
    assert stored(path) == truth_of(people(76, changed=True))
    assert ours(path) == {"profiles"}


def truth_of(profiles):
    class Server:
        pass

    Server.profiles = GivenProfiles(profiles)
    return truth(Server)


UNCACHED = Fault.error_in_200("request for page in uncached query for params {}")


@pytest.mark.parametrize("over", ["the session is over", "another call in between", "an error in a 200", "other words"])
async def test_resume_begins_again_if_the_session_has_expired(fake, client_of, path, over):
    client = client_of(fake)
    fake.faults.add(Fault.status(500), page=3, times=3)
    await client.fetch_profiles(**PARALLEL)
    fake.profiles = GivenProfiles(people(25))
    if over == "the session is over":
        fake.faults.add(Fault.session_expired(), page=3, times=1)
    elif over == "an error in a 200":
        fake.faults.add(UNCACHED, page=3, times=3)
    elif over == "other words":
        fake.faults.add(Fault.status(400, '{"error": "no such query"}'), page=3, times=1)
    else:
        await client.fetch_profiles()
    fake.forget_requests()

    result = await client.fetch_profiles(**PARALLEL, resume=True)

    assert stored(path) == truth(fake)
    assert result.total_rows == 25
    assert [page for page, _ in requested(fake)][-3:] == [0, 1, 2]


async def test_resume_of_other_profiles_is_refused_and_of_none_begins(fake, client_of, path):
    client = client_of(fake)
    fake.faults.add(Fault.status(500), page=3, times=3)
    await client.fetch_profiles("mine", **PARALLEL)
    asked_before = len(fake.requests)
    for other in ({"where": 'properties["n"] > 3'}, {"append": True}):
        with pytest.raises((SelectionMismatchError, TableNotFoundError)):
            await client.fetch_profiles("mine", **PARALLEL, resume=True, **other)
    assert len(fake.requests) == asked_before

    await client.fetch_profiles("others", **PARALLEL, resume=True)
    await client.fetch_profiles("MINE", **PARALLEL, resume=True)
    assert stored(path, "mine") == stored(path, "others") == truth(fake)


async def test_without_parallel_the_first_failure_is_raised_and_resume_goes_on(fake, client_of, path):
    fake.faults.add(Fault.status(500), page=3, times=3)
    client = client_of(fake)
    with pytest.raises(ServerError, match=r"^Profiles, page 3: .*\(500\).*after 3 attempts") as error:
        await client.fetch_profiles()
    assert error.value.__notes__ == ["The 3 pages that came are kept: see resume=True."]
    assert [page for page, _ in requested(fake)] == [0, 1, 2, 3, 3, 3]

    result = await client.fetch_profiles(resume=True)

    assert [page for page, _ in requested(fake)][6:] == [3, 4, 5, 6, 7]
    assert (result.rows, result.type, result.date_range) == (76, "profiles", None)
    assert stored(path) == truth(fake)


@pytest.mark.parametrize("parallel", [True, False])
async def test_no_first_page_is_an_error_and_leaves_nothing(fake, client_of, path, parallel):
    fake.faults.add(Fault.status(500), page=0)
    with pytest.raises(ExportError, match=r"page 0: .*500"):
        await client_of(fake).fetch_profiles(parallel=parallel)
    assert ours(path) == set()
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    ("prepare", "kind", "says"),
    [
        (lambda fake: setattr(fake, "plan_has_queries", False), QueryError, "402.*plan does not include the query API"),
        (lambda fake: fake.revoke(fake.project.service_account.username), AuthenticationError, "credentials"),
        (lambda fake: fake.faults.add(Fault.status(400), page=4), QueryError, "page 4: Mixpanel rejects the query"),
        (lambda fake: fake.faults.add(Fault.auth_expired(400), page=4), AuthenticationError, "page 4: .*credentials"),
    ],
)
async def test_a_fatal_error_ends_the_fetch(fake, client_of, path, prepare, kind, says):
    client = client_of(fake)
    await client.fetch_profiles()
    before = stored(path)
    fake.profiles = GivenProfiles(people(200))
    prepare(fake)
    fake.forget_requests()

    with pytest.raises(kind, match=says):
        await client.fetch_profiles(**PARALLEL)

    assert stored(path) == before
    assert len(fake.requests) < 12


async def test_if_pages_count_in_the_hourly_limit_the_wait_is_logged(fake, client_of, path, caplog):
    caplog.set_level(logging.INFO)
    fake.limits = FakeLimits(queries_per_hour=3)
    fake.query_rules = QueryRules(page_size=10, pages_are_counted=True)
    client = client_of(fake, retry=RetryPolicy(attempts=4, wait_initial=0, wait_max=0))
    fake._query_rate_limiter._wording = Wording(retry_after="none")  # else the wait would be a real hour

    async def let_hours_pass():
        for refused in range(1, 4):
            await fake.until(lambda count=refused: sum(status == 429 for _, status in requested(fake)) >= count)
            fake.clock.advance(3601)

    hours = asyncio.create_task(let_hours_pass())
    result = await client.fetch_profiles()
    hours.cancel()

    assert stored(path) == truth(fake)
    assert result.rows == 76
    assert "page 3: Mixpanel's rate limit (429): Query rate limit exceeded" in caplog.text


async def test_later_pages_of_a_session_do_not_count_in_the_hourly_limit(fake, client_of):
    fake.limits = FakeLimits(queries_per_hour=1)
    client = client_of(fake)
    await client.fetch_profiles(**PARALLEL)
    assert len(fake.requests) == PAGES
    assert (await client._core.query_source().limiter.budget()).left == client._core.query_source().limiter.per_hour - 1


# What is requested


COHORT = Catalog(cohorts=(Cohort(7, "Seven", members=("顧客-1", "顧客-2", "nobody")),))


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({"where": 'properties["n"] > 20 and "Ж" in properties["$name"]'},) * 2,
        ({"output_properties": ["n", "$name"]}, {"output_properties": ["n", "$name", "$last_seen"]}),
        ({"distinct_id": "顧客-3"}, {"distinct_id": "顧客-3"}),
        ({"distinct_ids": ["顧客-3", "no such", "顧客-5", "顧客-3"]}, {"distinct_ids": ["顧客-3", "顧客-5"]}),
        ({"cohort_id": 7}, {"filter_by_cohort": {"id": 7}, "include_all_users": "false"}),
        ({"cohort_id": 7, "include_all_users": True}, {"filter_by_cohort": {"id": 7}}),
        ({"cohort_id": 7, "where": 'properties["n"] == 1'}, {"filter_by_cohort": {"id": 7}, "where": 'properties["n"] == 1'}),
    ],
)  # fmt: skip
async def test_selections(fake, client_of, path, arguments, parameters):
    fake.catalog = COHORT
    await client_of(fake).fetch_profiles(**PARALLEL, **arguments)
    assert rows_of(path) == {it["$distinct_id"]: it["$properties"] for it in fake.truth_profiles(**parameters)} != {}


def rows_of(path, table="profiles"):
    with duckdb.connect(str(path)) as connection:
        rows = connection.execute(f"SELECT distinct_id, properties FROM {table}").fetchall()
    assert len(rows) == len(dict(rows))
    return {distinct_id: json.loads(properties) for distinct_id, properties in rows}


async def test_groups_are_named_by_text(fake, client_of, path):
    group = 8453995111420155989
    fake._data.groups[str(group)] = GivenProfiles([{"$distinct_id": "Acme", "$properties": {"seats": 3}}])
    for number in (group, str(group)):
        await client_of(fake).fetch_profiles("groups", group_id=number)
        assert rows_of(path, "groups") == {"Acme": {"seats": 3}}


async def test_behaviors_are_counted_up_to_one_moment_on_all_pages(fake, client_of, path):
    """The fake, as Mixpanel, serves no second page of behaviors without `as_of_timestamp`."""
    day = 1_770_000_000  # 2026-02-02
    fake.events = [
        {"event": "Purchase", "properties": {"time": day, "distinct_id": f"顧客-{n}", "$insert_id": f"i{n}"}}
        for n in range(25)
    ]
    behaviors = [{"window": "7d", "name": "bought", "event_selectors": [{"event": "Purchase"}]}]
    bought = {"where": 'behaviors["bought"] > 0', "behaviors": behaviors}
    client = client_of(fake)

    await client.fetch_profiles(**PARALLEL, **bought, as_of_timestamp=day + 86400)
    assert len(rows_of(path)) == 25
    await client.fetch_profiles("never", **PARALLEL, where='behaviors["bought"] == 0', behaviors=behaviors)
    assert len(rows_of(path, "never")) == 76
    moments = {made.params["as_of_timestamp"] for made in fake.requests[3:]}
    assert len(moments) == 1


async def test_many_ids_are_several_sessions_that_fail_and_resume_apart(fake, client_of, path):
    fake.profiles, fake.query_rules = GivenProfiles(people(2500)), QueryRules()
    ids = [f"顧客-{n}" for n in range(2300)] * 2
    fake.faults.add(Fault.status(500), page=0, attempts=[2, 3, 4])  # of the second part, as the third waits for it
    client = client_of(fake)

    result = await client.fetch_profiles(**PARALLEL, distinct_ids=ids, max_workers=1)
    assert (result.successful_pages, result.failed_page_indices) == (3, (1,))
    assert len(fake.requests) == 6  # a page that is full is followed by another
    result = await client.fetch_profiles(**PARALLEL, distinct_ids=ids[::-1], resume=True)

    assert len(fake.requests) == 8
    assert (result.total_rows, result.successful_pages) == (2300, 5)
    assert rows_of(path).keys() == set(ids)


async def test_ids_and_names_may_come_from_an_iterator(fake, client_of, path):
    ids = (f"顧客-{n}" for n in range(3))
    result = await client_of(fake).fetch_profiles(distinct_ids=ids, output_properties=map(str, ["n"]))

    assert result.rows == 3
    assert [set(properties) - {"$last_seen"} for properties in rows_of(path).values()] == [{"n"}] * 3


async def test_last_seen_is_there_whichever_properties_are_selected(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_profiles("every")
    await client.fetch_profiles("few", output_properties=["n"])
    few = {it["distinct_id"]: it["last_seen"] async for it in client.stream_profiles(output_properties=["n"])}
    with duckdb.connect(str(path)) as connection:
        tables = [
            dict(connection.execute(f"SELECT distinct_id, last_seen FROM {it}").fetchall()) for it in ("every", "few")
        ]
    assert tables == [few, few]
    assert None in few.values()
    assert len(set(few.values())) > 20


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"behaviors": [{"window": "7d"}], "cohort_id": 7}, "behaviors and cohort_id exclude each other"),
        ({"behaviors": []}, "behaviors must be a list such as"),
        ({"behaviors": "x"}, "behaviors must be a list such as"),
        ({"behaviors": [{"n": float("nan")}]}, "what JSON can hold"),
        ({"behaviors": [{"n": "\ud800"}]}, "what JSON can hold, with no lone surrogate"),
        ({"as_of_timestamp": 5}, "pass it with behaviors"),
        ({"include_all_users": True}, "pass it with cohort_id"),
        ({"cohort_id": "7"}, "cohort_id must be a whole number, 1 or more"),
        ({"cohort_id": True}, "cohort_id must be"),
        ({"distinct_id": "a", "distinct_ids": ["b"]}, "pass one of them"),
        ({"distinct_ids": []}, "distinct_ids is empty, which selects nothing"),
        ({"distinct_ids": iter(())}, "distinct_ids is empty"),
        ({"distinct_ids": 5}, "distinct_ids must be a list of ids"),
        ({"distinct_ids": "abc"}, r"\['abc'\]"),
        ({"distinct_id": ""}, "distinct_id must be an id"),
        ({"distinct_id": "\udc00"}, "distinct_id must be an id .* no lone surrogate"),
        ({"output_properties": "plan"}, r"output_properties must be a list, such as \['plan'\]"),
        ({"output_properties": [1]}, "output_properties must be a list of names"),
        ({"where": "  "}, "where must be an expression"),
        ({"group_id": "abc"}, "group_id must be a data group's number"),
        ({"group_id": True}, "group_id must be"),
        ({"max_workers": 0}, "max_workers must be a whole number"),
        ({"name": "a b"}, "letters, digits and underscores"),
        ({"name": "_mixpanel_pages"}, "the library's own"),
    ],
)
async def test_bad_arguments_raise_before_a_byte_is_sent_or_a_file_made(fake, client_of, path, arguments, says):
    with pytest.raises(ValueError, match=says):
        await client_of(fake).fetch_profiles(**arguments)
    assert fake.requests == []
    assert not path.exists()


# The table


async def test_a_fetch_replaces_and_a_reader_sees_the_old_table_or_the_new(fake, client_of):
    connection = duckdb.connect()
    client = client_of(fake, database=connection)
    await client.fetch_profiles()
    before = stored(connection)
    fake.profiles = GivenProfiles(people(33, changed=True))
    seen = []
    fetch = client.fetch_profiles(**PARALLEL, on_batch_complete=lambda _: seen.append(stored(connection.cursor())))
    await fetch
    assert all(rows in (before, truth(fake)) for rows in seen)
    assert seen[0] == before
    assert stored(connection) == truth(fake)
    connection.close()


async def test_a_database_in_memory(fake):
    known = fake.project.service_account
    account = ServiceAccount(known.username, known.secret, fake.project.id)
    async with MixpanelClient(account, database=":memory:", base_url=fake.url) as client:
        assert (await client.fetch_profiles(**PARALLEL)).total_rows == 76
        assert (await client.fetch_profiles(**PARALLEL)).total_rows == 76


async def test_append_replaces_those_that_come_and_leaves_the_others(fake, client_of, path):
    client = client_of(fake)
    with pytest.raises(TableNotFoundError, match="fetch it first"):
        await client.fetch_profiles(append=True)
    await client.fetch_profiles(where='properties["n"] < 40')
    fake.profiles = GivenProfiles(people(76, changed=True))
    fake.forget_requests()

    result = await client.fetch_profiles(**PARALLEL, where='properties["n"] >= 30', append=True)

    assert result.total_rows == 46
    rows = rows_of(path)
    assert len(rows) == 76
    assert {row["n"] for row in rows.values() if "changed" in row} == set(range(30, 76))
    with pytest.raises(SelectionMismatchError, match="output_properties"):
        await client.fetch_profiles(append=True, output_properties=["n"])
    await client.fetch_profiles(where='properties["n"] < 40')
    assert len(rows_of(path)) == 40


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("change", ["DROP TABLE profiles; CREATE TABLE profiles AS SELECT 42 AS mine",
                                    "ALTER TABLE profiles ADD COLUMN mine INTEGER"])  # fmt: skip
async def test_a_table_that_was_changed_is_left_alone(fake, client_of, path, change, append):
    client = client_of(fake)
    await client.fetch_profiles()
    with duckdb.connect(str(path)) as connection:
        connection.execute(change)
        before = connection.execute("FROM profiles").fetchall()
    fake.forget_requests()

    with pytest.raises(StoreError, match=r"has the columns .*'mine'\], and profiles need .*: choose another name"):
        await client.fetch_profiles(append=append)

    assert fake.requests == []
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("FROM profiles").fetchall() == before


async def test_tables_that_are_not_for_this_are_left_alone(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_profiles(where='properties["n"] < 40')
    await client.fetch_events("some_events", from_date="2026-01-01", to_date="2026-01-01")
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER); CREATE VIEW seen AS FROM mine")
    fake.forget_requests()
    for name, kind, says in [
        ("profiles", SelectionMismatchError, "pass the same, or another table"),
        ("some_events", StoreError, "holds events"),
        ("mine", StoreError, "not made by this library"),
        ("seen", StoreError, "not made by this library"),
    ]:
        with pytest.raises(kind, match=says):
            await client.fetch_profiles(name)
    with pytest.raises(StoreError, match="columns"):
        await client.fetch_events("profiles", from_date="2026-01-01", to_date="2026-01-01", append=True)
    assert fake.requests == []


async def test_a_profiles_table_that_somebody_dropped_is_created_again(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_profiles(where='properties["n"] < 40')
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE profiles")
    await client.fetch_profiles()
    await client.fetch_profiles()
    assert stored(path) == truth(fake)


async def test_calls_for_one_table_take_turns_and_for_others_do_not_meet(fake, client_of, path):
    client = client_of(fake)
    await asyncio.gather(*(client.fetch_profiles(name, **PARALLEL) for name in ("a", "A", "b", "c")))
    assert stored(path, "a") == stored(path, "b") == stored(path, "c") == truth(fake)
    assert fake.max_open_queries <= 5


async def test_hooks(fake, client_of, caplog):
    heard = []

    async def hook(progress):
        heard.append(progress)
        raise ZeroDivisionError

    result = await client_of(fake).fetch_profiles(**PARALLEL, on_batch_complete=hook)
    assert sorted(news.page_index for news in heard) == list(range(PAGES))
    assert {news.total_pages for news in heard} == {PAGES}
    assert sum(news.rows for news in heard) == result.total_rows
    assert "A progress hook failed" in caplog.text


# The values


UNUSUAL = r"""{"page":0,"page_size":10,"total":9,"session_id":"s","status":"ok","computed_at":"x","results":[
{"$distinct_id":4,"$properties":{"$last_seen":"2008-06-09T23:08:40.25","n":1}},
{"$distinct_id":8453995111420155989,"$properties":{"$last_seen":"2008-06-09T23:08:40Z", "n":1.10 }},
{"$distinct_id":"","$properties":{"$last_seen":"2008-06-09T23:08:40+02:00","n":123456789012345678901234567890}},
{"$distinct_id":"null","$properties":null},
{"$distinct_id":"bare","other":[1]},
{"$properties":{"$last_seen":"<null>","s":"\ud83d\ude00 \ud800"},"$distinct_id":"\ud800"},
{"$distinct_id":"a \"quoted\" \u00e4","$properties":{"$last_seen":1213052920,"n":1e400,"n":2}},
{"$distinct_id":"y","$properties":{"$last_seen":"2008-13-09T23:08:40","deep":{"a":[{"$last_seen":"2008-01-01T00:00:00"}]}}},
{"$distinct_id":"z","$properties":{"$last_seen":null,"":"\u0000"}}]}"""


async def test_unusual_values_stay_as_they_came(fake, client_of, path):
    fake.faults.add(Fault.status(200, UNUSUAL.encode(), content_type="application/json"), endpoint="engage")
    await client_of(fake).fetch_profiles()
    with duckdb.connect(str(path)) as connection:
        rows = {
            row[0]: row[1:]
            for row in connection.execute("SELECT distinct_id, last_seen::VARCHAR, properties FROM profiles").fetchall()
        }
    seen = "2008-06-09 23:08:40"
    assert rows == {
        "4": (f"{seen}.25", '{"$last_seen":"2008-06-09T23:08:40.25","n":1}'),
        "8453995111420155989": (seen, '{"$last_seen":"2008-06-09T23:08:40Z", "n":1.10 }'),
        "": ("2008-06-09 21:08:40", '{"$last_seen":"2008-06-09T23:08:40+02:00","n":123456789012345678901234567890}'),
        "null": (None, "{}"),
        "bare": (None, "{}"),
        "\ufffd": (None, r'{"$last_seen":"<null>","s":"\ud83d\ude00 \ufffd"}'),
        'a "quoted" ä': (None, '{"$last_seen":1213052920,"n":1e400,"n":2}'),
        "y": (None, '{"$last_seen":"2008-13-09T23:08:40","deep":{"a":[{"$last_seen":"2008-01-01T00:00:00"}]}}'),
        "z": (None, r'{"$last_seen":null,"":"\u0000"}'),
    }


async def test_a_profile_on_two_pages_is_stored_once(fake, client_of, path):
    again = [{"$distinct_id": f"顧客-{n}", "$properties": {"again": True}} for n in (0, 0, 5, 12, 13, 14)]
    page = json.dumps({"page": 7, "page_size": 10, "results": again})
    fake.faults.add(Fault.status(200, page, content_type="application/json"), page=7)
    result = await client_of(fake).fetch_profiles()
    rows = rows_of(path)
    assert len(rows) == result.rows == 70
    assert sum("again" in row for row in rows.values()) == 5
