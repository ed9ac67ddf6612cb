"""Projects in UTC and in local time, and their regions."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from mixpanel_async.testing import FakeClock, FakeMixpanel, GeneratedEvents, GivenEvents, Project, ServiceAccount
from mixpanel_async.testing.data.time_zones import ProjectDay

PACIFIC = ZoneInfo("US/Pacific")
ACCOUNT = ServiceAccount("old.mp-service-account", "s")
GAP, REPEATED = "2025-03-09", "2025-11-02"


def old_project(**changed):
    return Project(777, (ACCOUNT,), ("oldsecret",), (), timezone="US/Pacific", created=date(2021, 5, 1), **changed)


def true(moment):
    return int(datetime.fromisoformat(moment).timestamp())


def wall(moment):
    """The local wall clock, encoded as if it were UTC."""
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())


def at(moment, number=0):
    time = true(moment)
    return {"event": "E", "properties": {"time": time, "n": number, "mp_processing_time_ms": time * 1000 + 50}}


@pytest.fixture
def export(ask):
    """Send an export request for the old project."""

    async def export(fake, *dates, **params):
        return await ask(fake, *dates, authorization=ACCOUNT.authorization(), project_id=777, **params)

    return export


async def test_item_26_projects_with_original_ids_export_identity_events(export):
    source = GeneratedEvents(per_day=2000, original_ids=True, missing_distinct_id=0)
    names = ["$identify", "$create_alias", "$merge"]
    async with FakeMixpanel([], projects=[old_project(events=source)], limits=None) as fake:
        chosen = (await export(fake, event=json.dumps(names))).events
        every = (await export(fake)).events
    assert chosen == [event for event in every if event["event"] in names]
    assert 20 < len(chosen) < 60
    for event in chosen:
        row = event["properties"]
        match event["event"]:
            case "$identify":
                assert row["$identified_id"] != row["$anon_id"]
                assert row["distinct_id"] in {row["$identified_id"], row["$anon_id"]}
            case "$create_alias":
                assert isinstance(row["alias"], str)
            case "$merge":
                assert row["distinct_id"] in row["$distinct_ids"]
                assert len(row["$distinct_ids"]) == 2
        assert list(row)[2:] == sorted(list(row)[2:])
    assert {event["event"] for event in chosen} == set(names)
    others = [event["properties"] for event in every if event["event"] not in names]
    assert all(row["distinct_id"] == row.get("$user_id", row["$device_id"]) for row in others)


async def test_item_27_old_projects_have_the_wall_clock_read_as_utc(ask, export):
    async with FakeMixpanel([at("2026-02-01T05:30:00Z")], projects=[Project(), old_project()], limits=None) as fake:
        assert (await export(fake, "2026-02-01")).body == b""
        (event,) = (await export(fake, "2026-01-31")).events
        (in_ms,) = (await export(fake, "2026-01-31", time_in_ms="true")).events
        (new,) = (await ask(fake, "2026-02-01")).events
        evening = 'properties["$time"] >= datetime("2026-01-31T21:30:00")'
        assert (await export(fake, "2026-01-31", where=evening)).events == [event]
    assert event["properties"]["time"] == wall("2026-01-31T21:30:00")
    assert event["properties"]["mp_processing_time_ms"] == true("2026-02-01T05:30:00Z") * 1000 + 50
    assert in_ms["properties"]["time"] == event["properties"]["time"] * 1000
    assert new["properties"]["time"] == true("2026-02-01T05:30:00Z")


async def test_item_27_the_wall_clock_has_milliseconds_too(export):
    given = [{"event": "E", "properties": {"time": true("2026-02-01T07:59:59Z") * 1000 + 999}}]
    async with FakeMixpanel(given, projects=[old_project()], limits=None) as fake:
        (in_ms,) = (await export(fake, "2026-01-31", time_in_ms="true")).events
        (plain,) = (await export(fake, "2026-01-31")).events
        assert (await export(fake, "2026-02-01")).body == b""
    assert in_ms["properties"]["time"] == wall("2026-01-31T23:59:59") * 1000 + 999
    assert plain["properties"]["time"] == wall("2026-01-31T23:59:59")


async def test_item_27_generated_days_are_days_there(export):
    project, clock = old_project(), FakeClock("2026-02-01T20:00:00Z")
    async with FakeMixpanel(GeneratedEvents(per_day=900), projects=[project], clock=clock, limits=None) as fake:
        rows = [event["properties"] for event in (await export(fake, "2026-02-01")).events]
        truth = list(fake.truth("2026-02-01", "2026-02-01", project=project))
    assert [event["properties"] for event in truth] == rows
    assert 350 < len(rows) < 550  # it is noon in the project
    assert all(wall("2026-02-01T00:00:00") <= row["time"] < wall("2026-02-01T12:00:00") for row in rows)
    assert all(0 < row["mp_processing_time_ms"] / 1000 - row["time"] - 8 * 3600 < 700 for row in rows)


async def test_item_28_an_hour_that_is_skipped_and_one_that_comes_twice(export):
    given = [at(f"{GAP}T{time}Z", number) for number, time in enumerate(["09:59:59", "10:00:00"])]
    given += [at(f"{REPEATED}T{time}Z", number) for number, time in enumerate(["08:30:00", "09:30:00"])]
    async with FakeMixpanel(given, projects=[old_project()], limits=None) as fake:
        skipped = [event["properties"]["time"] for event in (await export(fake, GAP)).events]
        repeated = [event["properties"]["time"] for event in (await export(fake, REPEATED)).events]
    assert skipped == [wall(f"{GAP}T01:59:59"), wall(f"{GAP}T03:00:00")]
    assert repeated == [wall(f"{REPEATED}T01:30:00")] * 2


async def test_item_28_generated_days_of_23_and_25_hours(export):
    async with FakeMixpanel(GeneratedEvents(per_day=5000), projects=[old_project()], limits=None) as fake:
        hours = {}
        for day in (GAP, REPEATED):
            times = [event["properties"]["time"] for event in (await export(fake, day)).events]
            assert all(0 <= time - wall(f"{day}T00:00:00") < 86_400 for time in times)
            hours[day] = [sum(time % 86_400 // 3600 == hour for time in times) for hour in range(24)]
    assert 1 <= hours[GAP][2] <= 3  # one row, and possibly its duplicates
    assert min(hours[GAP][:2] + hours[GAP][3:]) > 150
    assert hours[REPEATED][1] > 1.5 * hours[REPEATED][0]


@pytest.mark.parametrize(
    ("zone", "day", "hours", "skipped"),
    [
        ("US/Pacific", "2025-03-09", 23, "02:00:00"),
        ("US/Pacific", "2025-11-02", 25, None),
        ("US/Pacific", "2025-03-10", 24, None),
        ("America/Sao_Paulo", "2018-11-04", 23, "00:00:00"),
        ("America/Sao_Paulo", "2018-02-17", 25, None),
        ("Australia/Lord_Howe", "2025-10-05", 23.5, "02:00:00"),
        (None, "2025-03-09", 24, None),
    ],
)
def test_spans(zone, day, hours, skipped):
    span = ProjectDay(date.fromisoformat(day), ZoneInfo(zone) if zone else None)
    assert (span.end - span.start) / 3_600_000 == hours
    assert span.first_skipped_time() == (wall(f"{day}T{skipped}") * 1000 if skipped else None)
    moments = list(range(span.start, span.end, 900_000))
    walls = span.wall_times(moments)
    assert {datetime.fromtimestamp(time // 1000, UTC).date() for time in walls} == {span.day}
    assert walls == [span.wall_times([moment])[0] for moment in moments]


async def test_given_lines_of_old_projects_keep_their_bytes(export):
    line = b'{"event":"\\"properties\\":{\\"time\\":1","properties":{"time":1769949000,"n":1.50,"big":1e400}}'
    later = b'{"event":"E","properties":{"n":1,"time":1769949001}}'
    raw = b'{"event":"E","properties":{"time":1741487400}}'  # 02:30, which this day does not have
    source = GivenEvents([line, later], lines={GAP: [raw]}, bodies={GAP: b"x"})
    async with FakeMixpanel(source, projects=[old_project()], limits=None) as fake:
        assert (await export(fake, "2026-02-01")).lines == [
            line.replace(b"1769949000", b"1769920200"),
            later.replace(b"1769949001", b"1769920201"),
        ]
        assert (await export(fake, GAP)).body == raw + b"\nx"


async def test_projects_may_hold_events_of_their_own(ask, export):
    own = old_project(events=[at("2026-02-01T12:00:00Z", 7)])
    async with FakeMixpanel([at("2026-02-01T13:00:00Z")], projects=[Project(), own], cache=True, limits=None) as fake:
        for _ in range(2):
            assert [event["properties"]["n"] for event in (await export(fake)).events] == [7]
            assert [event["properties"]["n"] for event in (await ask(fake)).events] == [0]
        fake.events = [at("2026-02-01T13:00:00Z", 1)]
        assert [event["properties"]["n"] for event in (await ask(fake)).events] == [1]
        assert [event["properties"]["n"] for event in fake.truth("2026-02-01", "2026-02-01", project=own)] == [7]


async def test_item_33_a_project_is_known_in_its_region_only(ask, session):
    projects = [Project(), Project(2, region="eu"), Project(3, region="in"), Project(4, region="eu")]
    async with FakeMixpanel(GeneratedEvents(per_day=5), projects=projects, limits=None) as fake:
        urls = {region: fake.url_of(region) for region in ("us", "eu", "in")}
        assert len(set(urls.values())) == 3
        assert fake.url == urls["us"]
        for project in projects:
            for region, url in urls.items():
                headers = {"Authorization": project.service_account.authorization()}
                params = {"project_id": project.id, "from_date": "2026-02-01", "to_date": "2026-02-01"}
                async with session.get(f"{url}/api/2.0/export", params=params, headers=headers) as response:
                    assert response.status == (200 if region == project.region else 401)
                assert fake.requests[-1].region == region
    with pytest.raises(KeyError):
        FakeMixpanel().url_of("eu")
    async with fake:
        assert {region: fake.url_of(region) for region in urls} == urls
