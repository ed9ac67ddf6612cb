"""Rows 59 to 71 of the fault matrix: what a kill, a full disk and a damaged file leave of the promise.

A full disk is a small tmpfs, where one may be mounted; errors of single system calls are strace's, where it is.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import signal
import subprocess
import tempfile
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import duckdb
import pytest

from mixpanel_async import (
    ConfigurationError,
    DatabaseLockedError,
    MixpanelClient,
    ParallelFetchResult,
    RateLimits,
    RetryPolicy,
    ServiceAccount,
    StoreError,
)
from mixpanel_async.duck import connection as database
from mixpanel_async.duck.chunk_loader import ChunkLoader
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.export import download, spool
from mixpanel_async.records import ChunkRecord
from mixpanel_async.selections import EventSelection
from mixpanel_async.testing import FakeMixpanel, Fault
from tests.duck.conftest import batch
from tests.durability.check import FIRST, NOW, Generations, Promise
from tests.durability.lives import Kill, live, task_for
from tests.durability.syscalls import Point, missing, under_strace
from tests.slices import few

LAST = FIRST + dt.timedelta(days=11)
DAYS = {"from_date": str(FIRST), "to_date": str(LAST), "parallel": True, "chunk_days": 1}
SYNC = "fsync" if duckdb.__version__.startswith("1.") else "fdatasync"
"""The system call by which DuckDB writes its log to the disk."""
strace = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture
async def fake():
    async with FakeMixpanel(Generations(), today=NOW.date(), limits=None) as server:
        yield server


@pytest.fixture
def promise(tmp_path):
    return Promise(tmp_path / "events.duckdb")


@pytest.fixture
async def client_of(fake):
    """Make a client of a file; closed at the test's end."""
    made = []

    def make(path, **settings):
        account = fake.project.service_account
        given = {"limits": RateLimits(per_second=10_000, per_hour=1_000_000), "retry": RetryPolicy(3, 0.0, 0.0)}
        made.append(
            MixpanelClient(
                ServiceAccount(account.username, account.secret, fake.project.id),
                database=path,
                base_url=fake.url,
                **given,
                **settings,
            )
        )
        return made[-1]

    yield make
    for client in made:
        await client.close()


class Disk:
    """A small file system that can be filled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, *, leave: int) -> None:
        status = os.statvfs(self.path)
        with self._ballast.open("ab") as ballast:
            ballast.write(bytes(status.f_bavail * status.f_frsize - leave))

    def free(self) -> None:
        self._ballast.unlink()

    def names(self) -> set[str]:
        return {each.name for each in self.path.iterdir()} - {"ballast"}


@pytest.fixture
def disk(disk):
    return Disk(disk)


def run(*command):
    subprocess.run(command, capture_output=True, check=False)


def hook(promise, generation=0):
    async def acknowledge(progress):
        if progress.success:
            promise.acknowledge(progress.from_date, progress.to_date, generation)

    return acknowledge


async def complete(client, promise, **how):
    """What is there is whole, and a resume brings the rest."""
    assert promise.broken() == []
    await client.fetch_events(**DAYS, resume=True, **how)
    assert promise.broken(all_of=(FIRST, LAST)) == []


# 59: interrupted


def interrupted(loader):
    """Interrupt a statement within the loader, as Ctrl-C does where DuckDB's own client has the main thread."""
    errors = []

    def count():
        try:
            loader._sink._cursor.execute("SELECT count(*) FROM range(1_000_000_000_000) WHERE range % 7 = 5")
        except duckdb.Error as error:
            errors.append(error)

    thread = threading.Thread(target=count)
    thread.start()
    while thread.is_alive():
        loader._sink._cursor.interrupt()
    return errors[0]


def test_row_59_what_was_interrupted_is_never_committed():
    opened = Database(":memory:")
    opened.lease().open()
    table = EventsTable(opened, "events", deduplicate=False)
    table.prepare(EventSelection(), [])
    dates = ("2026-01-01", "2026-01-01")
    events = [(b'"e"', b'{"time":1767225600,"distinct_id":"d"}')]
    chunk = ChunkRecord(dates, 1, 0, NOW)

    loader = table.loader(dates, last_complete_day=LAST)
    loader.begin()
    loader.load([batch(events)])
    assert isinstance(interrupted(loader), duckdb.InterruptException)
    with pytest.raises(StoreError, match="2026-01-01 of table 'events' could not be written"):
        loader.commit(chunk)
    loader.roll_back()

    with opened.cursor() as cursor:
        tables = (f"{opened.schema}.events", f"{opened.schema}._mixpanel_chunks")
        assert [cursor.execute(f"SELECT count(*) FROM {each}").fetchall() for each in tables] == [[(0,)], [(0,)]]
    again = table.loader(dates, last_complete_day=LAST)
    again.begin()
    again.load([batch(events)])
    assert again.commit(chunk).rows == 1
    opened.close()


async def test_row_59_an_interrupt_in_a_fetch_ends_it_with_whole_chunks(client_of, promise, monkeypatch):
    load, calls = ChunkLoader.load, []

    def load_or_be_interrupted(self, batches):
        calls.append(batches)
        load(self, batches)
        if len(calls) == 5:
            with self._translate_errors():
                raise interrupted(self)

    monkeypatch.setattr(ChunkLoader, "load", load_or_be_interrupted)
    client = client_of(promise.path)
    with pytest.raises(StoreError, match=r"could not be written.*INTERRUPT"):
        await client.fetch_events(**DAYS, on_batch_complete=hook(promise))
    await complete(client, promise)


# 60, 61, 65: killed, or refused, at a system call


@strace
@pytest.mark.parametrize("point", few([Point(SYNC, 5), Point("pwrite64", 12)], 1), ids=str)
async def test_row_60_killed_at_a_system_call_it_leaves_whole_chunks(fake, client_of, promise, point):
    task = task_for(fake, promise.path, {**DAYS, "max_workers": 2}, checkpoint=1 << 10, one_thread=True)
    life = await live(task, fake, under=under_strace(point, promise.path))

    assert life.code == -signal.SIGKILL
    for dates in life.acknowledged:
        promise.acknowledge(*dates, 0)
    await complete(client_of(promise.path), promise)


@strace
@pytest.mark.parametrize("point", few([Point("pwrite64", 2), Point("link", 1)], 1), ids=str)
async def test_row_61_killed_while_it_makes_the_file_it_leaves_none_in_the_way(fake, client_of, promise, point):
    task = task_for(fake, promise.path, {**DAYS, "max_workers": 2}, one_thread=True)
    life = await live(task, fake, under=under_strace(point, promise.path))

    assert (life.code, life.acknowledged) == (-signal.SIGKILL, [])
    assert not promise.path.exists()
    await complete(client_of(promise.path), promise)


@strace
@pytest.mark.parametrize("number", few([2, 3], 1))
async def test_row_65_an_input_output_error_is_told_and_the_client_goes_on(fake, client_of, promise, number):
    """The error comes when the file is opened, or at the first commit. A later one, on a slow machine, comes when the
    file is let go between chunks: its log stays, the next opening reads it, and there is nothing to tell.
    """
    task = task_for(fake, promise.path, {**DAYS, "max_workers": 2, "resume": True}, one_thread=True, again=True)
    point = Point(SYNC, number, "error=EIO")
    life = await live(task, fake, under=under_strace(point, promise.path))

    assert len(life.refused) == 1
    assert "Input/output error" in life.refused[0] or "fsync failed" in life.refused[0]
    assert life.code == 0
    assert promise.broken(all_of=(FIRST, LAST)) == []


# 62, 63, 64: the disk is full


async def test_row_62_a_full_disk_ends_the_downloads_and_room_is_all_it_takes(fake, client_of, disk):
    promise = Promise(disk.path / "events.duckdb")
    client = client_of(promise.path)
    await client.fetch_events(**{**DAYS, "to_date": str(FIRST)})
    asked = len(fake.requests)
    disk.fill(leave=60_000)

    with pytest.raises(StoreError, match=r"of table 'events' could not be written: .*No space left.*Free some space"):
        await client.fetch_events(**DAYS, resume=True, max_workers=1, on_batch_complete=hook(promise))

    requests = fake.requests[asked:]
    assert promise.acknowledged
    assert len(requests) < 11
    assert max(request.attempt for request in requests) == 1
    assert promise.broken() == []
    disk.free()
    await complete(client, promise)
    assert disk.names() == {"events.duckdb"}


async def test_row_62_a_table_that_found_no_room_at_all_can_be_had_later(fake, client_of, disk, caplog):
    promise = Promise(disk.path / "events.duckdb")
    client = client_of(promise.path)
    await client.fetch_events("other", **{**DAYS, "to_date": str(FIRST)})
    disk.fill(leave=12_000)

    with pytest.raises(StoreError, match=r"No space left.*Free some space and call again"):
        await client.fetch_events(**DAYS)

    disk.free()
    await complete(client, promise)


async def test_row_62_a_full_disk_where_the_file_is_made(fake, client_of, disk):
    promise = Promise(disk.path / "events.duckdb")
    client = client_of(promise.path)
    disk.fill(leave=8192)

    with pytest.raises(StoreError, match=r"events\.duckdb cannot be opened: .*No space left.*Free some space"):
        await client.fetch_events(**DAYS)

    assert fake.requests == []
    assert disk.names() == set()
    disk.free()
    await complete(client, promise)


@pytest.mark.parametrize("leave", [60_000, 100_000])
async def test_row_63_a_full_disk_at_a_checkpoint_and_the_same_client_goes_on(
    fake, client_of, disk, leave, monkeypatch
):
    monkeypatch.setattr(database, "LONG_LOG", 1 << 10)
    promise = Promise(disk.path / "events.duckdb")
    client = client_of(promise.path)
    await client.fetch_events(**{**DAYS, "to_date": str(FIRST)})
    disk.fill(leave=leave)

    with pytest.raises(StoreError, match=r"could not be written.*No space left.*Free some space"):
        await client.fetch_events(**DAYS, resume=True, on_batch_complete=hook(promise))

    assert promise.broken() == []  # another connection opens it: the call's end has closed it
    with pytest.raises(StoreError, match="Free some space"):  # still full, and open again
        await client.fetch_events(**DAYS, resume=True, on_batch_complete=hook(promise))
    assert promise.broken() == []
    disk.free()
    await complete(client, promise)


async def test_row_63_a_call_beside_one_that_lost_the_database_ends_too_and_both_can_go_on(
    fake, client_of, disk, monkeypatch
):
    monkeypatch.setattr(database, "LONG_LOG", 1 << 10)
    one, two = (Promise(disk.path / "events.duckdb", table) for table in ("one", "two"))
    client = client_of(one.path)
    for promise in (one, two):
        await client.fetch_events(promise.table, **{**DAYS, "to_date": str(FIRST)})
    disk.fill(leave=100_000)

    calls = [
        client.fetch_events(promise.table, **DAYS, resume=True, on_batch_complete=hook(promise))
        for promise in (one, two)
    ]
    ended = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(each) for each in ended] == [StoreError, StoreError]
    disk.free()
    for promise in (one, two):
        assert promise.broken() == []
        await client.fetch_events(promise.table, **DAYS, resume=True)
        assert promise.broken(all_of=(FIRST, LAST)) == []


async def test_row_64_a_disk_that_is_full_at_the_close_loses_nothing_and_is_told(fake, client_of, disk, caplog):
    promise = Promise(disk.path / "events.duckdb")
    client = client_of(promise.path)
    await client.fetch_events(**{**DAYS, "to_date": str(FIRST)})
    caplog.clear()
    disk.fill(leave=700_000)

    done = []

    async def fill(progress):
        done.append(progress)
        if len(done) == 6:  # all are committed, and the call has not ended
            disk.fill(leave=0)

    with caplog.at_level(logging.WARNING, "mixpanel_async"):
        await client.fetch_events(
            **{**DAYS, "to_date": "2026-01-07"}, resume=True, max_workers=1, on_batch_complete=fill
        )

    assert disk.names() == {"events.duckdb", "events.duckdb.wal"}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "events.duckdb.wal until the file is opened again" in caplog.text
    assert promise.broken(all_of=(FIRST, dt.date(2026, 1, 7))) == []
    caplog.clear()
    disk.free()
    await complete(client, promise)
    assert disk.names() == {"events.duckdb"}
    assert caplog.text == ""


async def test_a_spool_without_room_says_where_and_leaves_nothing(fake, client_of, disk, promise, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
    monkeypatch.setattr(download, "MemoryBudget", partial(spool.MemoryBudget, 0))
    monkeypatch.setattr(spool, "SPILL", 1000)
    client = client_of(promise.path)
    disk.fill(leave=0)

    with pytest.raises(StoreError, match=rf"{disk.path}: No space left on device\. Free some space, or set TMPDIR"):
        await client.fetch_events(**DAYS)

    assert disk.names() == set()
    assert {request.attempt for request in fake.requests} == {1}
    disk.free()
    await complete(client, promise)
    assert disk.names() == set()


@pytest.mark.parametrize("size", [1000, 100_000], ids=["less than a buffer", "more"])
async def test_a_spool_without_room_says_so_once_whatever_the_size(disk, monkeypatch, size):
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
    monkeypatch.setattr(spool, "SPILL", 1000)
    disk.fill(leave=0)

    with pytest.raises(StoreError, match="Free some space"):
        async with spool.Spool(spool.MemoryBudget(0)) as body:
            await body.write(bytes(size))


# 67: where nothing can be written


async def test_row_67_a_missing_directory_and_a_directory_in_the_files_place(fake, client_of, tmp_path):
    with pytest.raises(StoreError, match=r"There is no directory .*nowhere: make it, or choose another"):
        await client_of(tmp_path / "nowhere" / "events.duckdb").fetch_events(**DAYS)
    with pytest.raises(ConfigurationError, match="is a directory: pass a path in it"):
        client_of(tmp_path)
    assert fake.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_there", [True, False])
async def test_row_67_a_read_only_file_or_directory_is_told_before_anything_is_asked(
    fake, client_of, tmp_path, request, is_there
):
    if os.geteuid() == 0:  # to whom modes mean nothing
        disk = request.getfixturevalue("disk")
        place, lock = disk.path, ["mount", "-o", "remount,ro", str(disk.path)]
    else:
        place = tmp_path / "place"
        place.mkdir()
        lock = ["chmod", "-R", "a-w", str(place)]
    promise = Promise(place / "events.duckdb")
    client = client_of(promise.path)
    if is_there:
        await client.fetch_events(**{**DAYS, "to_date": str(FIRST)})
    asked, names = len(fake.requests), set(place.iterdir())
    run(*lock)

    with pytest.raises(StoreError, match=r"cannot be (opened|written).*(Read-only file system|Permission denied)"):
        await client.fetch_events(**DAYS, resume=True)

    assert len(fake.requests) == asked
    assert set(place.iterdir()) == names
    assert promise.broken() == []
    run("chmod", "-R", "u+w", str(place))


# 69, 70: a damaged file


async def test_row_69_a_flipped_bit_is_told_and_nothing_is_deleted(fake, client_of, promise):
    client = client_of(promise.path)
    await client.fetch_events(**DAYS)
    whole, told = promise.path.read_bytes(), 0
    places = [place for place, byte in enumerate(whole) if byte]  # zeros at the end of a block are nobody's
    for place in places[50 :: len(places) // 8]:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        promise.path.write_bytes(damaged)
        for how in ({"resume": True}, {"append": True}):
            (ended,) = await asyncio.gather(client.fetch_events(**DAYS, **how), return_exceptions=True)
            assert isinstance(ended, StoreError | ParallelFetchResult)
            told += isinstance(ended, StoreError)
            assert promise.path.stat().st_size >= len(whole)
        with suppress(duckdb.Error):  # what this call had no need to read is still damaged, or the rows are right
            assert promise.broken(all_of=(FIRST, LAST)) == []
    assert told >= 8


async def with_log(fake, promise):
    """Kill a run after eight commits that are in the write-ahead log only; gives the log."""
    fake.faults.add(Fault.stall(), date="2026-01-09")
    task = task_for(fake, promise.path, {**DAYS, "max_workers": 1})
    life = await live(task, fake, Kill(signal.SIGKILL, "acknowledgements", 8, 0.0))
    fake.faults.clear()
    assert len(life.acknowledged) == 8
    for dates in life.acknowledged:
        promise.acknowledge(*dates, 0)
    return promise.path.with_name("events.duckdb.wal")


async def test_row_70_a_torn_log_costs_whole_chunks_and_a_resume_brings_them_back(fake, client_of, promise, tmp_path):
    log = await with_log(fake, promise)
    assert promise.broken() == []
    content, base = log.read_bytes(), promise.path.read_bytes()
    kept = []
    for number, keep in enumerate([0, 1, *(len(content) * part // 4 for part in range(1, 4)), len(content) - 1]):
        torn = Promise(tmp_path / f"{number}.duckdb")
        torn.path.write_bytes(base)
        torn.path.with_name(f"{number}.duckdb.wal").write_bytes(content[:keep])
        client = client_of(torn.path)
        asked = len(fake.requests)

        await client.fetch_events(**DAYS, resume=True)

        assert torn.broken(all_of=(FIRST, LAST)) == []
        kept.append(12 - (len(fake.requests) - asked))
    assert kept == sorted(kept)
    assert kept[0] == 0
    assert kept[-1] == 7


async def test_row_70_a_missing_log_costs_whole_chunks_and_a_resume_brings_them_back(fake, client_of, promise):
    log = await with_log(fake, promise)
    log.unlink()
    promise.acknowledged.clear()

    await complete(client_of(promise.path), promise)


async def test_row_70_a_damaged_log_is_told_and_left_as_it_is(fake, client_of, promise):
    log = await with_log(fake, promise)
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 0x10
    log.write_bytes(content)
    asked = len(fake.requests)

    with pytest.raises(StoreError, match=r"events\.duckdb cannot be opened: .*WAL"):
        await client_of(promise.path).fetch_events(**DAYS, resume=True)

    assert len(fake.requests) == asked
    assert log.read_bytes() == content


# 71: one file, two names


async def test_row_71_a_second_name_of_a_file_that_is_open_is_refused(fake, client_of, promise, tmp_path):
    await client_of(promise.path).fetch_events(**{**DAYS, "to_date": str(FIRST)})
    links = [tmp_path / "hard.duckdb", tmp_path / "soft.duckdb"]
    links[0].hardlink_to(promise.path)
    links[1].symlink_to(promise.path)
    others = [client_of(path, lock_timeout=0) for path in (promise.path, *links)]
    asked = len(fake.requests)
    lease = Database(promise.path).lease()
    lease.open()

    for other in others:
        with pytest.raises(DatabaseLockedError, match=rf"is open in this process \(PID {os.getpid()}\)"):
            await other.fetch_events(**DAYS, resume=True)

    assert len(fake.requests) == asked
    lease.close()
    for other in others:
        await complete(other, promise)


async def test_row_71_a_file_that_could_not_be_opened_is_not_held(client_of, promise):
    promise.path.write_bytes(b"no database")
    client = client_of(promise.path)
    for _ in range(2):
        with pytest.raises(StoreError, match="is not a DuckDB database"):
            await client.fetch_events(**DAYS)
    promise.path.unlink()
    await complete(client, promise)
