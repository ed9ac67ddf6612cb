"""Rows whose own time lies outside the dates that Mixpanel gave them for still belong to those dates."""

from __future__ import annotations

import asyncio
import json
import random
import threading

import duckdb
import pytest

from mixpanel_async.duck import connection
from mixpanel_async.duck.chunk_loader import ChunkLoader
from mixpanel_async.testing import FakeMixpanel, Fault, GivenEvents

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


def keyed(moment, insert_id, processed):
    properties = {"time": moment, "distinct_id": "d", "$insert_id": insert_id, "mp_processing_time_ms": processed}
    return json.dumps({"event": "e", "properties": properties}).encode()


def given_for_both_days(days=7):
    """Each day has a row at noon and one at midnight; that of midnight is given for the day before, too, and newer."""
    lines = {f"2026-01-{day + 1:02}": [] for day in range(days)}
    for day, of_day in enumerate(lines.values()):
        start = FIRST + day * DAY
        of_day += [keyed(start, f"midnight {day}", 1), keyed(start + DAY // 2, f"noon {day}", 1)]
        of_day.append(keyed(start + DAY, f"midnight {day + 1}", 2))
    return lines


def shown(path):
    with duckdb.connect(str(path)) as connection:
        query = "SELECT insert_id, (properties->>'mp_processing_time_ms')::INT FROM events ORDER BY ALL"
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("chunk_days", [1, 2, 3, 7])
async def test_a_key_that_is_given_for_two_chunks_is_stored_once(client_of, path, chunk_days):
    expected = sorted(
        [(f"noon {day}", 1) for day in range(7)] + [(f"midnight {day}", 2 if day else 1) for day in range(8)]
    )
    async with FakeMixpanel(GivenEvents(lines=given_for_both_days()), today="2026-06-01", limits=None) as server:
        client = client_of(server)
        week = {"from_date": "2026-01-01", "to_date": "2026-01-07", "parallel": True, "chunk_days": chunk_days}
        result = await client.fetch_events(**week)
        assert shown(path) == expected
        assert result.total_rows == 15
        assert sum(rows for *_, rows in counts(path)) == 15

        for day in ("2026-01-03", "2026-01-04", "2026-01-03"):
            await client.fetch_events(from_date=day, to_date=day, append=True)
            assert shown(path) == expected
            assert sum(rows for *_, rows in counts(path)) == 15
        await client.fetch_events(**week, append=True)
        assert shown(path) == expected

        asked = len(server.requests)
        assert (await client.fetch_events(**week, resume=True)).total_rows == 0
        assert len(server.requests) == asked


async def test_a_key_stays_when_the_chunk_that_it_was_shown_from_lacks_it(client_of, path):
    source = GivenEvents(lines=given_for_both_days(2))
    async with FakeMixpanel(source, today="2026-06-01", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(from_date="2026-01-01", to_date="2026-01-02", parallel=True, chunk_days=1)
        assert ("midnight 1", 2) in shown(path)
    source = GivenEvents(lines={"2026-01-02": given_for_both_days(2)["2026-01-02"]})
    async with FakeMixpanel(source, today="2026-06-01", limits=None) as server:
        await client_of(server).fetch_events(from_date="2026-01-01", to_date="2026-01-01", append=True)
        assert shown(path) == [("midnight 1", 1), ("midnight 2", 2), ("noon 1", 1)]


async def test_a_call_that_is_cancelled_compares_what_it_committed(client_of, path):
    async with FakeMixpanel(GivenEvents(lines=given_for_both_days()), today="2026-06-01", limits=None) as server:
        server.faults.add(Fault.stall(), date="2026-01-03")
        committed, two = [], asyncio.Event()

        def hear(news):
            committed.append(news.from_date)
            if len(committed) == 2:
                loop.call_soon_threadsafe(two.set)

        loop = asyncio.get_running_loop()
        dates = {"from_date": "2026-01-01", "to_date": "2026-01-03", "parallel": True, "chunk_days": 1}
        call = loop.create_task(client_of(server).fetch_events(**dates, on_batch_complete=hear))
        await two.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert shown(path) == [("midnight 0", 1), ("midnight 1", 2), ("midnight 2", 2), ("noon 0", 1), ("noon 1", 1)]


def copy_of(day, processed, moment=FIRST + DAY, pad=""):
    properties = {"time": moment, "distinct_id": "d", "$insert_id": "i", "mp_processing_time_ms": processed, "day": day}
    return json.dumps({"event": "e", "properties": {**properties, "pad": pad}}).encode()


async def test_a_chunk_that_fails_does_not_hide_that_its_old_row_became_a_copy(client_of, path):
    """The second day's newer row replaces the one that the first day had; the first day itself fails."""
    lines = {"2026-01-01": [copy_of(1, 1)], "2026-01-02": [copy_of(2, 2)]}
    async with FakeMixpanel(GivenEvents(lines=lines), today="2026-06-01", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(from_date="2026-01-01", to_date="2026-01-01")
        server.faults.add(Fault.status(500), date="2026-01-01")
        result = await client.fetch_events(
            from_date="2026-01-01", to_date="2026-01-02", append=True, parallel=True, chunk_days=1
        )
    assert (result.total_rows, result.failed_date_ranges) == (1, (("2026-01-01", "2026-01-01"),))
    [(_, properties)] = rows(path)
    assert json.loads(properties)["day"] == 2
    assert counts(path) == [("2026-01-01", "2026-01-01", 0), ("2026-01-02", "2026-01-02", 1)]


async def test_chunks_with_equal_rows_are_replaced_at_the_same_time(client_of, path, monkeypatch):
    """If two deleted the same row, that would be a conflict in DuckDB. Each transaction begins before one has ended."""
    equal = [line("e", FIRST + DAY) for _ in range(50)]
    lines = {f"2026-01-0{day}": equal for day in (1, 2, 3, 4)}
    commit, both = ChunkLoader.commit, threading.Barrier(2, timeout=30)

    def committed(loader, record):
        both.wait()
        return commit(loader, record)

    async with FakeMixpanel(GivenEvents(lines=lines), today="2026-06-01", limits=None) as server:
        client = client_of(server)
        dates = {"from_date": "2026-01-01", "to_date": "2026-01-04", "parallel": True, "chunk_days": 1}
        await client.fetch_events(**dates)
        monkeypatch.setattr(ChunkLoader, "commit", committed)
        for _ in range(3):
            result = await client.fetch_events(**dates, append=True)
            assert (result.total_rows, result.has_failures) == (200, False)
    assert len(rows(path)) == 200


async def test_wide_rows_of_two_chunks_are_compared_within_the_memory(client_of, path, monkeypatch):
    monkeypatch.setattr(connection, "MEMORY_LIMIT", "24MB")
    pads = ["".join(random.Random(number).choices("0123456789abcdef", k=400_000)) for number in range(60)]
    lines = {
        f"2026-01-0{day}": [copy_of(day, day, FIRST + 20 * 3600 + number, pad) for number, pad in enumerate(pads)]
        for day in (1, 2)
    }
    dates = {"from_date": "2026-01-01", "to_date": "2026-01-02", "parallel": True, "chunk_days": 1}
    async with FakeMixpanel(GivenEvents(lines=lines), today="2026-06-01", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(**dates)
        for more in ({"append": True}, {"resume": True}):
            assert not (await client.fetch_events(**dates, **more)).has_failures
            assert [json.loads(properties)["day"] for _, properties in rows(path)] == [2] * 60
