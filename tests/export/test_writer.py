"""Rows are there after the end of a whole body was proven, and at no other time."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from functools import partial

import pytest

from mixpanel_async.decode.event_batches import decode
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.errors import StoreError
from mixpanel_async.export.messages import EndChunk, LoadBatches
from mixpanel_async.export.writer import Writer
from mixpanel_async.selections import EventSelection
from mixpanel_async.threads import Cores
from mixpanel_async.types import BatchResult

A, B, C = (("2024-01-01", "2024-01-07"), ("2024-01-08", "2024-01-14"), ("2024-01-15", "2024-01-21"))
REQUESTED_AT = dt.datetime(2026, 2, 10, tzinfo=dt.UTC)


def lines(chunk, *names, more=b""):
    """Events on a chunk's first day."""
    time = int(dt.datetime.fromisoformat(f"{chunk[0]}T12:00:00+00:00").timestamp())
    return b"".join(b'{"event":"%s","properties":{"time":%d%s}}\n' % (name.encode(), time, more) for name in names)


class Bench:
    """A writer on its queue, and a look at the table from outside."""

    def __init__(self, database):
        self.table = EventsTable(database, "events")
        self.table.prepare(EventSelection(), [])
        self.queue = asyncio.Queue()
        self.begin = partial(self.table.loader, last_complete_day=dt.date(2024, 6, 1))
        self.opened = []
        self.cores = Cores(2)
        self._cursor = database.cursor()
        self._writer = Writer(self.queue, self._loader, self.cores)

    def _loader(self, chunk):
        self.opened.append(self.begin(chunk))
        return self.opened[-1]

    def start(self):
        self.run = asyncio.create_task(self._writer.run())
        return self.run

    async def send(self, chunk, *texts):
        await self.queue.put(LoadBatches(chunk, list(decode(texts))))

    async def end(self, chunk, *, whole=True, size=100, attempts=1):
        acknowledge = asyncio.get_running_loop().create_future()
        await self.queue.put(EndChunk(chunk, whole, size, attempts, REQUESTED_AT, acknowledge))
        return (await acknowledge).result

    async def stop(self):
        await self.queue.put(None)
        await self.run

    async def written(self):
        """All that was sent is inserted (and not committed)."""
        while not self.queue.empty():  # noqa: ASYNC110 - a queue tells nobody that it is empty
            await asyncio.sleep(0)
        for chunk in self._writer._open.values():
            await chunk.previous_step()

    def names(self):
        return [row[0] for row in self.sql("SELECT event_name FROM memory.main.events ORDER BY event_time, event_name")]

    def journal(self):
        return self.sql(
            "SELECT rows, duplicates, rejected, bytes, retries FROM memory.main._mixpanel_chunks ORDER BY from_date"
        )

    def sql(self, query):
        return self._cursor.execute(query).fetchall()


@pytest.fixture
async def bench():
    database = Database(":memory:")
    database.lease().open()
    bench = Bench(database)
    yield bench
    for loader in bench.opened:
        assert loader._sink._is_over
    bench._cursor.close()
    database.close()


async def test_rows_are_there_after_the_end_and_not_before(bench):
    bench.start()
    await bench.send(A, lines(A, "one", "two"), lines(A, "three"))
    await bench.written()
    assert bench.names() == bench.journal() == []
    assert await bench.end(A, size=123, attempts=3) == BatchResult(*A, rows=3, success=True)
    assert bench.names() == ["one", "three", "two"]
    assert bench.journal() == [(3, 0, 0, 123, 2)]
    await bench.stop()


async def test_a_body_that_is_not_whole_leaves_nothing_and_the_next_attempt_starts_afresh(bench):
    bench.start()
    await bench.send(A, lines(A, "half"))
    assert await bench.end(A, whole=False) == BatchResult(*A, rows=0, success=False)
    assert bench.names() == bench.journal() == []
    await bench.send(A, lines(A, "whole"))
    assert (await bench.end(A)).rows == 1
    assert bench.names() == ["whole"]
    await bench.stop()


async def test_a_failed_attempt_without_a_row_needs_no_loader(bench):
    bench.start()
    assert not (await bench.end(A, whole=False)).success
    assert bench.opened == []
    await bench.stop()


async def test_an_empty_day_is_journalled(bench):
    bench.start()
    assert await bench.end(A) == BatchResult(*A, rows=0, success=True)
    assert bench.journal() == [(0, 0, 0, 100, 0)]
    await bench.stop()


async def test_the_old_rows_stay_until_the_new_ones_are_committed(bench):
    bench.start()
    await bench.send(A, lines(A, "old"))
    await bench.end(A)
    await bench.send(A, lines(A, "new"))
    await bench.written()
    assert bench.names() == ["old"]
    await bench.end(A, whole=False)
    assert bench.names() == ["old"]
    await bench.send(A, lines(A, "newer"))
    await bench.end(A)
    assert bench.names() == ["newer"]
    await bench.stop()


async def test_chunks_side_by_side_do_not_mix(bench):
    bench.start()
    for name in ("1", "2"):
        for chunk, letter in ((A, "a"), (B, "b"), (C, "c")):
            await bench.send(chunk, lines(chunk, letter + name))
    assert (await bench.end(B, whole=False)).rows == 0
    assert (await bench.end(C)).rows == 2
    assert bench.names() == ["c1", "c2"]
    assert (await bench.end(A)).rows == 2
    assert bench.names() == ["a1", "a2", "c1", "c2"]
    await bench.stop()


async def test_lines_that_are_not_events_are_kept_counted_and_logged_once_per_chunk(bench, caplog):
    bench.start()
    await bench.send(A, b"nonsense\n" + lines(A, "good", "NaN") + lines(A, "bad", more=b',"x":NaN') + lines(A, "last"))
    await bench.send(A, b"[]\n" + lines(A, "more"))
    await bench.send(A, lines(A, "usual") + lines(A, "odd", more=b',"x":NaN') + lines(A, "end"))
    assert (await bench.end(A)).rows == 6
    assert bench.names() == ["NaN", "end", "good", "last", "more", "usual"]
    assert bench.journal() == [(6, 0, 4, 100, 0)]
    kept = bench.sql(
        "SELECT from_date, to_date, line_number, reason, line FROM memory.main._mixpanel_rejected ORDER BY 3, 4"
    )
    first, last = map(dt.date.fromisoformat, A)
    assert [(row[:2], *row[2:]) for row in kept] == [
        ((first, last), 1, "not JSON: Expecting value: line 1 column 1 (char 0)", b"nonsense"),
        ((first, last), 1, "not a JSON object", b"[]"),
        ((first, last), 2, "NaN is not JSON", lines(A, "odd", more=b',"x":NaN').strip()),
        ((first, last), 4, "NaN is not JSON", lines(A, "bad", more=b',"x":NaN').strip()),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        "2024-01-01 to 2024-01-07: 4 lines are not events; they are kept in _mixpanel_rejected."
    ]
    await bench.stop()


@pytest.mark.parametrize("step", ["begin", "load", "commit"])
async def test_an_error_of_the_database_ends_the_run_and_leaves_nothing(bench, step, monkeypatch):
    run = bench.start()
    await bench.send(A, lines(A, "done"))
    await bench.end(A)
    await bench.send(B, lines(B, "open"))
    await bench.written()
    plain = bench.begin

    def failing(chunk):
        loader = plain(chunk)

        def fail(*_):
            raise StoreError("disk full")

        monkeypatch.setattr(loader, step, fail)
        return loader

    bench.begin = failing
    await bench.send(C, lines(C, "lost"))
    ended = asyncio.ensure_future(bench.end(C))
    with pytest.raises(ExceptionGroup) as errors:
        await run
    assert [str(error) for error in errors.value.exceptions] == ["disk full"]
    assert not ended.done()
    ended.cancel()
    assert bench.names() == ["done"]
    assert len(bench.journal()) == 1


@pytest.mark.parametrize("cancels", [1, 2, 3])
async def test_a_cancel_leaves_whole_chunks_and_rolls_every_other_back(bench, cancels):
    run = bench.start()
    await bench.send(A, lines(A, "done"))
    await bench.end(A)
    for chunk in (B, C):
        await bench.send(chunk, lines(chunk, "open"))
    await bench.written()
    gate, plain = threading.Event(), bench.opened[1].roll_back

    def slow():
        gate.wait(10)
        plain()

    bench.opened[1].roll_back = slow
    for _ in range(cancels):
        run.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not run.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert bench.names() == ["done"]


async def test_a_cancel_rolls_back_a_chunk_whose_end_still_waits_for_a_core(bench):
    run, gate = bench.start(), threading.Event()
    await bench.send(A, lines(A, "half"))
    await bench.written()
    busy = [asyncio.create_task(bench.cores.run(gate.wait, 10)) for _ in range(2)]
    await asyncio.sleep(0)
    end = asyncio.create_task(bench.end(A))
    for _ in range(5):
        await asyncio.sleep(0)
    assert bench.queue.empty()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert bench.opened[0]._sink._is_over
    end.cancel()
    gate.set()
    await asyncio.gather(*busy)
    assert bench.names() == bench.journal() == []


async def test_a_cancel_waits_for_the_insert_that_runs(bench):
    run, entered, gate, overtaken = bench.start(), threading.Event(), threading.Event(), threading.Event()
    plain = bench.begin

    def slow(chunk):
        loader = plain(chunk)
        load = loader.load

        def gated(block):
            entered.set()
            gate.wait(10)
            return load(block)

        def rolled_back():
            overtaken.set()
            roll_back()

        roll_back = loader.roll_back
        loader.load, loader.roll_back = gated, rolled_back
        return loader

    bench.begin = slow
    await bench.send(A, lines(A, "half"))
    await asyncio.to_thread(entered.wait, 10)
    run.cancel()
    assert not await asyncio.to_thread(overtaken.wait, 0.1)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert bench.names() == []


async def test_a_caller_that_no_longer_waits_for_the_commit_is_no_error(bench):
    bench.start()
    await bench.send(A, lines(A, "one"))
    nobody = asyncio.get_running_loop().create_future()
    nobody.cancel()
    await bench.queue.put(EndChunk(A, True, 1, 1, REQUESTED_AT, nobody))
    await bench.stop()
    assert bench.names() == ["one"]
