"""All endpoints except export and engage."""

from __future__ import annotations

from datetime import date

import pytest

from mixpanel_async.testing import (
    Annotation,
    Catalog,
    Cohort,
    FakeMixpanel,
    Fault,
    GeneratedEvents,
    Project,
    QueryRules,
    Schema,
    ServiceAccount,
    Wording,
)

NAMES = "/api/query/events/names"
APP = "/api/app/projects/12345"
OTHER = ServiceAccount("other.mp-service-account", "x:y")
BOTH = Project().service_account
OLD = Project(777, (BOTH, OTHER), ("oldsecret",), (), timezone="US/Pacific", created=date(2021, 1, 1))
CATALOG = Catalog(
    cohorts=(
        Cohort(1000, "Cohort One", ("a", "b"), description="first"),
        Cohort(1001, "Hidden", is_visible=False, data_group_id="8453995111420155989"),
    ),
    schemas=(
        Schema("Added To Cart", {"sku": {"type": "string", "description": "what"}}, description="in the cart"),
        Schema("$user", {"plan": {"type": "string"}}, entity_type="profile"),
        Schema("Signed up", metadata={"com.mixpanel": {"hidden": True}}),
    ),
    annotations=(
        Annotation(1, "2026-01-15 12:00:00", "launch", ((3, "release"),)),
        Annotation(2, "2026-07-15 12:00:00", "summer"),
    ),
)


def event(name, day="2026-02-01", **properties):
    seconds = (date.fromisoformat(day) - date(1970, 1, 1)).days * 86_400
    return {"event": name, "properties": {"time": seconds, "distinct_id": "a"} | properties}


EVENTS = [
    event("Signed up", plan="pro", n=1),
    event("Signed up", plan="free"),
    event("Signed up", plan="pro", seats=[1, 2]),
    event("$identify"),
    event("Signed up", "2025-12-01", plan="old"),
    event("Retired", "2025-12-01"),
]


@pytest.fixture
async def fake():
    async with FakeMixpanel(EVENTS, projects=[Project(), OLD], catalog=CATALOG, limits=None) as fake:
        yield fake


@pytest.fixture
def get(query):
    async def get(fake, path, **params):
        reply = await query(fake, path, method="GET", params=params)
        assert reply.status == 200, reply.body
        assert reply.headers["content-type"] == "application/json"
        return reply.json

    return get


# app/me


async def test_item_94_what_a_credential_opens(query, fake):
    reply = await query(fake, "/api/app/me", method="GET", authorization=BOTH.authorization())
    assert reply.json["status"] == "ok"
    projects = reply.json["results"]["projects"]
    assert {number: project["timezone"] for number, project in projects.items()} == {
        "12345": "UTC",
        "777": "US/Pacific",
    }
    assert set(reply.json["results"]) == {
        "user_id",
        "user_email",
        "user_name",
        "organizations",
        "projects",
        "workspaces",
    }
    reply = await query(fake, "/api/app/me", method="GET", authorization=OTHER.authorization())
    assert list(reply.json["results"]["projects"]) == ["777"]
    reply = await query(fake, "/api/app/me", method="GET", authorization="Bearer oauth-token")
    assert list(reply.json["results"]["projects"]) == ["12345"]


@pytest.mark.parametrize("authorization", [None, "Basic nobody:x", "Bearer no", "Basic newsecret:"])
async def test_item_94_nobody(query, fake, authorization):
    reply = await query(fake, "/api/app/me", method="GET", authorization=authorization)
    assert reply.status == 401
    fake.revoke(BOTH.username)
    assert (await query(fake, "/api/app/me", method="GET", authorization=BOTH.authorization())).status == 401


async def test_item_94_projects_of_another_region_are_not_listed(session):
    here, there = Project(), Project(2, region="eu")
    async with FakeMixpanel(projects=[here, there], wording=Wording(unauthorized="plain")) as fake:
        headers = {"Authorization": BOTH.authorization()}
        for region, number in (("us", "12345"), ("eu", "2")):
            async with session.get(f"{fake.url_of(region)}/api/app/me", headers=headers) as response:
                assert list((await response.json())["results"]["projects"]) == [number]


# events


async def test_item_95_names(get, fake):
    assert await get(fake, NAMES) == ["Signed up", "$identify"]
    assert await get(fake, NAMES, type="general", limit="1") == ["Signed up"]
    early = await get(fake, NAMES, from_date="2025-12-01", to_date="2025-12-01")
    assert sorted(early) == ["Retired", "Signed up"]
    assert await get(fake, NAMES, from_date="2020-01-01", to_date="2020-01-02") == []


async def test_item_95_the_limit_is_lowered_to_5000(get):
    async with FakeMixpanel([event(f"e{n}") for n in range(5001)]) as fake:
        assert len(await get(fake, NAMES)) == 255
        assert len(await get(fake, NAMES, limit="6000")) == 5000


async def test_item_95_a_day_too_far_back(query, fake):
    fake.query_rules = QueryRules(history_days=90)
    reply = await query(fake, NAMES, method="GET", params={"from_date": "2025-11-11", "to_date": "2025-11-11"})
    assert (reply.status, reply.json["error"]) == (403, "Date range exceeds 90 days into the past")
    reply = await query(fake, NAMES, method="GET", params={"from_date": "2025-11-12", "to_date": "2025-11-12"})
    assert reply.status == 200


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"from_date": "1999-01-01"}, "Error in from_date: invalid date, bad year"),
        ({"to_date": "today"}, "Error in to_date: invalid date"),
        ({"limit": "0"}, "Error in limit"),
    ],
)
async def test_nonsense_is_refused(query, fake, params, text):
    reply = await query(fake, NAMES, method="GET", params=params)
    assert reply.status == 400
    assert reply.json["error"].startswith(text)


async def test_events_and_their_properties(get, query, fake):
    assert await get(fake, "/api/query/events/top") == {
        "events": [
            {"amount": 3, "event": "Signed up", "percent_change": 0.0},
            {"amount": 1, "event": "$identify", "percent_change": 0.0},
        ],
        "type": "general",
    }
    top = await get(fake, "/api/query/events/properties/top", event="Signed up")
    assert top == {
        name: {"count": n} for name, n in [("time", 3), ("distinct_id", 3), ("plan", 3), ("n", 1), ("seats", 1)]
    }
    assert list(await get(fake, "/api/2.0/events/properties/top", event="Signed up", limit="2")) == [
        "time",
        "distinct_id",
    ]
    values = "/api/query/events/properties/values"
    assert await get(fake, values, event="Signed up", name="plan") == ["pro", "free"]
    assert await get(fake, values, event="Signed up", name="seats") == ["[1, 2]"]
    assert await get(fake, values, event="Signed up", name="none") == []
    assert (await query(fake, values, method="GET", params={"event": "Signed up"})).status == 400


async def test_a_big_day_is_looked_at_in_part(get):
    async with FakeMixpanel(GeneratedEvents(per_day=50_000_000)) as fake:
        day = {"from_date": "2026-02-01", "to_date": "2026-02-01"}
        assert "Page View" in await get(fake, NAMES, **day)


async def test_properties_of_profiles(get, fake):
    fake.profiles = [
        {"$distinct_id": "a", "$properties": {"plan": "pro", "n": 1, "tags": []}},
        {"$distinct_id": "b", "$properties": {"plan": "free", "ok": True}},
    ]
    assert await get(fake, "/api/2.0/engage/properties") == {
        "status": "ok",
        "results": {
            "plan": {"count": 2, "type": "string"},
            "n": {"count": 1, "type": "number"},
            "tags": {"count": 1, "type": "list"},
            "ok": {"count": 1, "type": "boolean"},
        },
    }


# cohorts, lexicon, annotations


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/api/query/cohorts/list", "/api/2.0/cohorts/list/"])
async def test_item_96_cohorts(query, fake, path, method):
    reply = await query(fake, path, method=method)
    assert reply.json == [
        {
            "id": 1000, "project_id": 12345, "name": "Cohort One", "description": "first", "data_group_id": None,
            "count": 2, "is_visible": 1, "created": "2019-03-19 23:49:51",
        },
        {
            "id": 1001, "project_id": 12345, "name": "Hidden", "description": "", "data_group_id": "8453995111420155989",
            "count": 0, "is_visible": 0, "created": "2019-03-19 23:49:51",
        },
    ]  # fmt: skip


async def test_item_96_annotations(get, query, fake):
    found = await get(fake, f"{APP}/annotations")
    assert found == {
        "status": "ok",
        "results": [
            {
                "id": 1,
                "project_id": 12345,
                "date": "2026-01-15T12:00:00+00:00",
                "description": "launch",
                "user": {"id": 1, "first_name": "", "last_name": ""},
                "tags": [{"id": 3, "name": "release"}],
            },
            found["results"][1],
        ],
    }
    some = await get(fake, f"{APP}/annotations", fromDate="2026-01-16", toDate="2026-07-15")
    assert [note["id"] for note in some["results"]] == [2]
    reply = await query(fake, "/api/app/projects/777/annotations", method="GET", authorization=OTHER.authorization())
    assert [note["date"][19:] for note in reply.json["results"]] == ["-08:00", "-07:00"]
    assert [note["id"] for note in (await get(fake, "/api/2.0/annotations"))["annotations"]] == [1, 2]


async def test_item_96_schemas(get, fake):
    found = await get(fake, f"{APP}/schemas")
    assert found["status"] == "ok"
    assert [entry["entityType"] for entry in found["results"]] == ["event", "profile", "event"]
    assert found["results"][0] == {
        "entityType": "event",
        "name": "Added To Cart",
        "schemaJson": {
            "description": "in the cart",
            "properties": {"sku": {"type": "string", "description": "what"}},
            "metadata": {},
        },
    }
    assert [entry["name"] for entry in (await get(fake, f"{APP}/schemas/profile"))["results"]] == ["$user"]
    named = await get(fake, f"{APP}/schemas/event", entity_name="Signed up")
    assert [entry["name"] for entry in named["results"]] == ["Signed up"]


@pytest.mark.parametrize("path", ["schemas", "annotations"])
async def test_lists_of_the_app_in_pages(get, query, fake, path):
    everything = (await get(fake, f"{APP}/{path}"))["results"]
    fake.query_rules = QueryRules(entries=1)
    found, cursor = [], {}
    while cursor is not None:
        page = await get(fake, f"{APP}/{path}", **cursor)
        assert page["pagination"]["page_size"] == len(page["results"]) == 1
        found += page["results"]
        following = page["pagination"]["next_cursor"]
        cursor = None if following is None else {"cursor": following}
    assert found == everything
    assert (await query(fake, f"{APP}/{path}", method="GET", params={"cursor": "x"})).status == 400


async def test_the_project_in_the_path_counts(query, fake):
    account = OTHER.authorization()
    reply = await query(fake, f"{APP}/schemas", method="GET", authorization=account, params={"project_id": "777"})
    assert reply.status == 403
    assert (await query(fake, "/api/app/projects/1/schemas", method="GET")).status == 403


async def test_workspaces(get, fake):
    (one,) = (await get(fake, f"{APP}/workspaces/public"))["results"]
    assert one["is_default"]


@pytest.mark.parametrize(
    "path",
    ["/api/query", "/api/query/export", "/api/query/schemas", "/api/2.0/app/me", "/api/app/projects/x/schemas", "/"],
)
async def test_paths_that_lead_nowhere(query, fake, path):
    assert (await query(fake, path, method="GET")).status == 404
    assert fake.requests[-1].endpoint is None


async def test_a_lookup_can_fail(query, get, fake):
    fake.faults.add(Fault.timeout_error(), endpoint="events/names", attempts=[1])
    reply = await query(fake, NAMES, method="GET")
    assert (reply.status, reply.json["error"]) == (400, "Timeout Error.")
    assert "Signed up" in await get(fake, NAMES)
    assert [record.attempt for record in fake.requests] == [1, 2]
