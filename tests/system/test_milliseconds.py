"""Times in milliseconds, from the request to the table and the streams; and tables that have whole seconds."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path

import duckdb
import pytest

from mixpanel_async import SelectionMismatchError
from mixpanel_async.testing import FakeMixpanel, GivenEvents

from .conftest import expected, journal, stored

DAYS = {"from_date": "2026-01-01", "to_date": "2026-01-04"}
FIRST_HALF = {"from_date": "2026-01-01", "to_date": "2026-01-02"}
MIDNIGHT = 1_767_225_600_000
"""2026-01-01, in milliseconds since 1970."""
PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def event(milliseconds, n):
    return {"event": "e", "properties": {"time": milliseconds, "$insert_id": f"i{n}", "distinct_id": "d", "n": n}}


def query(path, sql):
    with duckdb.connect(str(path)) as connection:
        return connection.execute(sql).fetchall()


async def test_the_order_within_a_second_survives_into_tables_and_streams(client_of, path):
    moments = [(7 * n) % 1000 for n in range(1000)]
    async with FakeMixpanel([event(MIDNIGHT + ms, ms) for ms in moments], limits=None) as fake:
        client = client_of(fake)
        await client.fetch_events(**DAYS)
        events = [event async for event in client.stream_events(**DAYS)]
        rows = [row async for batch in client.stream_batches(**DAYS) for row in batch.to_pylist()]
        raw = [event async for event in client.stream_events(**DAYS, raw=True)]
        assert {request.params["time_in_ms"] for request in fake.requests} == {"true"}
        assert raw == list(fake.truth(*DAYS.values(), time_in_ms=True))
    in_order = "SELECT (properties->>'$.n')::INT, epoch_ms(event_time) FROM events ORDER BY event_time"
    assert query(path, in_order) == [(ms, MIDNIGHT + ms) for ms in range(1000)]
    for each in (events, rows):
        times = sorted((row["event_time"], row["insert_id"]) for row in each)
        assert [insert_id for _, insert_id in times] == [f"i{ms}" for ms in range(1000)]
        assert times[-1][0] == dt.datetime(2026, 1, 1, 0, 0, 0, 999_000, dt.UTC)


async def test_the_last_millisecond_of_a_day_belongs_to_it(client_of, path):
    edges = [event(MIDNIGHT + day * 86_400_000 + ms, 10 * day + ms) for day in range(4) for ms in (-1, 0)]
    async with FakeMixpanel(edges, limits=None) as fake:
        client = client_of(fake)
        await client.fetch_events(**DAYS, parallel=True, chunk_days=1)
        await client.fetch_events(from_date="2026-01-02", to_date="2026-01-02", append=True)
    assert journal(path) == [
        (f"2026-01-0{day}", f"2026-01-0{day}", rows, rows) for day, rows in ((1, 2), (2, 2), (3, 2), (4, 1))
    ]
    assert query(path, "SELECT count(*) FROM _mixpanel_out_of_range") == [(0,)]
    last = "SELECT max(event_time) FROM events WHERE event_time < DATE '2026-01-02'"
    assert query(path, last) == [(dt.datetime(2026, 1, 1, 23, 59, 59, 999_000),)]  # noqa: DTZ001 - as stored


async def test_a_server_that_ignores_milliseconds_is_read_in_seconds(fake, client_of, path):
    fake.ignores_time_in_ms = True
    client = client_of(fake)
    truth = list(fake.truth(*DAYS.values()))
    seconds = [dt.datetime.fromtimestamp(event["properties"]["time"], dt.UTC) for event in truth]
    assert max(time.microsecond for time in seconds) == 0

    await client.fetch_events(**DAYS, deduplicate=False)

    assert stored(path).total() == len(truth)
    times = query(path, "SELECT event_time FROM events ORDER BY event_time")
    assert [time.replace(tzinfo=dt.UTC) for (time,) in times] == sorted(seconds)
    assert [event async for event in client.stream_events(**DAYS, raw=True)] == truth
    assert [event["event_time"] async for event in client.stream_events(**DAYS)] == seconds
    rows = [row async for batch in client.stream_batches(**DAYS) for row in batch.to_pylist()]
    assert [row["event_time"] for row in rows] == seconds


async def test_lines_in_both_units_in_one_body(client_of, path):
    lines = [json.dumps(event(time, n)).encode() for n, time in enumerate([MIDNIGHT // 1000, MIDNIGHT + 1, MIDNIGHT])]
    async with FakeMixpanel(GivenEvents(lines={"2026-01-01": lines}), limits=None) as fake:
        client = client_of(fake)
        await client.fetch_events(**DAYS)
        streamed = [event["event_time"].microsecond async for event in client.stream_events(**DAYS)]
    assert query(path, "SELECT epoch_ms(event_time) - 1767225600000 FROM events ORDER BY insert_id") == [
        (0,),
        (1,),
        (0,),
    ]
    assert streamed == [0, 1000, 0]


# A table of an earlier version


@pytest.fixture
async def old(fake, client_of, path):
    """A table as earlier versions made it: with whole seconds, and without the unit in its selection."""
    fake.ignores_time_in_ms = True
    client = client_of(fake)
    await client.fetch_events(**FIRST_HALF, parallel=True, chunk_days=1)
    query(path, """UPDATE _mixpanel_selections SET selection = '{"events": null, "where": null, "limit": null}'""")
    fake.ignores_time_in_ms = False
    fake.forget_requests()
    return client


@pytest.mark.parametrize("way", ["append", "resume"])
async def test_a_table_with_seconds_is_refused_before_anything_is_requested(old, fake, path, way):
    before = stored(path)
    says = r"whole seconds, by an earlier version .* another table name, .*\"Tables of earlier versions\" of docs/tables.md"
    with pytest.raises(SelectionMismatchError, match=says):
        await old.fetch_events(**DAYS, **{way: True})
    with pytest.raises(SelectionMismatchError, match=r"was fetched with .*, and this call has .*Page View"):
        await old.fetch_events(**DAYS, **{way: True}, events=["Page View"])
    assert fake.requests == []
    assert stored(path) == before


async def test_another_table_has_milliseconds(old, fake, path):
    await old.fetch_events("events_ms", **DAYS)
    assert stored(path, "events_ms") == expected(fake, *DAYS.values())


async def test_the_statement_of_the_docs_lets_a_table_hold_both(old, fake, path):
    seconds = stored(path)
    (statement,) = re.findall(r"^UPDATE _mixpanel_selections.*?;$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    query(path, statement)

    await old.fetch_events(**DAYS, resume=True, parallel=True, chunk_days=7)

    assert [(request.from_date, request.to_date) for request in fake.requests] == [("2026-01-03", "2026-01-04")]
    assert stored(path) == seconds + expected(fake, "2026-01-03", "2026-01-04")
    await old.fetch_events(**FIRST_HALF, append=True)
    assert stored(path) == expected(fake, *DAYS.values())
    assert sum(rows for *_, rows in journal(path)) == stored(path).total()
