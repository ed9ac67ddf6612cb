"""`/api/query/events`: counts of events by day, week and month."""

from __future__ import annotations

from datetime import date

import pytest

from mixpanel_async.testing import Catalog, FakeMixpanel, Project, Schema

PATH = "/api/query/events"
DAY = 1769904000  # 2026-02-01, a Sunday


def event(name, day=0, distinct_id="a", second=0, **properties):
    return {"event": name, "properties": {"time": DAY + day * 86_400 + second, "distinct_id": distinct_id} | properties}


EVENTS = [
    event("A"), event("A", second=1), event("A", 1, "b"), event("A", 30),
    event("Größe", 1),
    event("hidden"),
    event("late", mp_processing_time_ms=(DAY + 40 * 86_400) * 1000),
]  # fmt: skip
HIDDEN = Schema("hidden", metadata={"com.mixpanel": {"hidden": True}})
ASKED = {"event": '["A"]', "unit": "day", "from_date": "2026-02-01", "to_date": "2026-02-03"}


@pytest.fixture
async def fake():
    async with FakeMixpanel(EVENTS, today="2026-03-05", catalog=Catalog(schemas=(HIDDEN,)), limits=None) as fake:
        yield fake


@pytest.fixture
def get(query):
    async def get(fake, **params):
        reply = await query(fake, PATH, method="GET", params=ASKED | params)
        assert reply.status == 200, reply.body
        return reply.json

    return get


async def test_counts_a_day(get, fake):
    assert await get(fake) == {
        "data": {
            "series": ["2026-02-01", "2026-02-02", "2026-02-03"],
            "values": {"A": {"2026-02-01": 2, "2026-02-02": 1}},
        },
        "legend_size": 1,
    }
    assert fake.requests[0].endpoint == "events"


async def test_several_names(get, fake):
    told = await get(fake, event='["A", "Größe", "hidden", "late", "none"]')
    assert told["data"]["values"] == {"A": {"2026-02-01": 2, "2026-02-02": 1}, "Größe": {"2026-02-02": 1}}
    fake.clock.now = "2026-03-20"
    assert (await get(fake, event='["late"]'))["data"]["values"] == {"late": {"2026-02-01": 1}}


@pytest.mark.parametrize(
    ("unit", "last", "values", "series"),
    [
        ("week", "2026-02-03", {"2026-01-26": 2, "2026-02-02": 1}, ["2026-01-26", "2026-02-02"]),
        ("month", "2026-03-05", {"2026-02-01": 3, "2026-03-01": 1}, ["2026-02-01", "2026-03-01"]),
    ],
)
async def test_weeks_and_months(get, fake, unit, last, values, series):
    told = await get(fake, unit=unit, to_date=last)
    assert told["data"] == {"series": series, "values": {"A": values}}


@pytest.mark.parametrize(("kind", "count"), [("general", 3), ("unique", 2), ("average", 1.5)])
async def test_types(get, fake, kind, count):
    told = await get(fake, unit="month", type=kind)
    assert told["data"]["values"] == {"A": {"2026-02-01": count}}


async def test_a_repeated_event_is_counted_once(get):
    """The same name, distinct id, time and insert id; the export has all of them."""
    same = {"$insert_id": "i"}
    events = [
        event("A", **same), event("A", **same, mp_processing_time_ms=1), event("A", second=1, **same),
        event("A", distinct_id="b", **same), event("B", **same), event("A"), event("A"),
    ]  # fmt: skip
    async with FakeMixpanel(events, limits=None) as fake:
        assert (await get(fake, event='["A", "B"]'))["data"]["values"] == {
            "A": {"2026-02-01": 5},
            "B": {"2026-02-01": 1},
        }
        assert len(list(fake.truth_lines("2026-02-01", "2026-02-01"))) == 7


async def test_days_are_the_projects(query):
    """02:00 UTC on the first is still January in California."""
    old = Project(777, timezone="US/Pacific", created=date(2021, 1, 1))
    async with FakeMixpanel([event("A", second=7200)], projects=[old], limits=None) as fake:
        reply = await query(fake, PATH, method="GET", params=ASKED | {"from_date": "2026-01-31"})
        assert reply.json["data"]["values"] == {"A": {"2026-01-31": 1}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": ""}, {"event": "A"}, {"event": "[1]"}, {"event": "[]"}, {"unit": ""}, {"unit": "hour"}, {"type": "x"},
        {"from_date": ""}, {"to_date": "2026-02-30"}, {"to_date": "2026-01-31"},
    ],
)  # fmt: skip
async def test_wrong_parameters(query, fake, wrong):
    reply = await query(fake, PATH, method="GET", params=ASKED | wrong)
    assert reply.status == 400
    assert f"Error in {next(iter(wrong))}: " in reply.json["error"]


async def test_the_other_path_and_the_limit(query, fake):
    assert (await query(fake, "/api/2.0/events", method="GET", params=ASKED)).status == 200
    assert (await query(fake, PATH, params=ASKED)).status == 405
    fake.plan_has_queries = False
    assert (await query(fake, PATH, method="GET", params=ASKED)).status == 402
    async with FakeMixpanel(EVENTS) as limited:
        statuses = [(await query(limited, PATH, method="GET", params=ASKED)).status for _ in range(61)]
        assert statuses == [200] * 60 + [429]
