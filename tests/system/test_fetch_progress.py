"""`progress=hook`: how far a fetch is, from the first moment to the last."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from mixpanel_async import FetchProgress, RateLimits
from mixpanel_async.export import meter
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents

from .conftest import client_of, fake

__all__ = ["client_of", "fake"]

DAYS = {"from_date": "2026-01-01", "to_date": "2026-01-06", "parallel": True, "chunk_days": 1}


@pytest.mark.parametrize("plain", [False, True])
async def test_it_is_told_from_the_beginning_to_the_end(fake, client_of, plain, monkeypatch):
    monkeypatch.setattr(meter, "BYTES_EVERY", 0)
    fake.faults.add(Fault.cut(after_fraction=0.5), date="2026-01-02", times=1)
    fake.faults.add(Fault.status(500), date="2026-01-04")
    told = []

    async def hook(progress):
        told.append(progress)

    result = await client_of(fake).fetch_events(**DAYS, progress=told.append if plain else hook)

    assert told[0] == FetchProgress(6)
    last = told[-1]
    assert (last.total_chunks, last.chunks, last.rows) == (6, 6, result.total_rows)
    assert last.retries == 1 + 2  # the second day once, the fourth up to the third attempt
    assert (
        last.bytes
        >= sum(request.bytes_sent for request in fake.requests if request.finished and request.status == 200)
        > 0
    )
    assert (last.rejected_rows, last.waiting_until, last.waiting_for) == (0, None, None)
    for name in ("chunks", "rows", "bytes", "retries"):
        values = [getattr(each, name) for each in told]
        assert values == sorted(values)
    assert list(last.to_dict()) == [
        "total_chunks", "chunks", "rows", "bytes", "retries", "rejected_rows", "waiting_until", "waiting_for",
    ]  # fmt: skip


async def test_a_long_wait_for_the_hourly_limit_is_told_with_its_end_and_its_reason(client_of):
    """The sixth day must wait for an hour. The hook hears it at once, and cancels the fetch."""
    told = []
    async with FakeMixpanel(GeneratedEvents(per_day=5), today="2026-06-01", limits=None) as server:
        client = client_of(server, limits=RateLimits(per_second=100, per_hour=5))

        async def hook(progress):
            told.append(progress)
            if progress.waiting_until is not None and progress.chunks == 5:
                fetch.cancel()

        fetch = asyncio.ensure_future(client.fetch_events(**DAYS, progress=hook))
        with pytest.raises(asyncio.CancelledError):
            await fetch
    waiting = next(each for each in told if each.waiting_until is not None and each.chunks == 5)
    assert waiting.waiting_for == "the limit of 5 exports an hour"
    assert dt.timedelta(minutes=59) < waiting.waiting_until - dt.datetime.now(dt.UTC) <= dt.timedelta(seconds=3602)
    assert waiting.rows > 0


async def test_a_slow_hook_gets_the_last_value_and_holds_nothing_back(fake, client_of):
    told, may_go_on = [], asyncio.Event()

    async def hook(progress):
        told.append(progress)
        await may_go_on.wait()

    ended = []
    fetch = asyncio.ensure_future(
        client_of(fake).fetch_events(
            **DAYS, progress=hook, on_batch_complete=lambda done: ended.append(done) or len(ended) < 6 or loop_set()
        )
    )
    loop = asyncio.get_running_loop()

    def loop_set():
        loop.call_soon_threadsafe(may_go_on.set)

    assert (await fetch).total_rows == told[-1].rows
    assert len(told) <= 3
    assert told[-1].chunks == 6


@pytest.mark.parametrize("nonsense", [5, "bar", True, lambda: None])
async def test_what_is_no_hook_is_refused_before_anything_is_requested(fake, client_of, nonsense):
    with pytest.raises(ValueError, match=r"^progress "):
        await client_of(fake).fetch_events(**DAYS, progress=nonsense)
    assert fake.requests == []
