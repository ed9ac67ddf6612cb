"""Rows whose own time lies outside the dates that Mixpanel gave them for still belong to those dates."""

from __future__ import annotations

import json

import duckdb

from mixpanel_async.testing import FakeMixpanel, GivenEvents

DAY = 86_400
FIRST = 1_767_225_600  # 2026-01-01


def line(name, time, number=0):
    return json.dumps({"event": name, "properties": {"time": time, "n": number}}).encode()


def shifted():
    """Each day's export begins eight hours before its date, as with a changed time zone; a row an hour."""
    return {
        f"2026-01-{day + 1:02}": [line("e", FIRST + day * DAY - 8 * 3600 + hour * 3600, day) for hour in range(24)]
        for day in range(10)
    }


def rows(path):
    with duckdb.connect(str(path)) as connection:
        return sorted(connection.execute("SELECT epoch(event_time)::BIGINT, properties FROM events").fetchall())


def counts(path):
    with duckdb.connect(str(path)) as connection:
        query = "SELECT from_date::VARCHAR, to_date::VARCHAR, rows FROM _mixpanel_chunks ORDER BY 1"
        return connection.execute(query).fetchall()


async def test_a_fetch_anew_replaces_its_own_strays_and_nobody_elses(client_of, path):
    async with FakeMixpanel(GivenEvents(lines=shifted()), today="2026-06-01", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(from_date="2026-01-01", to_date="2026-01-10", parallel=True, chunk_days=2)
        before = rows(path)
        assert len(before) == 240
        assert [count for *_, count in counts(path)] == [48] * 5

        for dates in (("2026-01-02", "2026-01-05"), ("2026-01-05", "2026-01-05"), ("2026-01-01", "2026-01-10")):
            await client.fetch_events(from_date=dates[0], to_date=dates[1], append=True)
            assert rows(path) == before
            assert sum(count for *_, count in counts(path)) == 240


async def test_the_same_row_given_for_two_dates_goes_only_with_its_own(client_of, path):
    twice = line("edge", FIRST + DAY - 1)  # 23:59:59 of the first day, and exported with the second too
    lines = {"2026-01-01": [twice], "2026-01-02": [twice, line("e", FIRST + DAY)]}
    async with FakeMixpanel(GivenEvents(lines=lines), today="2026-06-01", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(from_date="2026-01-01", to_date="2026-01-02", parallel=True, chunk_days=1)
        assert [count for *_, count in counts(path)] == [1, 2]

        for date in ("2026-01-01", "2026-01-02", "2026-01-01"):
            await client.fetch_events(from_date=date, to_date=date, append=True)
            assert len(rows(path)) == 3
            assert [count for *_, count in counts(path)] == [1, 2]
