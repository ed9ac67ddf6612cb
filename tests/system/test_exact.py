"""What the server has is what the table holds, however the range is cut and however many ask at once."""

from __future__ import annotations

import json
from itertools import product

import duckdb
import pytest

from mixpanel_async.dates import split_date_range
from mixpanel_async.decode import event_batches
from mixpanel_async.duck import chunk_loader, table_sink
from mixpanel_async.export import fetch
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, GivenEvents
from tests.slices import few

from .conftest import expected, journal, stored

FIRST = "2026-01-01"
LAST = {30: "2026-01-30", 90: "2026-03-31"}


@pytest.mark.parametrize(
    ("days", "chunk_days", "workers"), few(product([30, 90], [1, 3, 7, 31], [1, 4, 10]), 8, seed=3)
)
async def test_the_tables_multiset_is_the_servers(fake, client_of, path, days, chunk_days, workers):
    chunks = split_date_range(FIRST, LAST[days], chunk_days)
    result = await client_of(fake).fetch_events(
        from_date=FIRST, to_date=LAST[days], parallel=True, chunk_days=chunk_days, max_workers=workers
    )

    truth = expected(fake, FIRST, LAST[days])
    assert stored(path) == truth
    assert result.total_rows == truth.total()
    assert (result.successful_batches, result.failed_batches) == (len(chunks), 0)
    assert [(first, last) for first, last, _, _ in journal(path)] == chunks
    asked = [(request.from_date, request.to_date) for request in fake.requests]
    assert sorted(asked) == chunks  # each once
    assert fake.max_open <= workers
    assert all(request.headers["accept-encoding"] == "gzip" for request in fake.requests)
    assert all(request.headers["user-agent"].startswith("mixpanel-async/") for request in fake.requests)


async def test_one_request_and_many_give_the_same(fake, client_of, path):
    client = client_of(fake)
    one = await client.fetch_events("one", from_date=FIRST, to_date=LAST[30])
    many = await client.fetch_events("many", from_date=FIRST, to_date=LAST[30], parallel=True, chunk_days=2)

    assert len(fake.requests) == 1 + 15
    assert one.rows == many.total_rows
    assert stored(path, "one") == stored(path, "many") == expected(fake, FIRST, LAST[30])


async def test_every_line_stays_without_deduplication(fake, client_of, path):
    truth = expected(fake, FIRST, LAST[30], deduplicate=False)
    assert truth.total() > expected(fake, FIRST, LAST[30]).total()

    await client_of(fake).fetch_events(from_date=FIRST, to_date=LAST[30], parallel=True, deduplicate=False)

    assert stored(path) == truth


@pytest.mark.parametrize("chunk_days", [1, 7])
async def test_copies_in_long_days_are_found_before_they_are_stored(client_of, path, monkeypatch, chunk_days):
    monkeypatch.setattr(fetch, "LONG_DAY", 1)
    monkeypatch.setattr(event_batches, "BLOCK_SIZE", 2000)
    monkeypatch.setattr(event_batches, "GROUP_SIZE", 5000)
    monkeypatch.setattr(chunk_loader, "HELD", 1)
    monkeypatch.setattr(table_sink, "_DELETE_DUPLICATES", "SELECT error('deleted after the insert')")
    events = GeneratedEvents(per_day=200, seed=7, duplicates=0.2, missing_insert_id=0.02)
    async with FakeMixpanel(events, today="2026-06-01", limits=None) as fake:
        truth = expected(fake, FIRST, "2026-01-07")
        await client_of(fake).fetch_events(from_date=FIRST, to_date="2026-01-07", parallel=True, chunk_days=chunk_days)
    assert stored(path) == truth


async def test_chosen_events_only(fake, client_of, path):
    names = {json.loads(line)["event"] for line in fake.truth_lines(FIRST, FIRST, time_in_ms=True)}
    name = min(names)

    await client_of(fake).fetch_events(from_date=FIRST, to_date=LAST[30], events=[name], parallel=True)

    truth = expected(fake, FIRST, LAST[30])
    assert stored(path) == {line: n for line, n in truth.items() if json.loads(line)["event"] == name}


async def test_a_limit_is_sent_and_never_taken_for_all_there_is(fake, client_of, path):
    client = client_of(fake)
    result = await client.fetch_events(from_date=FIRST, to_date=FIRST, limit=10, deduplicate=False)
    assert result.rows == 10

    again = await client.fetch_events(from_date=FIRST, to_date=FIRST, limit=10, deduplicate=False, resume=True)
    assert again.rows == 10
    assert stored(path).total() == 10


VALUES = {
    "null": "null",
    "nested": '{"a":{"b":[1,{"c":null}]}}',
    "beyond 64 bits": "123456789012345678901234567890",
    "beyond a double": "1e400",
    "as written": "[1.10,1e5,-0,0.1000]",
    "nul": r'"a\u0000b"',
    "emoji": '"😀"',
    "escaped emoji": r'"\ud83d\ude00"',
    "line separator": '"a\u2028b\u0085c"',
    "NaN as a text": '"NaN, or ,} and ,]"',
    'a "quoted".dotted key': "1",
    "Key": "1",
    "key": '"1"',
    "": '"an empty name"',
    "10 MB": '"' + "x" * 10_000_000 + '"',
}


async def test_values_survive_word_for_word(client_of, path):
    lines = [
        f'{{"event":"e","properties":{{"time":1767225600,{json.dumps(name)}:{value}}}}}'.encode()
        for name, value in VALUES.items()
    ]
    async with FakeMixpanel(GivenEvents(lines={FIRST: lines}), today="2026-06-01", limits=None) as server:
        await client_of(server).fetch_events(from_date=FIRST, to_date=FIRST)

    with duckdb.connect(str(path)) as connection:
        rows = connection.execute("SELECT properties FROM events").fetchall()
    assert {row[0].encode() for row in rows} == {line[26:-1] for line in lines}


async def test_a_lone_surrogate_becomes_the_replacement_character(client_of, path):
    line = rb'{"event":"e","properties":{"time":1767225600,"a":"x\ud800y","b":"\\ud800"}}'
    async with FakeMixpanel(GivenEvents(lines={FIRST: [line]}), today="2026-06-01", limits=None) as server:
        await client_of(server).fetch_events(from_date=FIRST, to_date=FIRST)

    with duckdb.connect(str(path)) as connection:
        text = connection.execute("SELECT properties FROM events").fetchall()[0][0]
    assert text == r'{"time":1767225600,"a":"x\ufffdy","b":"\\ud800"}'


async def test_a_bad_line_is_kept_word_for_word_and_fails_no_other(fake, client_of, path, caplog):
    good = list(fake.truth_lines(FIRST, FIRST, time_in_ms=True))
    bad = [b'{"event":"e","properties":{"time":"never"}}', b"[]", b'{"event":"e","properties":{"time":1,"a":NaN}}']
    lines = [good[0], bad[0], *good[1:5], bad[1], *good[5:9], bad[2], *good[9:]]
    async with FakeMixpanel(GivenEvents(lines={FIRST: lines}), today="2026-06-01", limits=None) as server:
        result = await client_of(server).fetch_events(from_date=FIRST, to_date=FIRST, deduplicate=False)

    assert result.rows == len(good)
    with duckdb.connect(str(path)) as connection:
        kept = connection.execute("SELECT line_number, line FROM _mixpanel_rejected ORDER BY 1").fetchall()
    assert kept == [(2, bad[0]), (7, bad[1]), (12, bad[2])]
    assert [record.message for record in caplog.records if record.name.startswith("mixpanel_async.")] == [
        f"{FIRST}: 3 lines are not events; they are kept in _mixpanel_rejected."
    ]


async def test_an_empty_range_is_a_table_without_rows(client_of, path):
    async with FakeMixpanel(GivenEvents(), today="2026-06-01", limits=None) as server:
        result = await client_of(server).fetch_events(from_date=FIRST, to_date=LAST[30], parallel=True, chunk_days=7)

    assert (result.total_rows, result.successful_batches) == (0, 5)
    assert stored(path).total() == 0
    assert len(journal(path)) == 5


async def test_the_columns_are_the_documented_five(fake, client_of, path):
    await client_of(fake).fetch_events(from_date=FIRST, to_date=FIRST)

    with duckdb.connect(str(path)) as connection:
        columns = [row[:2] for row in connection.execute("DESCRIBE events").fetchall()]
    assert columns == [
        ("event_name", "VARCHAR"),
        ("event_time", "TIMESTAMP"),
        ("distinct_id", "VARCHAR"),
        ("insert_id", "VARCHAR"),
        ("properties", "JSON"),
    ]
