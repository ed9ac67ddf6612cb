"""`sync_events` where something is odd: rows outside the dates that they are returned for, clocks, what Mixpanel tells."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter

import duckdb
import pytest

from mixpanel_async import SelectionMismatchError, StoreError, clock
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GivenEvents, Project
from tests.system.conftest import expected, stored
from tests.system.test_sync import asked, at, day, moment, shelf  # noqa: F401 - a fixture

NAMES = "SELECT event_name FROM events ORDER BY ALL"


class Days:
    """Events of each day, whatever their own time: as of a project whose time zone was changed."""

    def __init__(self, days):
        self.days = days

    def pieces(self, day, *, now, order=0, zone=None):
        for event in self.days.get(day.isoformat(), ()):
            if event["properties"]["mp_processing_time_ms"] <= now.timestamp() * 1000:
                yield json.dumps(event).encode() + b"\n"


def event(name, time, processed=None, insert_id=None):
    ids = {"distinct_id": "d"} if insert_id is None else {"distinct_id": "d", "$insert_id": insert_id}
    times = [int(at(each).timestamp() * 1000) for each in (time, processed or time)]
    return {"event": name, "properties": {"time": times[0], **ids, "mp_processing_time_ms": times[1]}}


def noon(number):
    return event(f"E{number}", f"{day(number)}T12:00:00", insert_id="e")


def names(path):
    return [name for (name,) in shelf(path, NAMES)]


async def test_a_merge_leaves_the_rows_of_another_chunk(path, client_of, moment):  # noqa: F811
    """Returned for the 1st, though its time is on the 2nd; processed when the 1st is looked at for the last time."""
    foreign = event("Foreign", f"{day(2)}T00:20:00", f"{day(6)}T23:50:00", "f")
    source = Days({day(number): [noon(number)] for number in range(2, 10)} | {day(1): [noon(1), foreign]})
    async with FakeMixpanel(source, limits=None) as server:
        client = client_of(server)
        for night in range(2, 10):
            moment(server, f"{day(night)}T00:30:00")
            await client.sync_events(from_date=day(1))
            moment(server, f"{day(night)}T01:30:00")
            await client.sync_events(to_date="today", late="merge")
        assert names(path) == [f"E{number}" for number in range(1, 9)] + ["Foreign"]
        coverage = await client.store.coverage()
        assert [each.rows for each in coverage.days] == [2, 1, 1, 1, 1, 1, 1, 1, 0]


async def test_a_merge_beside_a_row_that_two_chunks_have(path, client_of, moment):  # noqa: F811
    """The table shows one of the two; before each call the other is put back, and compared at its end."""
    older, newer = (event("Both", f"{day(2)}T00:20:00", f"{day(2)}T09:{minute}:00", "b") for minute in (40, 50))
    source = Days({day(1): [noon(1), newer], day(2): [noon(2), older], day(3): [event("E3", f"{day(3)}T00:00:00")]})
    async with FakeMixpanel(source, limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(3)}T12:30:00")
        await client.sync_events(from_date=day(1), chunk_days=1)
        for hour in (13, 14):
            moment(server, f"{day(3)}T{hour}:30:00")
            result = await client.sync_events(late="merge", chunk_days=1)
            assert not result.has_failures
            assert names(path) == ["Both", "E1", "E2"]


async def test_rows_within_a_chunk_of_several_days_are_neither_lost_nor_doubled(path, client_of, moment):  # noqa: F811
    """Of each two days: one row with the time of the next day, and one, without insert id, of the day before."""
    days = {}
    for number in range(1, 29):
        after, before = (
            event(f"A{number}", f"{day(number + 1)}T00:20:00", f"{day(number)}T23:59:00", "a"),
            event(f"B{number}", f"{day(number - 1) if number > 1 else day(1)}T23:50:00", f"{day(number)}T00:00:00"),
        )
        days[day(number)] = [noon(number), after if number % 2 else before]
    async with FakeMixpanel(Days(days), limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(21)}T01:00:00")
        await client.sync_events(from_date=day(1), chunk_days=2)
        for night in range(22, 29):
            moment(server, f"{day(night)}T01:00:00")
            await client.sync_events()
            wanted = [each["event"] for number in range(1, night) for each in days[day(number)]]
            assert Counter(names(path)) == Counter(wanted), night


async def test_a_merge_that_brings_only_lines_that_are_no_events(path, client_of, moment):  # noqa: F811
    async with FakeMixpanel(GivenEvents([noon(3)], lines={day(3): [b"bad"]}), limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(3)}T12:30:00")
        await client.sync_events(from_date=day(3), to_date="today")
        for hour, lines in ((16, [b"bad"]), (17, [b"bad", b"worse"]), (18, [b"bad", b"worse"])):
            moment(server, f"{day(3)}T{hour}:30:00")
            server.events = GivenEvents([noon(3)], lines={day(3): lines})
            result = await client.sync_events(to_date="today", late="merge")
            assert (result.total_rows, result.rejected_rows) == (0, 1 if hour == 17 else 0)
        assert shelf(path, "SELECT line, chunk_failed FROM _mixpanel_rejected") == [(b"bad", False), (b"worse", False)]
        assert shelf(path, "SELECT rows, rejected FROM _mixpanel_chunks") == [(1, 2)]


@pytest.mark.parametrize("late", ["replace", "merge"])
async def test_a_clock_that_was_ahead_is_not_believed_later(path, client_of, moment, late):  # noqa: F811
    events = GeneratedEvents(per_day=40, seed=5, late=0.3)
    async with FakeMixpanel(events, limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(4)}T06:00:00")
        await client.sync_events(from_date=day(1), to_date="today")
        right, ahead = server.clock.now, at("2026-07-20T06:00:00")
        clock.utc_now = lambda: ahead
        await client.sync_events(to_date=day(4), late=late)
        clock.utc_now = lambda: server.clock.now
        assert server.clock.now == right
        for hours in (6, 12, 18):
            server.clock.now = right + dt.timedelta(hours=hours)
            await client.sync_events(to_date="today", late=late)
            assert stored(path) == expected(server, day(1), server.clock.now.date().isoformat())
        moment(server, f"{day(6)}T06:00:00")
        await client.fetch_events(from_date=day(1), to_date=day(5), resume=True)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_a_project_whose_zone_is_not_told_is_exported_all_the_same(path, client_of, moment, status, caplog):  # noqa: F811
    async with FakeMixpanel(GeneratedEvents(per_day=5), limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(4)}T06:30:00")
        server.faults.add(Fault.status(status), endpoint="app/me")
        await client.fetch_events("fetched", from_date=day(3), to_date=day(4))
        assert [each async for each in client.stream_events(from_date=day(4), to_date=day(4))]
        await client.sync_events(from_date=day(1), chunk_days=1)
        assert "time zone is not known" in caplog.text
        assert shelf(path, "SELECT max(to_date)::VARCHAR FROM _mixpanel_chunks WHERE table_name = 'events'") == [
            (day(2),)
        ]
        server.faults.clear()
        moment(server, f"{day(4)}T07:31:00")
        await client.sync_events()
        assert shelf(path, "SELECT max(to_date)::VARCHAR FROM _mixpanel_chunks WHERE table_name = 'events'") == [
            (day(3),)
        ]


async def test_what_other_projects_lack_does_not_matter(client_of, moment):  # noqa: F811
    ours, other = Project(timezone="US/Pacific"), Project(id=7, timezone=None)
    async with FakeMixpanel(projects=[ours, other], limits=None) as server:
        assert (await client_of(server).project()).timezone == "US/Pacific"


async def test_bad_input_leaves_a_file_without_our_tables_as_it_is(path, client_of, moment):  # noqa: F811
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1 AS a")
    async with FakeMixpanel(limits=None) as server:
        moment(server, f"{day(4)}T06:30:00")
        before = path.read_bytes()
        with pytest.raises(ValueError, match="holds no dates yet"):
            await client_of(server).sync_events()
        with pytest.raises(StoreError, match="'mine' was not made by this library"):
            await client_of(server).sync_events("mine")
        assert path.read_bytes() == before
        assert server.requests == []


async def test_a_table_with_a_limit_is_refused(client_of, moment):  # noqa: F811
    async with FakeMixpanel(GeneratedEvents(per_day=5), limits=None) as server:
        moment(server, f"{day(4)}T06:30:00")
        client = client_of(server)
        await client.fetch_events(from_date=day(1), to_date=day(2), limit=3)
        with pytest.raises(SelectionMismatchError, match="fetched with limit=3"):
            await client.sync_events()


async def test_a_database_with_a_schema_of_the_name_temp(client_of, moment):  # noqa: F811
    async with FakeMixpanel(GeneratedEvents(per_day=5), limits=None) as server:
        moment(server, f"{day(4)}T06:30:00")
        with duckdb.connect() as connection:
            connection.execute("CREATE SCHEMA temp")
            client = client_of(server, database=connection)
            await client.sync_events(from_date=day(1))
            result = await client.sync_events(late="merge")
            assert not result.has_failures


async def test_planning_does_not_hold_up_a_sync_of_the_same_client(path, client_of, moment):  # noqa: F811
    async with FakeMixpanel(GeneratedEvents(per_day=50), limits=None) as server:
        moment(server, f"{day(20)}T06:30:00")
        client = client_of(server, lock_timeout=0.0)
        plans = []

        async def plan(_):
            plans.append(await client.plan_events(sync=True, from_date=day(1)))

        result = await client.sync_events(from_date=day(1), chunk_days=1, on_batch_complete=plan)
        assert not result.has_failures
        assert len(plans) == 19
        assert plans[-1].days < 19
