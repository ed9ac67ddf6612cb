"""`progress=hook`: how far a fetch is, from the first moment to the last."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading

import pytest

from mixpanel_async import ExportProgress, FetchProgress, RateLimits, Store, meter
from mixpanel_async.duck import exports
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GeneratedProfiles, QueryRules

from .conftest import client_of, fake

__all__ = ["client_of", "fake"]

DAYS = {"from_date": "2026-01-01", "to_date": "2026-01-06", "parallel": True, "chunk_days": 1}


@pytest.mark.parametrize("plain", [False, True])
async def test_it_is_told_from_the_beginning_to_the_end(fake, client_of, plain, monkeypatch):
    monkeypatch.setattr(meter, "EVERY", 0)
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
    assert (last.rejected_rows, last.waiting_until, last.waiting_for, last.failed_chunks) == (0, None, None, 1)
    for name in ("chunks", "rows", "bytes", "retries", "failed_chunks"):
        values = [getattr(each, name) for each in told]
        assert values == sorted(values)
    assert list(last.to_dict()) == [
        "total_chunks", "chunks", "rows", "bytes", "retries", "rejected_rows", "waiting_until", "waiting_for",
        "failed_chunks",
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
    assert dt.timedelta(minutes=30) < waiting.waiting_until - dt.datetime.now(dt.UTC) <= dt.timedelta(seconds=3602)
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


CALLS = {
    "fetch_events": lambda client, progress: client.fetch_events(**DAYS, progress=progress),
    "sync_events": lambda client, progress: client.sync_events(from_date="2026-01-01", progress=progress),
    "fetch_profiles": lambda client, progress: client.fetch_profiles(progress=progress),
    "sync_profiles": lambda client, progress: client.sync_profiles(progress=progress),
    "export_parquet": lambda client, progress: client.store.export_parquet("events", "x", progress=progress),
    "export_csv": lambda client, progress: client.store.export_csv("events", "x.csv", progress=progress),
    "export_jsonl": lambda client, progress: client.store.export_jsonl("events", "x.jsonl", progress=progress),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("nonsense", [5, 0, 1, "bar", lambda: None])
async def test_what_is_no_hook_is_refused_before_anything_is_requested(fake, client_of, call, nonsense):
    with pytest.raises(ValueError, match=r"^progress (must be True \(a bar\), a function or|is called with one arg)"):
        await CALLS[call](client_of(fake), nonsense)
    assert fake.requests == []


@pytest.mark.parametrize("off", [None, False])
async def test_it_is_off(fake, client_of, capsys, off):
    await client_of(fake).fetch_events(**DAYS, progress=off)
    assert capsys.readouterr().err == ""


PEOPLE = GeneratedProfiles(count=76, seed=2)
PAGES = QueryRules(page_size=10)


@pytest.fixture
async def people():
    async with FakeMixpanel(profiles=PEOPLE, limits=None, query_rules=PAGES) as server:
        yield server


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("method", ["fetch_profiles", "sync_profiles"])
async def test_profiles_are_told_page_by_page(people, client_of, plain, method, monkeypatch):
    monkeypatch.setattr(meter, "EVERY", 0)
    people.faults.add(Fault.status(500), page=3, times=1)
    told = []

    async def hook(progress):
        told.append(progress)

    fetch = getattr(client_of(people), method)
    parallel = {"parallel": True} if method == "fetch_profiles" else {}
    result = await fetch(**parallel, progress=told.append if plain else hook)
    last = told[-1]
    assert (last.total_chunks, last.chunks, last.rows, last.retries, last.failed_chunks) == (8, 8, 76, 1, 0)
    assert (last.chunks, last.rows) == (result.successful_pages, result.total_rows)
    assert last.bytes >= sum(request.bytes_sent for request in people.requests if request.status == 200) > 0
    for name in ("total_chunks", "chunks", "rows", "bytes", "retries"):
        values = [getattr(each, name) for each in told]
        assert values == sorted(values), name


async def test_failed_pages_and_pages_that_were_kept_are_told(people, client_of):
    people.faults.add(Fault.status(500), page=3, times=3)
    told = []
    result = await client_of(people).fetch_profiles(parallel=True, progress=told.append)
    assert (told[-1].chunks, told[-1].failed_chunks, result.failed_pages) == (8, 1, 1)
    result = await client_of(people).fetch_profiles(parallel=True, resume=True, progress=told.append)
    assert (told[-1].total_chunks, told[-1].chunks, told[-1].failed_chunks) == (8, 8, 0)
    assert told[-1].rows == result.total_rows == 76


async def test_after_a_session_has_expired_pages_are_counted_again(people, client_of):
    people.faults.add(Fault.session_expired(), page=7, times=1)
    told = []
    result = await client_of(people).fetch_profiles(progress=told.append)
    assert (told[-1].total_chunks, told[-1].chunks, told[-1].rows) == (8, 8, result.total_rows)
    assert told[-1].retries == 1
    counts = [each.chunks for each in told]
    assert counts != sorted(counts)  # it fell once


@pytest.fixture
async def filled(fake, client_of):
    client = client_of(fake)
    await client.fetch_events(**DAYS)
    return client


EXPORTS = {
    "partitions": lambda store, path, **options: store.export_parquet("events", path / "lake", **options),
    "parquet": lambda store, path, **options: store.export_parquet(
        "events", path / "a.parquet", partition_by=None, **options
    ),
    "csv": lambda store, path, **options: store.export_csv("events", path / "a.csv", **options),
    "jsonl": lambda store, path, **options: store.export_jsonl("events", path / "a.jsonl", **options),
}


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("kind", EXPORTS)
async def test_exports_are_told_from_the_beginning_to_the_end(filled, path, tmp_path, kind, plain):
    told = []

    async def hook(progress):
        told.append(progress)

    store = filled.store if plain else Store(path)
    result = await EXPORTS[kind](store, tmp_path, progress=told.append if plain else hook)
    assert told[0] == ExportProgress(0)
    assert told[-1] == ExportProgress(result.files, result.files, result.rows, result.bytes)
    assert told[-1].to_dict() == {
        "total_files": 6 if kind == "partitions" else 1,
        "files": result.files,
        "rows": result.rows,
        "bytes": result.bytes,
    }
    for name in ("total_files", "files", "rows", "bytes"):
        values = [getattr(each, name) for each in told]
        assert values == sorted(values), name


async def test_an_export_is_told_while_a_file_is_written(filled, tmp_path, monkeypatch):
    """The second file waits until the hook has heard of the first one, and then of some of its own bytes."""
    monkeypatch.setattr(meter, "EVERY", 0.01)
    told, may_go_on, write = [], threading.Event(), exports._copy

    def copy(cursor, query, file, options):
        rows = write(cursor, query, file, options)
        if told and told[-1].files:
            assert may_go_on.wait(30)
        return rows

    def hook(progress):
        told.append(progress)
        if progress.files == 1 and progress.bytes >= first_complete():
            may_go_on.set()

    def first_complete():
        return next(each.bytes for each in told if each.files)

    monkeypatch.setattr(exports, "_copy", copy)
    await filled.store.export_parquet("events", tmp_path / "lake", progress=hook)
    assert may_go_on.is_set()


@pytest.mark.parametrize("call", ["events", "profiles", "export"])
@pytest.mark.parametrize("plain", [False, True])
async def test_a_hook_that_raises_ends_nothing(fake, filled, tmp_path, caplog, call, plain):
    def fails(progress):
        raise ZeroDivisionError

    async def fails_too(progress):
        raise ZeroDivisionError

    fake.profiles, hook = PEOPLE, fails if plain else fails_too
    result = await {
        "events": lambda: filled.fetch_events("others", **DAYS, progress=hook),
        "profiles": lambda: filled.fetch_profiles(progress=hook),
        "export": lambda: filled.store.export_csv("events", tmp_path / "a.csv", progress=hook),
    }[call]()
    assert result.rows > 0
    assert "A progress hook failed" in caplog.text
