"""`sync_events`: nights and hours of a project whose events come late, and what the table holds after each."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
import sys
from collections import Counter

import duckdb
import pytest

from mixpanel_async import ProjectSecret, SelectionMismatchError, clock
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GivenEvents, Project
from tests.system.conftest import expected, journal, stored

LATE = GeneratedEvents(
    per_day=60, seed=11, late=0.2, late_days=5, duplicates=0.1, missing_insert_id=0.05, shared_insert_id=0.02
)
CHANGING = GeneratedEvents(
    per_day=60, seed=12, late=0.2, late_days=5, duplicates=0.1, rekeyed=0.3, rekeyed_on=dt.date(2026, 6, 4),
    compacted_after=3,
)  # fmt: skip


def at(text):
    return dt.datetime.fromisoformat(f"{text}+00:00")


@pytest.fixture
def moment(monkeypatch):
    """Set the time of a server and of the client."""

    def set_moment(server, text):
        server.clock.now = at(text)
        monkeypatch.setattr(clock, "utc_now", lambda: server.clock.now)

    return set_moment


def asked(server):
    """The exports since the last look: first date, last date, and whether it was a merge."""
    exports = [record for record in server.requests if record.path.startswith("/api/2.0/export")]
    seen = getattr(server, "_seen", 0)
    asked.seen[id(server)], seen = len(exports), asked.seen.get(id(server), 0)
    return sorted(
        (record.params["from_date"], record.params["to_date"], "mp_processing" in record.params.get("where", ""))
        for record in exports[seen:]
    )


asked.seen = {}


def day(number):
    return f"2026-06-{number:02}"


async def test_nights_bring_new_days_and_what_comes_late(path, client_of, moment):
    async with FakeMixpanel(CHANGING, limits=None) as server:
        client = client_of(server)
        for night in range(4, 18):
            moment(server, f"{day(night)}T02:00:00")
            result = await client.sync_events(from_date=day(1), chunk_days=1)
            assert not result.has_failures
            fresh = [day(number) for number in range(max(1, night - 6), night)]
            assert [first for first, _, _ in asked(server)] == fresh
            for each in fresh:
                assert stored_of(path, each) == expected(server, each, each)
        settled = [day(number) for number in range(1, 12)]
        assert all(stored_of(path, each) == expected(server, each, each) for each in settled)
        assert sum(stored(path).values()) == sum(rows for _, _, rows, _ in journal(path))


def stored_of(path, each):
    """The table's lines of one day."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE OR REPLACE VIEW one_day AS FROM events WHERE event_time::DATE = DATE '{each}'")
    try:
        return stored(path, "one_day")
    finally:
        with duckdb.connect(str(path)) as connection:
            connection.execute("DROP VIEW one_day")


async def test_after_nights_without_a_sync_the_days_before_them_are_looked_at_again(path, client_of, moment):
    async with FakeMixpanel(LATE, limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(7)}T02:00:00")
        await client.sync_events(from_date=day(1))
        asked(server)
        moment(server, f"{day(20)}T02:00:00")
        await client.sync_events(chunk_days=1)
        assert [first for first, _, _ in asked(server)] == [day(number) for number in range(2, 20)]
        assert stored(path) == expected(server, day(1), day(19))


async def test_nothing_to_do_is_no_request(path, client_of, moment):
    async with FakeMixpanel(LATE, limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(6)}T02:00:00")
        await client.sync_events(from_date=day(1), lookback_days=0)
        asked(server)
        result = await client.sync_events(lookback_days=0)
        assert (result.total_rows, result.successful_batches, result.failed_batches) == (0, 0, 0)
        result = await client.sync_events("empty", from_date=day(6))  # today
        assert (result.total_rows, result.successful_batches) == (0, 0)
        assert asked(server) == []


async def test_a_failed_day_is_mended_by_the_next_sync(path, client_of, moment, caplog):
    async with FakeMixpanel(LATE, limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(20)}T02:00:00")
        server.faults.add(Fault.status(500), date=day(3))
        result = await client.sync_events(from_date=day(1), to_date=day(9), chunk_days=1)
        assert result.failed_date_ranges == ((day(3), day(3)),)
        server.faults.clear()
        asked(server)
        result = await client.sync_events(to_date=day(9), chunk_days=1)
        assert asked(server) == [(day(3), day(3), False)]
        assert (result.successful_batches, result.has_failures) == (1, False)
        assert stored(path) == expected(server, day(1), day(9))


async def test_a_table_of_fetch_events_is_continued(path, client_of, moment):
    async with FakeMixpanel(LATE, limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(4)}T02:00:00")
        where = 'properties["sequence"] > 20'
        name = next(iter(expected_names(server)))
        await client.fetch_events(from_date=day(1), to_date=day(3), where=where, events=[name])
        moment(server, f"{day(12)}T02:00:00")
        await client.sync_events()
        rows = stored(path)
        wanted = [
            line for line in expected(server, day(1), day(11)).elements()
            if json.loads(line)["event"] == name and json.loads(line)["properties"]["sequence"] > 20
        ]  # fmt: skip
        assert rows == Counter(wanted)
        with pytest.raises(SelectionMismatchError):
            await client.sync_events(events=["Another"])
        requests = len(server.requests)
        with pytest.raises(SelectionMismatchError):
            await client.sync_events(where="true")
        assert len(server.requests) == requests


def expected_names(server):
    return Counter(json.loads(line)["event"] for line in expected(server, day(1), day(3))).keys()


async def test_hourly_merges_are_exact(path, client_of, moment):
    async with FakeMixpanel(LATE, limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(6)}T00:30:00")
        await client.sync_events(from_date=day(1), to_date="today", late="merge", chunk_days=30)
        assert stored(path) == expected(server, day(1), day(6))
        asked(server)
        more = 0
        for hours in range(1, 34):
            server.clock.advance(3600)
            before = sum(stored(path).values())
            result = await client.sync_events(to_date="today", late="merge", chunk_days=30)
            today = server.clock.now.date().isoformat()
            assert stored(path) == expected(server, day(1), today), hours
            assert result.total_rows == sum(stored(path).values()) - before
            more += result.total_rows
            requests = asked(server)
            assert [is_merge for _, _, is_merge in requests if is_merge] == [True]
            assert len(requests) == 1 + (server.clock.now.hour == 0)
        assert more > 40
        assert sum(stored(path).values()) == sum(rows for _, _, rows, _ in journal(path))


async def test_hourly_merges_with_a_nightly_replace_are_exact_in_the_end(path, client_of, moment):
    async with FakeMixpanel(CHANGING, limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(3)}T00:30:00")
        await client.sync_events(from_date=day(1))
        for _ in range(4 * 8):
            server.clock.advance(6 * 3600)
            late = "replace" if server.clock.now.hour == 0 else "merge"
            await client.sync_events(to_date="yesterday" if late == "replace" else "today", late=late, chunk_days=3)
        settled = [day(number) for number in range(1, 5)]
        assert server.clock.now.date().isoformat() == day(11)
        assert all(stored_of(path, each) == expected(server, each, each) for each in settled)
        await client.sync_events(to_date="today")
        assert stored(path) == expected(server, day(1), day(11))


async def test_the_last_millisecond_of_a_day_is_there_once_after_ten_syncs(path, client_of, moment):
    times = [f"{day(3)}T23:59:59.999", f"{day(4)}T00:00:00.000", f"{day(4)}T23:59:59.999", f"{day(5)}T00:00:00.000"]
    events = [
        {"event": text, "properties": {"time": int(at(text).timestamp() * 1000), "distinct_id": "a", **ids,
         "mp_processing_time_ms": int(at(text).timestamp() * 1000) + 5}}
        for text in times for ids in ({"$insert_id": text}, {})
    ]  # fmt: skip
    async with FakeMixpanel(GivenEvents(events), limits=None) as server:
        client = client_of(server)
        for late in ("replace", "merge"):
            for hours in range(10):
                moment(server, f"{day(5 + hours // 5)}T{2 + hours:02}:00:00")
                await client.sync_events(from_date=day(3), to_date="today", late=late, chunk_days=1 + hours % 2)
        rows = shelf(path, "SELECT event_name, count(*), count(insert_id) FROM events GROUP BY ALL ORDER BY ALL")
        assert rows == [(text, 2, 1) for text in times]


async def test_a_replace_after_merges_mends_what_they_cannot_see(path, client_of, moment):
    async with FakeMixpanel(CHANGING, limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(3)}T02:00:00")
        await client.sync_events(from_date=day(1), to_date="today", late="merge")
        for _ in range(20):
            server.clock.advance(3 * 3600)
            await client.sync_events(to_date="today", late="merge")
        today = server.clock.now.date().isoformat()
        assert stored(path) != expected(
            server, day(1), today
        )  # another distinct id for rows that are not processed anew
        await client.sync_events(to_date="today")
        assert stored(path) == expected(server, day(1), today)


async def test_merged_days_settle_for_merges_and_not_for_replaces(path, client_of, moment):
    async with FakeMixpanel(LATE, limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(3)}T02:00:00")
        await client.sync_events(from_date=day(1), late="merge", lookback_days=2)
        for night in range(4, 10):
            moment(server, f"{day(night)}T02:00:00")
            await client.sync_events(late="merge", lookback_days=2)
        asked(server)
        await client.sync_events(late="merge", lookback_days=2, chunk_days=1)
        assert asked(server) == [(day(7), day(8), True)]
        await client.sync_events(lookback_days=2, chunk_days=1)
        assert [first for first, _, _ in asked(server)] == [day(number) for number in range(1, 9)]


async def test_a_merge_leaves_rejected_lines_once_and_weights_alone(path, client_of, moment):
    lines = {day(3): [b"no event"]}
    events = [
        {"event": f"E{number}", "properties": {"time": int(at(f"{day(3)}T10:00:00").timestamp()), "distinct_id": "a",
         "mp_processing_time_ms": int(at(f"{day(3)}T{10 + number}:00:00").timestamp() * 1000)}}
        for number in range(4)
    ]  # fmt: skip
    async with FakeMixpanel(GivenEvents(events, lines=lines), limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(3)}T10:30:00")
        await client.sync_events(from_date=day(3), to_date="today", late="merge")
        weights = shelf(path, "SELECT bytes FROM _mixpanel_chunks")
        for hour in (11, 12, 13):
            moment(server, f"{day(3)}T{hour}:30:00")
            await client.sync_events(to_date="today", late="merge")
        assert shelf(path, "SELECT event_name FROM events ORDER BY ALL") == [(f"E{number}",) for number in range(4)]
        assert shelf(path, "SELECT line FROM _mixpanel_rejected") == [(b"no event",)]
        assert shelf(path, "SELECT bytes FROM _mixpanel_chunks") == weights
        assert shelf(path, "SELECT rows, merged_at FROM _mixpanel_chunks") == [
            (4, at(f"{day(3)}T13:30:00").replace(tzinfo=None))
        ]


def made(name, insert_id, time, processed, **more):
    """An event as Mixpanel exports it; times on the third day."""
    seconds, milliseconds = (int(at(f"{day(3)}T{each}").timestamp()) for each in (time, processed))
    ids = {"distinct_id": "a"} if insert_id is None else {"distinct_id": "a", "$insert_id": insert_id}
    return {"event": name, "properties": {"time": seconds, **ids, "mp_processing_time_ms": milliseconds * 1000, **more}}


async def test_a_row_that_is_processed_again_replaces_the_older_one(path, client_of, moment):
    events = [
        made("Again", "1", "09:00:00", "09:00:00", n=1),
        made("Again", "1", "09:00:00", "16:00:00", n=2),
        made("Other", "1", "09:00:00", "09:00:00", n=3),
        made("No key", None, "09:00:00", "09:00:00", n=4),
        made("No key", None, "09:00:00", "15:30:00", n=4),
    ]
    async with FakeMixpanel(GivenEvents(events), limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(3)}T10:00:00")
        await client.sync_events(from_date=day(3), to_date="today", late="merge")
        for hour in (13, 16, 17, 18):
            moment(server, f"{day(3)}T{hour}:10:00")
            await client.sync_events(to_date="today", late="merge")
        rows = "SELECT event_name, (properties->>'n')::INTEGER FROM events ORDER BY ALL"
        assert shelf(path, rows) == [("Again", 2), ("No key", 4), ("No key", 4), ("Other", 3)]
        assert journal(path) == [(day(3), day(3), 4, 4)]


async def test_rows_that_no_merge_has_asked_for_change_nothing(path, client_of, moment):
    """A server that ignores the filter, and rows whose own time lies outside the dates."""
    old = json.dumps(made("Old", None, "09:00:00", "09:00:00")).encode()
    outside = json.dumps(made("Outside", None, "09:00:00", "17:00:00")).replace("17", "18", 1).encode()
    async with FakeMixpanel(GivenEvents([], lines={day(3): [old]}), limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(3)}T10:00:00")
        await client.sync_events(from_date=day(3), to_date="today", late="merge")
        server.events = GivenEvents([], lines={day(3): [old, outside]})
        for hour in (16, 17, 18):
            moment(server, f"{day(3)}T{hour}:10:00")
            await client.sync_events(to_date="today", late="merge")
        assert shelf(path, "SELECT event_name FROM events") == [("Old",)]


def shelf(path, query):
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


async def test_two_syncs_at_once(path, client_of, moment):
    async with FakeMixpanel(LATE, limits=None) as server:
        moment(server, f"{day(6)}T02:00:00")
        one = client_of(server)
        await one.sync_events(from_date=day(1))
        for late in ("replace", "merge"):
            server.clock.advance(24 * 3600)
            results = await asyncio.gather(one.sync_events(late=late), one.sync_events(late=late))
            assert not any(result.has_failures for result in results)
            yesterday = (server.clock.now - dt.timedelta(days=1)).date().isoformat()
            assert stored(path) == expected(server, day(1), yesterday)


@pytest.mark.parametrize("late", ["replace", "merge"])
async def test_a_cancelled_sync_leaves_whole_chunks(path, client_of, moment, late):
    async with FakeMixpanel(LATE, limits=None) as server:
        moment(server, f"{day(6)}T02:00:00")
        client = client_of(server)
        await client.sync_events(from_date=day(1))
        server.clock.advance(2 * 24 * 3600)
        before = stored(path)
        for steps in range(0, 300, 7):
            task = asyncio.create_task(client.sync_events(late=late, chunk_days=1))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert sum(stored(path).values()) >= sum(before.values())
        await client.sync_events(late=late)
        assert stored(path) == expected(server, day(1), day(7))


SYNC = """
import asyncio, datetime, sys
from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount, clock
url, user, secret, project, now, late, path = sys.argv[1:]
clock.utc_now = lambda: datetime.datetime.fromisoformat(now)
async def main():
    limits = RateLimits(per_second=1000, per_hour=100000)
    async with MixpanelClient(ServiceAccount(user, secret, project), database=path, base_url=url, limits=limits) as client:
        print("begins", flush=True)
        await client.sync_events(from_date="2026-06-01", to_date="today", late=late, chunk_days=1)
        print("done", flush=True)
asyncio.run(main())
"""


async def start_sync(server, path, late):
    account = server.project.service_account
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", SYNC, server.url, account.username, account.secret, str(server.project.id),
        server.clock.now.isoformat(), late, str(path), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize(("late", "kills"), [("replace", 3), ("merge", 3)])
async def test_what_a_kill_leaves_is_whole_and_the_next_sync_finishes_it(path, moment, late, kills):
    events = GeneratedEvents(per_day=2000, seed=11, late=0.2, late_days=5, duplicates=0.1, missing_insert_id=0.05)
    draw = random.Random(late)
    async with FakeMixpanel(events, limits=None) as server:
        moment(server, f"{day(5)}T02:00:00")
        first = await start_sync(server, path, late)
        await first.communicate()
        for _ in range(kills):
            server.clock.advance(6 * 3600)
            before = sum(stored(path).values())
            running = await start_sync(server, path, late)
            await running.stdout.readline()
            await asyncio.sleep(draw.uniform(0.0, 0.6))
            if running.returncode is None:
                running.kill()
            await running.communicate()
            rows = journal(path)  # also that both counts agree
            assert sum(stored(path).values()) >= before
            assert all(first == last for first, last, _, _ in rows)
        last = await start_sync(server, path, late)
        assert await last.communicate() == (b"begins\ndone\n", None)
        assert stored(path) == expected(server, day(1), server.clock.now.date().isoformat())


async def test_two_processes_at_once(path, moment):
    async with FakeMixpanel(LATE, limits=None) as server:
        moment(server, f"{day(5)}T02:00:00")
        for late in ("replace", "merge"):
            server.clock.advance(12 * 3600)
            running = [await start_sync(server, path, late) for _ in range(2)]
            outputs = [await each.communicate() for each in running]
            assert outputs == [(b"begins\ndone\n", None)] * 2
            assert stored(path) == expected(server, day(1), server.clock.now.date().isoformat())


async def test_yesterday_is_the_projects(path, client_of, moment):
    old = Project(id=777, timezone="US/Pacific", created=dt.date(2021, 1, 1))
    async with FakeMixpanel(LATE, projects=[old], limits=None) as server:
        client = client_of(server)
        moment(server, f"{day(4)}T06:59:00")  # 23:59 of the 3rd in the project
        await client.sync_events(from_date=day(1), chunk_days=1)
        assert [first for first, _, _ in asked(server)] == [day(1), day(2)]
        moment(server, f"{day(4)}T07:01:00")
        await client.sync_events(chunk_days=1, lookback_days=0)
        assert [first for first, _, _ in asked(server)] == [day(3)]
        assert [record.path for record in server.requests].count("/api/app/me") == 1
        moment(server, f"{day(4)}T12:00:00")  # the 5th has begun elsewhere
        with pytest.raises(ValueError, match=f"to_date {day(5)} has not begun in the project, where it is {day(4)}"):
            await client.sync_events(to_date=day(5))
        with pytest.raises(ValueError, match=f"to_date {day(5)} has not begun in the project"):
            await client.fetch_events("other", from_date=day(1), to_date=day(5))
        with pytest.raises(ValueError, match=f"to_date {day(5)} has not begun in the project"):
            async for _ in client.stream_events(from_date=day(1), to_date=day(5)):
                pass
        assert asked(server) == []


async def test_without_a_zone_a_day_is_over_when_it_is_over_everywhere(path, client_of, moment):
    async with FakeMixpanel(LATE, limits=None) as server:
        client = client_of(server, credentials=ProjectSecret(server.project.api_secret))
        moment(server, f"{day(4)}T11:59:00")
        await client.sync_events(from_date=day(1), chunk_days=1)
        assert [first for first, _, _ in asked(server)] == [day(1), day(2)]
        moment(server, f"{day(4)}T12:01:00")
        await client.sync_events(chunk_days=1, lookback_days=0)
        assert [first for first, _, _ in asked(server)] == [day(3)]


@pytest.mark.parametrize(("first", "last"), [("2025-03-07", "2025-03-11"), ("2025-10-31", "2025-11-04")])
@pytest.mark.parametrize("late", ["replace", "merge"])
async def test_an_old_project_over_a_change_of_clocks_is_exact(path, client_of, moment, first, last, late):
    old = Project(id=777, timezone="US/Pacific", created=dt.date(2021, 1, 1))
    events = GeneratedEvents(per_day=300, seed=3, late=0.1, late_days=2, duplicates=0.1)
    async with FakeMixpanel(events, projects=[old], limits=None) as server:
        client = client_of(server)
        moment(server, f"{first}T20:00:00")
        await client.sync_events(from_date=first, to_date="today", late=late)
        for _ in range(14):
            server.clock.advance(12 * 3600)
            await client.sync_events(to_date="today", late=late, chunk_days=1)
        today = (server.clock.now - dt.timedelta(hours=8)).date().isoformat()
        assert stored(path) == expected(server, first, today)
        assert last <= today


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Table 'events' holds no dates yet: pass from_date the first time"),
        ({"from_date": "2026-06-01", "late": "never"}, "late must be 'replace' or 'merge'"),
        ({"from_date": "2026-06-01", "lookback_days": -1}, "lookback_days must be a whole number of days"),
        ({"from_date": "2026-06-01", "lookback_days": True}, "lookback_days must be a whole number of days"),
        ({"from_date": "2026-06-01", "to_date": "tomorrow"}, "to_date must be a date"),
        ({"from_date": "2026-06-02", "to_date": "2026-06-01"}, "from_date 2026-06-02 is after to_date 2026-06-01"),
        ({"from_date": "2026-06-01", "to_date": "2026-07-01"}, "to_date 2026-07-01 has not begun anywhere"),
        ({"name": "_mixpanel_x", "from_date": "2026-06-01"}, "names that begin"),
    ],
)
async def test_wrong_arguments_send_nothing(client_of, moment, arguments, message):
    async with FakeMixpanel(LATE, limits=None) as server:
        moment(server, f"{day(4)}T06:00:00")
        with pytest.raises(ValueError, match=message):
            await client_of(server).sync_events(**arguments)
        assert len(server.requests) == 0


async def test_the_project(client_of, moment):
    old = Project(id=777, timezone="US/Pacific", created=dt.date(2021, 1, 1))
    async with FakeMixpanel(LATE, projects=[old], limits=None) as server:
        project = await client_of(server).project()
        assert (project.id, project.name, project.timezone, project.region) == (777, "Project 777", "US/Pacific", "us")
