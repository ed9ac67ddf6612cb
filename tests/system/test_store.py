"""`client.store`, and a Store of another process, beside calls of the client that write."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import subprocess
import sys

import duckdb
import pytest

from mixpanel_async import ExportError, Store, StoreError, TableNotFoundError
from mixpanel_async.duck import versions
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GivenEvents
from tests.store.conftest import process_that_holds

from .conftest import LAST, expected, journal
from .test_out_of_range import shifted
from .test_turns import five_of_six, until_free

READ = """
import asyncio, json, sys
from mixpanel_async import Store
print(json.dumps(asyncio.run(Store(sys.argv[1]).coverage()).to_dict()))
"""


def counted(path):
    with duckdb.connect(str(path)) as connection:
        return dict(
            connection.execute("SELECT event_time::DATE::VARCHAR, count(*) FROM events GROUP BY ALL").fetchall()
        )


async def read_elsewhere(path):
    """What a Store of another process reads."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


async def test_the_days_of_a_fetch(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-10", chunk_days=3, parallel=True)
    await client.fetch_events(from_date="2026-01-14", to_date="2026-01-14", append=True)
    coverage = await client.store.coverage()
    assert {day.date: day.rows for day in coverage.days} == counted(path)
    assert (
        coverage.rows
        == expected(fake, "2026-01-01", "2026-01-10").total() + expected(fake, "2026-01-14", "2026-01-14").total()
    )
    assert coverage.gaps == (("2026-01-11", "2026-01-13"),)
    assert [(chunk.from_date, chunk.to_date, chunk.rows) for chunk in coverage.chunks] == [
        row[:3] for row in journal(path)
    ]
    assert coverage == await Store(path).coverage()
    assert coverage.to_dict() == await read_elsewhere(path)


async def test_failed_chunks_bad_lines_and_a_day_that_is_not_over(client_of, path):
    today = dt.datetime.now(dt.UTC).date()
    days = [f"{today - dt.timedelta(days=ago)}" for ago in (6, 5, 4, 3, 2, 1, 0)]
    lines = {day: [json.dumps({"event": "e", "properties": {"time": 1700000000}}).encode()] for day in days}
    lines[days[1]].append(b"bad")
    lines[days[2]] = [b"bad", b"worse"]
    async with FakeMixpanel(GivenEvents(lines=lines), today=f"{today}", limits=None) as server:
        server.faults.add(Fault.status(500), date=days[3])
        client = client_of(server)
        result = await client.fetch_events(from_date=days[0], to_date=days[-1], chunk_days=1, parallel=True)
        assert [first for first, _ in result.failed_date_ranges] == [days[2], days[3]]
        coverage = await client.store.coverage()
    assert [(day.date, day.rows, day.rejected_rows) for day in coverage.days] == [
        (days[0], 1, 0), (days[1], 1, 1), (days[4], 1, 0), (days[5], 1, 0), (days[6], 1, 0),
    ]  # fmt: skip
    assert coverage.gaps == ((days[2], days[3]),)
    assert [(chunk.from_date, chunk.rejected_rows) for chunk in coverage.rejected_chunks] == [(days[2], 2)]
    assert (coverage.days[0].is_complete, coverage.days[-1].is_complete) == (True, False)
    assert dt.datetime.now(dt.UTC) - coverage.days[0].fetched_at < dt.timedelta(minutes=5)


async def test_rows_out_of_range_belong_to_the_dates_that_they_were_returned_for(client_of, path):
    """Each day's export begins eight hours before its date: the day before the first one is not held."""
    async with FakeMixpanel(GivenEvents(lines=shifted()), today="2026-06-01", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(from_date="2026-01-01", to_date="2026-01-10", parallel=True, chunk_days=1)
        coverage = await client.store.coverage()
        assert [day.rows for day in coverage.days] == [24] * 10
        await client.fetch_events(from_date="2026-01-01", to_date="2026-01-10", append=True, chunk_days=5)
        coverage = await client.store.coverage()
    assert (coverage.days[0].date, coverage.days[-1].date, coverage.rows) == ("2026-01-01", "2026-01-10", 240)
    assert "2025-12-31" in counted(path)


async def test_it_reads_while_a_fetch_of_the_same_client_runs(gated_fake, client_of, path, gated):
    client = client_of(gated_fake)
    async with five_of_six(client, gated) as call:
        coverage = await client.store.coverage()
        assert [day.date for day in coverage.days] == [f"2026-01-{day:02}" for day in range(5, 10)]
        assert coverage.rows == expected(gated_fake, "2026-01-05", "2026-01-09").total()
        (await until_free(path)).close()
        assert not call.done()
    assert (await client.store.coverage()).rows == expected(gated_fake, "2026-01-05", LAST).total()


async def test_macros_are_created_while_a_fetch_runs(gated_fake, client_of, path, gated):
    client = client_of(gated_fake)
    async with five_of_six(client, gated) as call:
        assert await client.store.create_macros() == await Store(path).create_macros()
        assert not call.done()
    with duckdb.connect(str(path), read_only=True) as connection:
        query = "SELECT sum(events) FROM mixpanel_sessions('events')"
        ((events,),) = connection.execute(query).fetchall()
        assert events == connection.execute("SELECT count(*) FROM events WHERE distinct_id <> ''").fetchall()[0][0] > 0
    assert (await client.store.coverage()).rows == expected(gated_fake, "2026-01-05", LAST).total()


async def test_it_reads_while_chunks_are_written(client_of, path):
    """Each time the sums are those of whole chunks."""
    source = GeneratedEvents(per_day=40, seed=3, duplicates=0.05)
    async with FakeMixpanel(source, today="2026-06-01", limits=None) as server:
        client = client_of(server)
        whole = {day: expected(server, day, day).total() for day in (f"2026-01-{n:02}" for n in range(1, 31))}
        call = asyncio.ensure_future(
            client.fetch_events(from_date="2026-01-01", to_date="2026-01-30", chunk_days=1, parallel=True)
        )
        seen = set()
        while not call.done():
            try:
                coverage = await client.store.coverage()
            except (StoreError, TableNotFoundError):
                continue  # the fetch has not begun
            seen.add(len(coverage.days))
            assert {day.date: day.rows for day in coverage.days}.items() <= whole.items()
        assert not (await call).has_failures
        assert (await client.store.coverage()).rows == sum(whole.values())
    assert len(seen) > 1


async def test_another_process_reads_while_a_fetch_runs(gated_fake, client_of, path, gated):
    client = client_of(gated_fake)
    async with five_of_six(client, gated) as call:
        (await until_free(path)).close()
        told = await read_elsewhere(path)
        assert sum(day["rows"] for day in told["days"]) == expected(gated_fake, "2026-01-05", "2026-01-09").total()
        with process_that_holds(path, ", read_only=True"):
            gated.gate.set()
            await asyncio.sleep(0)
        assert not (await call).has_failures
    assert (await client.store.coverage()).rows == expected(gated_fake, "2026-01-05", LAST).total()


async def test_a_database_in_memory_is_read(fake, client_of):
    client = client_of(fake, database=":memory:")
    with pytest.raises(TableNotFoundError):
        await client.store.coverage()
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-03")
    assert (await client.store.coverage()).rows == expected(fake, "2026-01-01", "2026-01-03").total()


async def test_a_callers_connection_is_read(fake, client_of):
    with duckdb.connect() as connection:
        client = client_of(fake, database=connection)
        await client.fetch_events(from_date="2026-01-01", to_date="2026-01-03")
        coverage = await client.store.coverage()
        assert coverage == await Store(connection).coverage()
        assert coverage.rows == expected(fake, "2026-01-01", "2026-01-03").total()


async def test_a_missing_file_is_not_created(fake, client_of, path):
    with pytest.raises(StoreError, match="There is no database"):
        await client_of(fake).store.coverage()
    assert list(path.parent.iterdir()) == []


async def test_a_table_of_profiles_has_no_days(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_profiles()
    with pytest.raises(StoreError, match="Table 'profiles' holds profiles, not events: only events have days"):
        await client.store.coverage("profiles")
    await client.lookups.event_names(save=True)
    with pytest.raises(StoreError, match="Table 'event_names' holds event_names, not events"):
        await Store(path).coverage("event_names")


async def test_older_tables_are_migrated_by_the_client(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-03")
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE _mixpanel_version SET version = 3")
    with pytest.raises(StoreError, match=r"client\.store\.coverage"):
        await Store(path).coverage()
    assert await client.store.coverage() == await Store(path).coverage()
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("FROM _mixpanel_version").fetchall() == [(versions.VERSION,)]


async def test_a_closed_client_reads_no_more(fake, client_of):
    client = client_of(fake, database=":memory:")
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-01")
    store = client.store
    await client.close()
    with pytest.raises(RuntimeError, match="This client is closed"):
        await store.coverage()


async def test_a_client_of_another_loop_is_refused(fake, client_of):
    client = client_of(fake, database=":memory:")
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-01")
    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(lambda: asyncio.run(client.store.coverage()))


async def test_close_ends_a_reading(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-01")
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless(cursor, schema):
        loop.call_soon_threadsafe(began.set)
        cursor.execute("SELECT count(*) FROM range(1000000000) AS a, range(1000000000) AS b").fetchall()

    reading = asyncio.ensure_future(client.store._run(endless))
    await began.wait()
    async with asyncio.timeout(10):
        await client.close()
        with pytest.raises(RuntimeError, match="was closed while this call ran"):
            await reading
    assert counted(path).keys() == {"2026-01-01"}


async def test_a_fetch_that_fails_leaves_no_trace_in_the_coverage(fake, client_of):
    client = client_of(fake)
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-03")
    before = await client.store.coverage()
    fake.faults.add(Fault.status(500))
    with pytest.raises(ExportError):
        await client.fetch_events(
            from_date="2026-01-02", to_date="2026-01-05", append=True, parallel=True, chunk_days=2
        )
    after = await client.store.coverage()
    assert [(day.date, day.rows, day.fetched_at) for day in after.days] == [
        (day.date, day.rows, day.fetched_at) for day in before.days
    ]
