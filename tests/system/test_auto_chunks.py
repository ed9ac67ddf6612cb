"""`chunk_days="auto"` over real sockets: what the server counts, by default and within what is left of an hour."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from contextlib import asynccontextmanager
from math import ceil

import duckdb
import pytest

from mixpanel_async import RateLimits
from mixpanel_async.dates import days_in
from mixpanel_async.export import request_days, weights
from mixpanel_async.testing import FakeLimits, FakeMixpanel, Fault, GeneratedEvents

from .conftest import expected, journal, stored
from .test_limits import StillClock, without_hours

FIRST = dt.date(2026, 1, 1)
WAYS = pytest.mark.parametrize("way", ["table", "stream"])


def dates_from(first, days):
    """Dates from the one of this number on, from 0."""
    start = FIRST + dt.timedelta(days=first)
    return {"from_date": str(start), "to_date": str(start + dt.timedelta(days=days - 1))}


async def load(way, fake, client, path, dates, **options):
    """Fetch or stream, and compare the events with the server's. Return the lengths of the requests, in their order."""
    before = len(fake.requests)
    if way == "table":
        result = await client.fetch_events(**dates, parallel=True, resume=True, **options)
        assert not result.has_failures
        assert sum((stored(path) & expected(fake, *dates.values())).values()) == result.total_rows
        assert result.total_rows == expected(fake, *dates.values()).total()
    else:
        events = [event async for event in client.stream_events(**dates, parallel=True, raw=True, **options)]
        assert events == list(fake.truth(*dates.values(), time_in_ms=True))
    return [days_in((request.from_date, request.to_date)) for request in fake.requests[before:]]


@asynccontextmanager
async def hour_of(requests, client_of):
    """A server that allows so many requests an hour, a client whose limits say the same, and the hours that it slept."""
    limits = RateLimits(per_second=10_000, per_hour=requests)
    async with FakeMixpanel(
        GeneratedEvents(per_day=20, seed=7),
        limits=FakeLimits(per_second=None, per_hour=requests),
        clock=StillClock("2026-06-01"),
    ) as fake:
        client = client_of(fake, limits=limits)
        yield fake, client, without_hours(client, fake, limits)


def statuses(fake):
    return Counter(request.status for request in fake.requests)


@WAYS
async def test_by_default_there_are_three_chunks_for_each_worker(fake, client_of, path, way):
    assert await load(way, fake, client_of(fake), path, dates_from(0, 60)) == [2] * 30


@pytest.mark.parametrize("stream", ["stream_events", "stream_batches"])
async def test_by_default_a_stream_reads_seven_days_at_a_time(fake, client_of, stream):
    async for _ in getattr(client_of(fake), stream)(**dates_from(0, 30)):
        pass
    assert [days_in((made.from_date, made.to_date)) for made in fake.requests] == [7] * 4 + [2]


@WAYS
async def test_a_second_call_in_the_same_hour_gets_longer_chunks(client_of, path, way):
    async with hour_of(20, client_of) as (fake, client, slept):
        assert await load(way, fake, client, path, dates_from(0, 28)) == [2] * 14
        assert sorted(await load(way, fake, client, path, dates_from(28, 28))) == [3] + [5] * 5
        assert slept == []
        assert statuses(fake) == {200: 20}


@WAYS
async def test_an_hour_that_is_used_up_is_waited_for(client_of, path, way):
    async with hour_of(5, client_of) as (fake, client, slept):
        assert await load(way, fake, client, path, dates_from(0, 35), max_workers=1) == [7] * 5
        assert slept == []
        assert await load(way, fake, client, path, dates_from(35, 21), max_workers=1) == [7] * 3
        assert sum(slept) == pytest.approx(3601, abs=2)
        assert statuses(fake) == {200: 8}


@WAYS
async def test_after_a_heavy_chunk_the_later_ones_are_requested_in_parts(fake, client_of, path, monkeypatch, way):
    """One part breaks off, and only that one is requested again."""
    monkeypatch.setattr(request_days, "MOST_BYTES", 1)
    fake.faults.add(Fault.no_trailer(), date="2026-01-31", attempts=[1])
    told = []
    options = {"on_batch_complete": told.append} if way == "table" else {}
    lengths = await load(way, fake, client_of(fake), path, dates_from(0, 35), max_workers=1, **options)
    assert lengths == [7] + [1] * 29
    asked = Counter(request.from_date for request in fake.requests)
    assert [date for date, times in asked.items() if times > 1] == ["2026-01-31"]
    if way == "table":
        assert [progress.total_batches for progress in told] == [5] * 5
        assert [days_in(chunk[:2]) for chunk in journal(path)] == [7] * 5


@WAYS
async def test_parts_stay_within_the_hour(client_of, path, monkeypatch, way):
    monkeypatch.setattr(request_days, "MOST_BYTES", 1)
    async with hour_of(12, client_of) as (fake, client, slept):
        lengths = await load(way, fake, client, path, dates_from(0, 35), max_workers=1)
        assert Counter(lengths) == {7: 3, 4: 1, 3: 1, 1: 7}
        assert slept == []
        assert statuses(fake) == {200: 12}


@WAYS
async def test_after_a_chunk_that_broke_off_the_later_ones_are_requested_in_parts(fake, client_of, path, way):
    fake.faults.add(Fault.cut(after_fraction=0.5), from_date="2026-01-01", to_date="2026-01-07", times=2)
    told = []
    options = {"on_batch_complete": told.append} if way == "table" else {}
    lengths = await load(way, fake, client_of(fake), path, dates_from(0, 70), max_workers=1, **options)
    whole = lengths.count(7) - 2  # those that were on their way before the second break
    assert whole <= 3
    assert (lengths.count(4), lengths.count(3)) == (10 - whole, 10 - whole)
    assert set(lengths[-2:]) <= {4, 3}  # parts of two chunks may pass in turns
    assert {progress.total_batches for progress in told} <= {10}


@WAYS
async def test_chunks_of_an_explicit_length_are_never_requested_in_parts(fake, client_of, path, monkeypatch, way):
    monkeypatch.setattr(request_days, "MOST_BYTES", 1)
    client, options = client_of(fake), {"max_workers": 1, "chunk_days": 7}
    assert await load(way, fake, client, path, dates_from(0, 35), **options) == [7] * 5


async def test_a_table_that_is_fetched_again_is_cut_by_the_weight_of_its_days(fake, client_of, path, monkeypatch):
    client, dates = client_of(fake), dates_from(0, 28)
    await client.fetch_events(**dates, parallel=True, chunk_days=7)
    before = stored(path)
    with duckdb.connect(str(path)) as connection:
        [(heaviest,)] = connection.execute("SELECT max(bytes) FROM _mixpanel_chunks").fetchall()
    monkeypatch.setattr(weights, "MOST_BYTES", 3 * ceil(heaviest / 7))
    fake.requests.clear()
    result = await client.fetch_events(**dates, parallel=True, append=True, max_workers=1)
    lengths = [days_in((request.from_date, request.to_date)) for request in fake.requests]
    assert sum(lengths) == 28
    assert max(lengths) == 3
    assert lengths.count(3) >= 8
    assert result.successful_batches == len(lengths)
    assert stored(path) == before


async def test_a_single_fetch_is_one_request(fake, client_of, path, monkeypatch):
    monkeypatch.setattr(weights, "MOST_BYTES", 1)
    dates = dates_from(0, 35)
    await client_of(fake).fetch_events(**dates)
    await client_of(fake).fetch_events(**dates, append=True)
    assert [days_in((request.from_date, request.to_date)) for request in fake.requests] == [35, 35]
    assert stored(path) == expected(fake, *dates.values())
