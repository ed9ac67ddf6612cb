"""Blocks on their way into the table: next to their own properties, and written once."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from mixpanel_async.decode.repeated_ids import IdSet
from mixpanel_async.duck import chunk_loader, dedup, parser, table_sink
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.row_groups import USUAL
from mixpanel_async.duck.workbench import Workbench
from mixpanel_async.errors import StoreError
from mixpanel_async.records import ChunkCounts, ChunkRecord

from .conftest import FETCHED_AT, Shelf, batch, event

DAY = ("2024-01-02", "2024-01-02")


def numbered(count, *, repeat_every=0):
    """Events that differ in all columns, and some that come again."""
    rows = [event(insert_id=f"i{n}", distinct_id=f"d{n}", n=n, filling=f'"{n:0900}"') for n in range(count)]
    return rows + rows[:: repeat_every or count + 1][1:]


def id_set(*numbers):
    return IdSet(hash(f"i{number}".encode()) for number in numbers)


def test_a_chunk_with_duplicates_is_written_once_and_not_into_the_log_too(tmp_path):
    database = Database(tmp_path / "events.duckdb")
    lease = database.lease()
    lease.open()
    shelf = Shelf(database).prepare()
    rows = USUAL + 2000
    shelf.store(DAY, numbered(rows, repeat_every=100))
    assert shelf.journal("rows, duplicates") == [(*DAY, rows, (rows - 1) // 100)]
    assert (tmp_path / "events.duckdb.wal").stat().st_size < rows * 1100 / 5  # at most what makes no full row group
    shelf.cursor.close()
    lease.close()


def test_columns_stay_with_their_properties_on_a_callers_connection_of_many_threads():
    with duckdb.connect(config={"threads": 8}) as connection:
        database = Database(connection)
        database.lease().open()
        shelf = Shelf(database).prepare()
        rows = numbered(30_000, repeat_every=50)
        shelf.store(DAY, *(rows[at : at + 1000] for at in range(0, 30_600, 1000)))
        assert shelf.journal("rows, duplicates") == [(*DAY, 30_000, 599)]
        wrong = "insert_id <> 'i' || (properties->>'n') OR distinct_id <> (properties->>'distinct_id')"
        assert shelf.sql(f"SELECT count(*) FROM events WHERE {wrong}") == [(0,)]
        shelf.cursor.close()


def test_rows_that_duckdb_gives_in_another_order_are_not_stored(shelf, monkeypatch):
    monkeypatch.setattr(parser, "_FAST", f"{parser._FAST} ORDER BY line DESC")
    loader = shelf.begun(DAY)
    with pytest.raises(StoreError, match="SET preserve_insertion_order = true"):
        loader.load([batch(numbered(3))])
    loader.roll_back()
    assert shelf.rows() == []


def test_an_empty_buffer_inserts_nothing(shelf):
    buffer = dedup.DedupBuffer(Workbench(shelf.database.cursor()), pytest.fail, deduplicate=True)
    buffer.flush()
    assert buffer.counts == ChunkCounts()


def test_duplicates_of_a_long_chunk_are_found_before_the_insert_where_days_follow_one_another(tmp_path, monkeypatch):
    monkeypatch.setattr(chunk_loader, "HELD", 5_000_000)
    monkeypatch.setattr(table_sink, "_DELETE_DUPLICATES", "SELECT error('deleted after the insert')")
    database = Database(tmp_path / "events.duckdb")
    lease = database.lease()
    lease.open()
    shelf = Shelf(database).prepare()
    days = ("2024-01-02", "2024-01-07")
    blocks = [
        [
            event(f"2024-01-0{day}", insert_id=f"i{n % 2900}", distinct_id="d", n=n, filling=f'"{n:0900}"')
            for n in range(part, 3000, 3)
        ]
        for day in range(2, 8)
        for part in range(3)
    ]
    shelf.store(days, *blocks)
    assert shelf.journal("rows, duplicates") == [(*days, 6 * 2900, 600)]
    assert shelf.sql("SELECT count(*), count(DISTINCT (event_time, insert_id)) FROM events") == [(17_400, 17_400)]
    assert shelf.sql("SELECT count(*) FROM events WHERE insert_id <> 'i' || ((properties->>'n')::INT % 2900)") == [(0,)]
    shelf.cursor.close()
    lease.close()


def test_duplicates_of_a_day_that_was_inserted_before_are_deleted_from_the_table(shelf, monkeypatch):
    monkeypatch.setattr(chunk_loader, "HELD", 1)
    back = [
        event(day, insert_id="i", mp_processing_time_ms=n) for n, day in enumerate(["2024-01-02", "2024-01-04"] * 3)
    ]
    shelf.store(("2024-01-02", "2024-01-04"), *([row] for row in back))
    assert shelf.rows("properties->>'mp_processing_time_ms'") == ["4", "5"]
    assert shelf.journal("rows, duplicates") == [("2024-01-02", "2024-01-04", 2, 4)]


def test_duplicates_that_are_far_apart_in_one_day_wait_for_each_other(shelf, monkeypatch):
    monkeypatch.setattr(chunk_loader, "HELD", 1)
    monkeypatch.setattr(table_sink, "_DELETE_DUPLICATES", "SELECT error('deleted after the insert')")
    rows = [event(insert_id=f"i{n % 50}", mp_processing_time_ms=n if n < 70 else 0, n=n) for n in range(80)]
    rows += [event(n=80), event(n=80)]  # without an id
    loader = shelf.begun(DAY)
    loader.hold_for_duplicates(id_set(*range(30), 40, "an id that none has"))
    for row in rows:
        loader.load([batch([row])])
    loader.commit(ChunkRecord(DAY, 100, 0, FETCHED_AT))
    newest = [*range(50, 70), *range(20, 50)]
    assert sorted(shelf.rows("(properties->>'n')::INT")) == sorted([*newest, 80, 80])
    assert shelf.journal("rows, duplicates") == [(*DAY, 52, 30)]


def test_rows_that_wait_for_duplicates_are_one_batch_per_flush(shelf, monkeypatch):
    """Thousands of few rows each held the interpreter's lock, and with it the event loop, for 0.2 s."""
    monkeypatch.setattr(chunk_loader, "HELD", 6000)
    loader = shelf.begun(DAY)
    loader.hold_for_duplicates(id_set(*range(0, 80, 2)))
    for n in range(80):
        loader.load([batch([event(insert_id=f"i{n}", n=n)])])
    waiting = loader._buffer._waiting
    assert 20 < len(waiting) < 40
    assert len(waiting.marked(np.ones(len(waiting), np.bool_))) < 10
    loader.commit(ChunkRecord(DAY, 100, 0, FETCHED_AT))
    assert sorted(shelf.rows("(properties->>'n')::INT")) == list(range(80))


@pytest.mark.parametrize("most", [1, 4000, 8000])
def test_the_memory_for_rows_that_wait_for_duplicates_is_limited(shelf, monkeypatch, most):
    monkeypatch.setattr(chunk_loader, "HELD", 1)
    monkeypatch.setattr(dedup, "HELD_FOR_DUPLICATES", most)
    loader = shelf.begun(DAY)
    loader.hold_for_duplicates(id_set(*range(50)))
    held = []
    for n in range(80):
        row = event(insert_id=f"i{n % 50}", mp_processing_time_ms=n if n < 70 else 0, n=n)
        loader.load([batch([row])])
        held.append(loader._buffer._waiting.nbytes)
    loader.commit(ChunkRecord(DAY, 100, 0, FETCHED_AT))
    assert max(held) < most
    assert sorted(shelf.rows("(properties->>'n')::INT")) == sorted([*range(50, 70), *range(20, 50)])
    assert shelf.journal("rows, duplicates") == [(*DAY, 50, 30)]


ORDERS = {
    "one row in ten of the day before": lambda n: 2 if n % 10 else 1,
    "two days interleaved": lambda n: 1 + n % 2,
    "seven days interleaved": lambda n: 1 + n % 7,
    "ascending": lambda n: 1 + n // 86,
    "descending": lambda n: 7 - n // 86,
    "one day": lambda _: 1,
    "many rows of one day, then a few large ones of another": lambda n: 1 if n % 50 else 2,
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("repeated", [range(0), range(0, 500, 3), range(500)], ids=["few", "some", "all"])
def test_the_memory_for_rows_is_limited_in_any_order(shelf, monkeypatch, order, repeated):
    """A day of 600 MB in which every 5,000th row was of the day before took 2.4 GB."""
    monkeypatch.setattr(chunk_loader, "HELD", 20_000)
    monkeypatch.setattr(dedup, "HELD_FOR_DUPLICATES", 30_000)
    monkeypatch.setattr(dedup, "HELD_FOR_DAY", 10_000, raising=False)
    week = ("2024-01-01", "2024-01-07")
    rows = [
        event(f"2024-01-0{order(n)}", insert_id=f"i{n % 500}", mp_processing_time_ms=n, n=n, filling=f'"{"x" * (500 if n % 50 == 0 else 50)}"')
        for n in range(600)
    ]  # fmt: skip
    newest = {(order(n), n % 500): n for n in range(600)}
    loader = shelf.begun(week)
    loader.hold_for_duplicates(id_set(*repeated))
    held = []
    for start in range(0, 600, 10):
        loader.load([batch(rows[start : start + 10])])
        held.append(loader._buffer.rows.nbytes + loader._buffer._waiting.nbytes)
    loader.commit(ChunkRecord(week, 100, 0, FETCHED_AT))
    assert max(held) < 20_000 + 30_000 + 5_000
    assert sorted(shelf.rows("(properties->>'n')::INT")) == sorted(newest.values())
    assert shelf.journal("rows, duplicates") == [(*week, len(newest), 600 - len(newest))]
