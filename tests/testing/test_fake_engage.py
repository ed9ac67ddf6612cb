"""Profiles: pages, sessions, parameters, and faults."""

from __future__ import annotations

import asyncio
import json
import os
import random

import aiohttp
import pytest

from mixpanel_async.testing import (
    Catalog,
    Cohort,
    FakeLimits,
    FakeMixpanel,
    Fault,
    GeneratedEvents,
    GeneratedProfiles,
    GivenEvents,
    GivenProfiles,
    Project,
    QueryRules,
)

NIGHTLY = os.environ.get("MIXPANEL_ASYNC_NIGHTLY") == "1"
ENGAGE = "/api/query/engage"
GROUP = "8453995111420155989"
UNCACHED = "request for page in uncached query for params"
PEOPLE = {
    "ada": {"$email": "ada@x.com", "plan": "pro", "n": 1, "$last_seen": "2026-02-01T10:00:00"},
    "bob": {"$email": "bob@x.com", "plan": "free", "n": "1", "$last_seen": "2026-01-01T10:00:00"},
    "cy": {"plan": "pro", "n": 3},
    "4": {},
}
CATALOG = Catalog(cohorts=(Cohort(7, "Some", ("bob", "ghost", "ada", "spectre")),))


def people(properties=PEOPLE):
    return [{"$distinct_id": name, "$properties": held} for name, held in properties.items()]


@pytest.fixture
async def fake():
    groups = {GROUP: [{"$distinct_id": "Acme", "$properties": {"seats": 5}}]}
    projects = [Project(), Project(777)]
    async with FakeMixpanel(profiles=people(), groups=groups, catalog=CATALOG, projects=projects, limits=None) as fake:
        yield fake


@pytest.fixture
async def many():
    async with FakeMixpanel(profiles=GeneratedProfiles(count=2500), limits=None) as fake:
        yield fake


async def page_of(query, fake, page=0, session=None, **form):
    reply = await query(fake, ENGAGE, form=form | ({"page": page, "session_id": session} if session else {}))
    assert reply.status == 200, reply.body
    return reply.json


async def ids(query, fake, **form):
    page = await page_of(query, fake, **form)
    assert page["total"] == len(page["results"])
    chosen = {name: value for name, value in form.items() if name != "page_size"}
    assert page["results"] == list(fake.truth_profiles(**chosen))
    return [profile["$distinct_id"] for profile in page["results"]]


async def download(query, fake, **form):
    """All pages in order, until one is short, as Mixpanel's docs describe."""
    page = await page_of(query, fake, **form)
    session, found = page["session_id"], page["results"]
    while len(page["results"]) >= page["page_size"]:
        page = await page_of(query, fake, page["page"] + 1, session, **form)
        found += page["results"]
    return found


async def refused(query, fake, text, **form):
    reply = await query(fake, ENGAGE, form=form)
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/json"
    assert text in reply.json["error"]
    assert reply.json["request"].startswith(ENGAGE)


# pages


async def test_item_79_the_first_page(query, many):
    reply = await query(many, ENGAGE)
    assert reply.headers["content-type"] == "application/json"
    page = reply.json
    results = page.pop("results")
    assert isinstance(page.pop("session_id"), str)
    assert page == {
        "page": 0,
        "page_size": 1000,
        "status": "ok",
        "total": 2500,
        "computed_at": "2026-02-10T12:00:00.000000+00:00",
    }
    assert len(results) == 1000
    assert all(set(profile) == {"$distinct_id", "$properties"} for profile in results)
    assert all(isinstance(profile["$distinct_id"], str) for profile in results)


async def test_nobody(query):
    async with FakeMixpanel(limits=None) as fake:
        page = await page_of(query, fake)
        assert (page["status"], page["total"], page["results"]) == ("ok", 0, [])
        assert (await page_of(query, fake, 1, page["session_id"]))["results"] == []


@pytest.mark.parametrize(
    "given",
    [
        {"form": {"where": 'properties["plan"] == "pro"', "distinct_ids": '["ada", "bob"]'}},
        {"json": {"where": 'properties["plan"] == "pro"', "distinct_ids": ["ada", "bob"]}},
        {"json": {"where": 'properties["plan"] == "pro"', "distinct_ids": '["ada", "bob"]', "page": 0}},
        {"params": {"where": 'properties["plan"] == "pro"', "distinct_ids": '["ada", "bob"]'}},
        {"params": {"where": "nonsense(", "distinct_id": "ada"}, "form": {"where": 'properties["plan"] == "pro"'}},
        {"params": {"distinct_id": "ada"}, "data": b"\xff\xfe{nonsense"},
        {"params": {"distinct_id": "ada"}, "data": b"[1]"},
    ],
    ids=["form", "json", "json with json in text", "query string", "body over query", "no text", "no object"],
)
async def test_item_80_wherever_the_parameters_stand(query, fake, given):
    reply = await query(fake, ENGAGE, **given)
    assert [profile["$distinct_id"] for profile in reply.json["results"]] == ["ada"]


async def test_item_81_the_next_page(query, many):
    first = await page_of(query, many)
    second = await page_of(query, many, 1, first["session_id"])
    assert (second["page"], second["session_id"]) == (1, first["session_id"])
    assert "total" not in second
    assert first["results"] + second["results"] == list(many.truth_profiles())[:2000]


async def test_item_81_total_on_every_page(query, many):
    many.query_rules = QueryRules(total_on_every_page=True)
    first = await page_of(query, many)
    assert (await page_of(query, many, 1, first["session_id"]))["total"] == 2500


@pytest.mark.parametrize(("count", "pages"), [(2500, 3), (2000, 3), (999, 1), (1000, 2)])
async def test_item_82_the_last_page_is_short_even_if_it_is_empty(query, many, count, pages):
    many.profiles = GeneratedProfiles(count=count)
    found = await download(query, many)
    assert found == list(many.truth_profiles())
    assert len(found) == count
    assert len(many.requests) == pages


async def test_rules_of_pages(query, many):
    many.limits = FakeLimits(queries_per_hour=2)
    many.query_rules = QueryRules(page_size=700, total_on_first_page=False, pages_are_counted=True)
    first = await page_of(query, many)
    assert (first["page_size"], len(first["results"]), "total" in first) == (700, 700, False)
    second = await page_of(query, many, 1, first["session_id"])
    assert second["results"] == list(many.truth_profiles())[700:1400]
    reply = await query(many, ENGAGE, form={"page": 2, "session_id": first["session_id"]})
    assert reply.status == 429


async def test_a_page_is_one_line_that_can_be_damaged(query, many):
    many.faults.add(Fault.bad_utf8(), page=0)
    reply = await query(many, ENGAGE)
    assert reply.body.count(b"\xff") == 1


async def test_item_83_pages_in_any_order_while_profiles_change(query):
    profiles = GivenProfiles({"$distinct_id": f"p{n}", "$properties": {"n": n}} for n in range(500))
    async with FakeMixpanel(profiles=profiles, limits=FakeLimits()) as fake:
        before = list(fake.truth_profiles())
        first = await page_of(query, fake, page_size=20)
        profiles.delete("p30")
        profiles.set("p31", {"n": "other"})
        profiles.set("new", {})
        pages = list(range(1, 25))
        random.Random(1).shuffle(pages)
        gate = asyncio.Semaphore(5)

        async def later(number):
            async with gate:
                return await page_of(query, fake, number, first["session_id"], page_size=20)

        rest = await asyncio.gather(*map(later, pages))
        assert 1 < fake.max_open_queries <= 5
        found = sorted([first, *rest], key=lambda page: page["page"])
        assert [profile for page in found for profile in page["results"]] == before
        assert list(fake.truth_profiles()) != before
        fake.profiles = GeneratedProfiles(count=3)
        again = await page_of(query, fake, 3, first["session_id"], page_size=20)
        assert again["results"] == before[60:80]


async def test_item_84_a_page_without_a_session(query, many):
    await refused(query, many, "page requires session_id", page=1)
    many.query_rules = QueryRules(page_without_session="served")
    reply = await query(many, ENGAGE, form={"page": 1})
    assert reply.json["results"] == list(many.truth_profiles())[1000:2000]


@pytest.mark.parametrize("page", [0, 1])
async def test_item_85_a_session_that_is_not_known(query, many, page):
    await refused(query, many, UNCACHED, page=page, session_id="1234567890-NOSUCH")


async def test_item_85_a_session_expires_by_the_clock(query, many):
    many.query_rules = QueryRules(session_seconds=600)
    session = (await page_of(query, many))["session_id"]
    many.clock.advance(590)
    await page_of(query, many, 1, session)
    many.clock.advance(11)
    await refused(query, many, UNCACHED, page=2, session_id=session)
    many.query_rules = QueryRules()
    await refused(query, many, UNCACHED, page=2, session_id=session)
    assert await download(query, many) == list(many.truth_profiles())


async def test_item_85_a_session_expires_by_count(query, many):
    many.query_rules = QueryRules(session_pages=2)
    session = (await page_of(query, many))["session_id"]
    await page_of(query, many, 1, session)
    await refused(query, many, UNCACHED, page=2, session_id=session)


async def test_item_85_a_session_expires_at_a_page(query, many):
    planned = many.faults.add(Fault.session_expired(), page=2, times=1)
    session = (await page_of(query, many))["session_id"]
    await page_of(query, many, 1, session)
    await refused(query, many, UNCACHED, page=2, session_id=session)
    assert many.requests[-1].fault == "session_expired"
    await refused(query, many, UNCACHED, page=1, session_id=session)
    assert await download(query, many) == list(many.truth_profiles())
    assert planned.happened == 1


async def test_a_session_belongs_to_its_query(query, fake):
    other = {"params": {"project_id": "777"}, "form": {"session_id": (await page_of(query, fake))["session_id"]}}
    assert (await query(fake, ENGAGE, **other)).json["error"].startswith(UNCACHED)
    session = (await page_of(query, fake, where='properties["plan"] == "pro"'))["session_id"]
    await refused(query, fake, UNCACHED, page=1, session_id=session)
    page = await page_of(query, fake, 0, session, where='properties["plan"] == "pro"', output_properties='["n"]')
    assert page["results"][0] == {"$distinct_id": "ada", "$properties": {"n": 1}}


# parameters that select profiles


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('properties["plan"] == "pro"', ["ada", "cy"]),
        ('user["plan"] == "pro" and not defined(properties["$email"])', ["cy"]),
        ('properties["n"] == 1', ["ada"]),
        ('properties["$last_seen"] >= "2026-01-15T00:00:00"', ["ada"]),
        ('"@x.com" in properties["$email"]', ["ada", "bob"]),
        ('properties["plan"] == "none"', []),
    ],
)
async def test_item_86_where(query, fake, where, expected):
    assert await ids(query, fake, where=where) == expected


async def test_item_86_ids_and_properties(query, fake):
    assert await ids(query, fake, distinct_ids='["cy", "nobody", "ada"]') == ["ada", "cy"]
    assert await ids(query, fake, distinct_id="4") == ["4"]
    assert await ids(query, fake, distinct_id="nobody") == []
    assert await ids(query, fake, distinct_ids='["cy", "ada"]', where='properties["n"] == 3') == ["cy"]
    assert await ids(query, fake, distinct_ids='["cy", "ada"]', distinct_id="ada") == ["ada"]
    page = await page_of(query, fake, output_properties='["$email", "none"]')
    assert [profile["$properties"] for profile in page["results"]] == [
        {"$email": "ada@x.com"},
        {"$email": "bob@x.com"},
        {},
        {},
    ]
    assert page["results"] == list(fake.truth_profiles(output_properties=["$email"]))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"where": 'properties["a"'}, "Error in where"),
        ({"distinct_ids": "ada,bob"}, "Error in distinct_ids"),
        ({"output_properties": '{"a": 1}'}, "Error in output_properties"),
        ({"filter_by_cohort": "7"}, "Error in filter_by_cohort"),
        ({"filter_by_cohort": json.dumps({"id": "7" * 5000})}, "Error in filter_by_cohort"),
        ({"as_of_timestamp": "999999999999"}, "Error in as_of_timestamp"),
        ({"filter_by_cohort": '{"raw_cohort": {}}'}, "raw cohorts"),
        ({"behaviors": "[1]"}, "Error in behaviors"),
        ({"page": "-1"}, "Error in page"),
        ({"page": "9" * 5000}, "Error in page"),
        ({"page_size": "0"}, "Error in page_size"),
        ({"page_size": "many"}, "Error in page_size"),
    ],
)
async def test_nonsense_is_refused(query, fake, form, text):
    await refused(query, fake, text, **form)
    with pytest.raises(ValueError, match="Error in where"):
        fake.truth_profiles(where="(")


async def test_item_87_cohorts(query, fake):
    cohort = {"filter_by_cohort": '{"id": 7}'}
    assert await ids(query, fake, **cohort) == ["ada", "bob", "ghost", "spectre"]
    assert list(fake.truth_profiles(**cohort))[2] == {"$distinct_id": "ghost", "$properties": {}}
    assert await ids(query, fake, include_all_users="false", **cohort) == ["ada", "bob"]
    assert await ids(query, fake, where='properties["plan"] == "pro"', **cohort) == ["ada"]
    assert await ids(query, fake, where='not defined(properties["plan"])', **cohort) == ["ghost", "spectre"]
    nested = await query(fake, ENGAGE, json={"filter_by_cohort": {"id": 7}, "include_all_users": False})
    assert [profile["$distinct_id"] for profile in nested.json["results"]] == ["ada", "bob"]
    await refused(query, fake, "cohort 8 not found", filter_by_cohort='{"id": 8}')
    fake.query_rules = QueryRules(unknown_cohort="empty")
    assert await ids(query, fake, filter_by_cohort='{"id": 8}') == []


async def test_item_87_a_cohort_in_pages(query, fake):
    found = await download(query, fake, filter_by_cohort='{"id": 7}', page_size=3)
    assert [profile["$distinct_id"] for profile in found] == ["ada", "bob", "ghost", "spectre"]
    assert [record.page for record in fake.requests] == [0, 1]


async def test_item_88_groups(query, fake):
    assert await ids(query, fake, data_group_id=GROUP) == ["Acme"]
    assert await ids(query, fake, data_group_id="1") == []
    reply = await query(fake, ENGAGE, json={"data_group_id": int(GROUP)})
    assert reply.json["results"] == [{"$distinct_id": "Acme", "$properties": {"seats": 5}}]


def bought(distinct_id, time):
    return {"event": "Bought", "properties": {"time": time, "distinct_id": distinct_id}}


BEHAVIORS = '[{"window": "30d", "name": "b", "event_selectors": [{"event": "Bought"}]}]'
FEB_10 = 1770724800  # 2026-02-10T12:00Z


async def test_item_89_behaviors(query, fake):
    day = 86_400
    fake.events = GivenEvents(
        [bought("ada", FEB_10 - day), bought("ada", FEB_10 - 2 * day), bought("bob", FEB_10 - 30 * day - 3600)],
        lines={"2026-02-01": [b"terminated early", b'{"event":"Bought","properties":{"distinct_id":"cy"}}']},
    )
    asked = {"behaviors": BEHAVIORS, "where": 'behaviors["b"] > 0'}
    assert await ids(query, fake, **asked) == ["ada"]
    assert await ids(query, fake, behaviors=BEHAVIORS, where='behaviors["b"] == 2') == ["ada"]
    assert await ids(query, fake, as_of_timestamp=FEB_10 - 5 * day, **asked) == ["bob"]
    await refused(query, fake, "mutually exclusive", filter_by_cohort='{"id": 7}', **asked)
    fake.query_rules = QueryRules(behaviors_with_cohort="both")
    assert await ids(query, fake, filter_by_cohort='{"id": 7}', **asked) == ["ada"]


async def test_item_89_behaviors_in_pages_need_a_moment(query, many):
    first = await page_of(query, many, behaviors=BEHAVIORS)
    await refused(query, many, UNCACHED, behaviors=BEHAVIORS, page=1, session_id=first["session_id"])
    at = {"behaviors": BEHAVIORS, "as_of_timestamp": str(FEB_10)}
    assert await download(query, many, **at) == list(many.truth_profiles())


async def test_item_90_page_size_alias_and_get(query, many):
    page = await page_of(query, many, page_size=5000)
    assert (page["page_size"], len(page["results"])) == (5000, 2500)
    assert (await page_of(query, many, page_size=50_000))["page_size"] == 10_000
    for path in ("/api/2.0/engage", "/api/query/engage/"):
        for method in ("GET", "POST"):
            reply = await query(many, path, method=method, params={"page_size": "5000"})
            assert reply.json["results"] == page["results"]
    reply = await query(many, ENGAGE, method="PUT")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, POST")


async def test_gzip(query, many):
    reply = await query(many, ENGAGE, encoding="gzip")
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.json["results"] == list(many.truth_profiles())[:1000]


# faults


@pytest.mark.parametrize(
    "path",
    [ENGAGE, "/api/2.0/engage", "/api/query/cohorts/list", "/api/query/events/names", "/api/app/me"],
)
async def test_item_91_no_queries_in_the_plan(ask, query, fake, path):
    fake.plan_has_queries = False
    reply = await query(fake, path, method="GET")
    assert reply.status == 402
    assert reply.json["error"].startswith("Your plan does not allow API calls.")
    assert reply.json["request"].startswith(path)
    assert (await ask(fake)).status == 200
    assert (await query(fake, path, method="GET", authorization=None)).status == 401
    fake.plan_has_queries = True
    assert (await query(fake, path, method="GET")).status == 200


async def test_item_92_an_error_in_a_200(query, many):
    many.faults.add(Fault.error_in_200("busy"), page=0, attempts=[1])
    assert await page_of(query, many) == {"status": "error", "error": "busy"}
    assert (await page_of(query, many))["status"] == "ok"


async def test_item_92_results_missing(query, many):
    many.faults.add(Fault.results_missing(), page=1)
    session = (await page_of(query, many))["session_id"]
    page = await page_of(query, many, 1, session)
    assert (page["status"], "results" in page) == ("ok", False)


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_item_92_a_body_that_is_cut(query, many, encoding):
    many.faults.add(Fault.cut(after_fraction=0.5, framing="chunked-clean"), page=0, attempts=[1])
    many.faults.add(Fault.cut(after_fraction=0.5), page=0, attempts=[2])
    clean = await query(many, ENGAGE, encoding=encoding)
    assert (clean.status, clean.error) == (200, None)
    with pytest.raises((ValueError, EOFError)):
        clean.json  # noqa: B018 - reading it is what fails
    assert isinstance((await query(many, ENGAGE, encoding=encoding)).error, aiohttp.ClientPayloadError)


async def test_faults_by_page_and_attempt(query, many):
    once = many.faults.add(Fault.status(503), page=1, attempts=[1])
    many.faults.add(Fault.first_byte_delay(0.2), page=2)
    many.faults.add(Fault.status(500), endpoint="cohorts/list")
    session = (await page_of(query, many))["session_id"]
    form = {"page": 1, "session_id": session}
    assert [(await query(many, ENGAGE, form=form)).status for _ in range(2)] == [503, 200]
    assert (await query(many, ENGAGE, form=form | {"page": 2})).status == 200
    assert [(r.page, r.attempt, r.status, r.fault) for r in many.requests] == [
        (0, 1, 200, None),
        (1, 1, 503, "status 503"),
        (1, 2, 200, None),
        (2, 1, 200, "first_byte_delay"),
    ]
    slow = many.requests[-1]
    assert slow.ended - slow.started >= 0.2
    assert once.happened == 1
    assert (await query(many, "/api/query/cohorts/list")).status == 500


async def test_faults_of_exports_and_of_queries_are_apart(ask, query, many):
    many.faults.add(Fault.status(503))
    assert (await ask(many)).status == 503
    assert (await query(many, ENGAGE)).status == 200
    many.faults.clear()
    many.faults.add(Fault.status(500), endpoint="engage")
    assert (await ask(many)).status == 200
    assert (await query(many, ENGAGE)).status == 500
    assert many.requests[-1].attempt == 2


@pytest.mark.parametrize(
    "chosen",
    [{"endpoint": "engages"}, {"endpoint": "export", "page": 1}, {"endpoint": "engage", "date": "2026-02-01"},
     {"page": 1, "from_date": "2026-02-01"}],
)  # fmt: skip
def test_a_fault_for_nothing_is_refused(chosen):
    with pytest.raises(ValueError, match=r"endpoint"):
        FakeMixpanel().faults.add(Fault.html(), **chosen)


# limits


async def test_item_54_exports_do_not_block_queries(ask, query, fake):
    fake.limits = FakeLimits(per_second=None, per_hour=2)
    assert [(await ask(fake)).status for _ in range(3)] == [200, 200, 429]
    assert (await query(fake, ENGAGE)).status == 200


async def test_item_55_sixty_queries_an_hour(query, fake):
    fake.limits = FakeLimits()
    paths = [ENGAGE, "/api/query/cohorts/list", "/api/2.0/engage"] * 20
    assert {(await query(fake, path)).status for path in paths} == {200}
    reply = await query(fake, ENGAGE)
    assert reply.status == 429
    assert reply.headers["retry-after"] == "3600"
    assert reply.headers["ratelimit"] == '"project";r=0;t=3600, "project-concurrency";r=5'
    assert reply.headers["ratelimit-policy"] == (
        '"project";q=60;w=3600, "project-concurrency";q=5;qu="concurrent-requests"'
    )
    assert "(61/60 queries running in the last hour)" in reply.json["error"]
    assert reply.json["request"].endswith(f"{ENGAGE}?project_id=12345")
    assert (await query(fake, "/api/app/me", method="GET")).status == 200
    fake.clock.advance(3601)
    assert (await query(fake, ENGAGE)).status == 200


async def test_item_56_five_queries_at_once(query, fake):
    fake.limits, fake.latency = FakeLimits(), 3600
    open_ones = [asyncio.create_task(query(fake, ENGAGE)) for _ in range(5)]
    await fake.until(lambda: fake.open_queries == 5)
    reply = await query(fake, ENGAGE)
    assert reply.status == 429
    assert reply.headers["ratelimit"].endswith('"project-concurrency";r=0;t=10')
    assert "(6/5 queries running concurrently)" in reply.json["error"]
    open_ones[0].cancel()
    await fake.until(lambda: fake.open_queries == 4)
    fake.latency = 0
    assert (await query(fake, ENGAGE)).status == 200
    assert (fake.open, fake.max_open_queries) == (0, 6)
    for one in open_ones:
        one.cancel()
    await asyncio.wait(open_ones)


async def test_item_57_a_download_of_100_pages_counts_once(query):
    async with FakeMixpanel(profiles=GeneratedProfiles(count=995)) as fake:
        assert len(await download(query, fake, page_size=10)) == 995
        assert len(fake.requests) == 100
        assert {(await query(fake, ENGAGE)).status for _ in range(59)} == {200}
        assert (await query(fake, ENGAGE)).status == 429


@pytest.mark.parametrize("status", [401, 402, 429])
async def test_item_58_refused_queries_cost_nothing(query, fake, status):
    fake.limits = FakeLimits(queries_per_hour=1)
    fake.faults.add(Fault.status(status), page=0, times=3)
    assert [(await query(fake, ENGAGE)).status for _ in range(5)] == [status] * 3 + [200, 429]


async def test_item_58_a_plan_without_queries_costs_nothing(query, fake):
    fake.limits, fake.plan_has_queries = FakeLimits(queries_per_hour=1), False
    assert [(await query(fake, ENGAGE)).status for _ in range(3)] == [402] * 3
    fake.plan_has_queries = True
    assert [(await query(fake, ENGAGE)).status for _ in range(2)] == [200, 429]


# values


async def test_item_93_values(query, many):
    found = [profile["$properties"] for profile in await download(query, many)]
    seen = [properties["$last_seen"] for properties in found if "$last_seen" in properties]
    assert 0 < len(found) - len(seen) < len(found) / 5
    assert all(len(moment) == len("2026-02-01T10:00:00") for moment in seen)
    values = [value for properties in found for value in properties.values() if isinstance(value, str)]
    assert {"<null>", "<undefined>"} <= set(values)
    bought = [properties["$transactions"] for properties in found if "$transactions" in properties]
    assert bought
    assert all(set(one) == {"$amount", "$time"} for several in bought for one in several)


async def test_given_profiles_come_back_as_they_were(query, fake):
    odd = {"x": [1, None, {"y": "\u2028\x00😀"}], "big": 2**70, "half": 0.1, "lone": "\ud800", 'a "b".c': True}
    fake.profiles = people({"$device:1": odd, "": {}})
    page = await page_of(query, fake)
    assert page["results"] == people({"$device:1": odd, "": {}})


@pytest.mark.parametrize("profile", [{}, {"$distinct_id": 4, "$properties": {}}, {"$distinct_id": "4"}])
def test_what_is_no_profile_is_refused(profile):
    with pytest.raises(ValueError, match="a profile is"):
        FakeMixpanel(profiles=[profile])


def test_generated_profiles_are_made_from_their_place():
    count = 250_000 if NIGHTLY else 50_000
    profiles = GeneratedProfiles(count=count, seed=3)
    last = count - 1
    places = [0, 4000, 37_777, last]
    some = [json.loads(line) for line in profiles.written(places)]
    names = list(profiles.distinct_ids())
    assert [profile["$distinct_id"] for profile in some] == [names[place] for place in places]
    assert len(set(names)) == len(names) == len(profiles)
    assert profiles.written([last]) == GeneratedProfiles(count=300_000, seed=3).written([last])
    assert profiles.written([last]) != GeneratedProfiles(count=count, seed=4).written([last])
    lines = profiles.written(range(40_000, 41_000))
    assert 1000 < sum(map(len, lines)) / len(lines) < 2000


async def test_the_first_generated_profiles_are_of_the_users_of_generated_events(query):
    async with FakeMixpanel(GeneratedEvents(per_day=2000), profiles=GeneratedProfiles(count=5000)) as fake:
        users = {
            e["properties"]["$user_id"] for e in fake.truth("2026-02-01", "2026-02-01") if "$user_id" in e["properties"]
        }
        assert users
        assert users <= {profile["$distinct_id"] for profile in fake.truth_profiles()}


async def test_a_page_of_a_quarter_of_a_million(query):
    async with FakeMixpanel(profiles=GeneratedProfiles(count=250_000)) as fake:
        first = await page_of(query, fake)
        last = await page_of(query, fake, 249, first["session_id"])
        assert (first["total"], len(last["results"])) == (250_000, 1000)
        assert (await page_of(query, fake, 250, first["session_id"]))["results"] == []
        one = last["results"][500]
        assert (await page_of(query, fake, distinct_id=one["$distinct_id"]))["results"] == [one]


async def test_a_page_that_is_edited(query, many):
    many.faults.add(Fault.page_edited(lambda page: {**page, "total": None, "results": page["results"][3:]}), page=0)
    page = await page_of(query, many)
    assert (page["total"], page["page_size"], len(page["results"])) == (None, 1000, 997)
    assert page["results"][0]["$distinct_id"] == list(many.truth_profiles())[3]["$distinct_id"]
