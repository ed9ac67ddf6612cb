"""Arrow batches hold what a table would, and go wherever Arrow goes."""

from __future__ import annotations

import json
import sys

import duckdb
import pyarrow as pa
import pytest

from mixpanel_async.testing import FakeMixpanel, GeneratedEvents
from tests.matrix.raw import RawServer, with_length

from .conftest import DAYS, FIRST, LAST


async def taken(stream):
    return [batch async for batch in stream]


@pytest.mark.parametrize("parallel", [False, True])
async def test_batches_are_the_tables_rows(fake, client_of, path, parallel):
    client = client_of(fake)
    batches = await taken(client.stream_batches(**DAYS, parallel=parallel))
    await client.fetch_events(**DAYS, parallel=True, deduplicate=False)

    assert all(type(batch) is pa.RecordBatch for batch in batches)
    arrow = pa.Table.from_batches(batches)
    assert [(field.name, str(field.type)) for field in arrow.schema] == [
        ("event_name", "string"),
        ("event_time", "timestamp[us, tz=UTC]"),
        ("distinct_id", "string"),
        ("insert_id", "string"),
        ("properties", "string"),
    ]
    with duckdb.connect(str(path)) as connection:
        streamed = connection.sql(
            "SELECT event_name, epoch_us(event_time), distinct_id, insert_id, properties FROM arrow"
        ).fetchall()
        stored = connection.sql(
            "SELECT event_name, epoch_us(event_time), distinct_id, insert_id, properties::VARCHAR FROM events"
        ).fetchall()
    assert sorted(map(str, streamed)) == sorted(map(str, stored))
    assert [json.loads(row[4])["sequence"] for row in streamed] == [
        event["properties"]["sequence"] for event in fake.truth(FIRST, LAST)
    ]


async def test_a_batch_is_bounded(client_of):
    async with FakeMixpanel(GeneratedEvents(per_day=12_000, seed=1), today="2026-06-01", limits=None) as server:
        batches = await taken(client_of(server).stream_batches(from_date=FIRST, to_date="2026-01-02"))

    assert sum(batch.num_rows for batch in batches) == 24_000
    assert len(batches) > 2
    assert max(batch.nbytes for batch in batches) < 10 << 20


async def test_without_pyarrow_it_says_what_to_install(fake, client_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .mixpanel-async\[pyarrow\]"):
        client_of(fake).stream_batches(**DAYS)
    assert fake.requests == []


async def test_a_range_without_events_is_one_batch_with_the_schema_of_others(fake, client_of):
    client = client_of(fake)
    nothing = await taken(client.stream_batches(**DAYS, events=["No such event"]))
    events = await taken(client.stream_batches(**DAYS))

    assert [batch.num_rows for batch in nothing] == [0]
    assert pa.Table.from_batches(nothing).schema == events[0].schema
    assert all(batch.num_rows for batch in events)


async def test_only_rejected_lines_are_one_batch_without_rows(client_of):
    rejected = []
    async with RawServer(with_length(b'{"event":5}\n{"event":"e","properties":{}}\n' * 2, encoding=None)) as server:
        stream = client_of(server).stream_batches(from_date=FIRST, to_date=FIRST, on_rejected=rejected.append)
        batches = await taken(stream)
    assert [batch.num_rows for batch in batches] == [0]
    assert len(rejected) == 4
