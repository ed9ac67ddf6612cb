"""A chunk's rows: word for word, each once, and all or none."""

from __future__ import annotations

import datetime as dt
import itertools

import duckdb
import pytest

from mixpanel_async.decode.event import parse_event
from mixpanel_async.decode.event_batches import EventBatch, parsed_batch
from mixpanel_async.decode.repeated_ids import IdSet
from mixpanel_async.duck import chunk_loader, table_sink
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.keys import HAS_KEY
from mixpanel_async.errors import StoreError
from mixpanel_async.records import ChunkCounts, ChunkRecord

from .conftest import FETCHED_AT, Shelf, bad_line, batch, event

WEEK = ("2024-01-01", "2024-01-07")
RECORD = ChunkRecord(WEEK, 100, 0, FETCHED_AT)


@pytest.fixture(autouse=True, params=[chunk_loader.HELD, 1], ids=["one insert", "an insert a batch"])
def held(request, monkeypatch):
    """A long chunk is inserted in several steps, and this must not show."""
    monkeypatch.setattr(chunk_loader, "HELD", request.param)


def counted(counts):
    return counts.rows, counts.duplicates


# All or nothing


def test_rows_and_journal_come_together(shelf):
    loader = shelf.begun(WEEK, [event(name="a")], [event(name="b")], rejected=[bad_line(7, b"\xff\0")])
    assert (shelf.rows(), shelf.journal(), shelf.rejected()) == ([], [], [])
    assert counted(loader.commit(RECORD)) == (2, 0)
    assert (shelf.rows(), shelf.journal()) == (["a", "b"], [(*WEEK, 2)])
    assert shelf.rejected() == [(*WEEK, 7, "why", b"\xff\0")]


def test_a_roll_back_leaves_what_was_there(shelf):
    shelf.store(WEEK, [event(name="old")])
    loader = shelf.begun(WEEK, [event(name="new")], rejected=[bad_line(1, b"x")])
    loader.roll_back()
    loader.roll_back()
    assert (shelf.rows(), shelf.journal(), shelf.rejected()) == (["old"], [(*WEEK, 1)], [])


def test_after_a_commit_a_roll_back_does_nothing(shelf):
    loader = shelf.begun(WEEK, [event(name="a")])
    loader.commit(RECORD)
    loader.roll_back()
    assert shelf.rows() == ["a"]


def test_two_that_fetch_the_same_chunk_do_not_both_commit(shelf):
    one, two = shelf.begun(WEEK, [event(name="one")]), shelf.begun(WEEK, [event(name="two")])
    one.commit(RECORD)
    with pytest.raises(StoreError, match="2024-01-01 to 2024-01-07 of table 'events' could not be written"):
        two.commit(RECORD)
    two.roll_back()
    assert (shelf.rows(), shelf.journal()) == (["one"], [(*WEEK, 1)])


def test_after_an_error_nothing_is_left_and_the_message_has_no_value_of_an_event(shelf):
    loader = shelf.begun(WEEK, [event(name="personal")])
    shelf.sql("DROP TABLE _mixpanel_chunks")
    with pytest.raises(StoreError) as failed:
        loader.commit(RECORD)
    loader.roll_back()
    assert shelf.rows() == []
    assert "personal" not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


def test_a_chunk_without_rows_is_a_chunk(shelf):
    assert shelf.store(WEEK) == ChunkCounts()
    assert shelf.journal() == [(*WEEK, 0)]


def test_the_journal_keeps_how_it_was_fetched(shelf):
    shelf.store(WEEK, [event()], size=12_345, retries=3)
    assert shelf.journal("rows, duplicates, rejected, bytes, retries") == [(*WEEK, 1, 0, 0, 12_345, 3)]
    assert shelf.sql("SELECT epoch(fetched_at) FROM _mixpanel_chunks") == [(FETCHED_AT.timestamp(),)]


# Values


def test_columns_are_what_the_properties_say_and_the_properties_stay(shelf):
    name, properties = event("2024-01-02T03:04:05", "sign up", "i", "d", z='{"b": 1.50,  "a":[null]}', a="1e400")
    shelf.store(WEEK, [(name, properties)])
    when = dt.datetime(2024, 1, 2, 3, 4, 5)  # noqa: DTZ001 - as stored
    assert shelf.rows("*") == [("sign up", when, "d", "i", properties.decode())]


def test_lines_that_the_fast_parser_refuses_are_parsed_slowly_or_rejected_with_their_place(shelf):
    rows = [
        event(name="a"),
        (b'"b"', b'{"time":"never"}'),
        (b'"c"', b'{"time":1704153600,"x":"\\ud800"}'),
        event(name="d", x='"NaN in a text"'),
        (b'"e"', b'{"time":1704153600,"x":NaN}'),
        (b'"f\\ud800"', b'{"time":1704153600}'),
        (b'"g\xff"', b'{"time":1704153600,"x":"\xff"}'),
        (b'"h"', b'{"time":1704153600'),
        (b'"i"', b"{}"),
        (b'"j"', b'{"time":1e18}'),
        event(name="k"),
    ]
    loader = shelf.begun(WEEK)
    loader.load([batch(rows[:5]), batch(rows[5:], first=6)])
    loader.commit(RECORD)
    events = [0, 2, 3, 5, 10]
    assert shelf.rows() == ["a", "c", "d", "f\ufffd", "k"]
    assert shelf.rows("properties")[1] == '{"time":1704153600,"x":"\\ufffd"}'
    assert shelf.journal() == [(*WEEK, 5)]
    lines = [(number, line) for _, _, number, _, line in shelf.rejected()]
    assert lines == [(at + 1, b'{"event":%b,"properties":%b}' % row) for at, row in enumerate(rows) if at not in events]


def sequences():
    """Bytes that begin like a character of more than one, or in the middle of one."""
    edges = [bytes([byte]) for byte in (0x41, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0)]
    tails = [b"".join(tail) for length in range(4) for tail in itertools.product(edges, repeat=length)]
    return [bytes([first]) + tail for first in range(0x80, 0x100) for tail in tails if len(tail) < 3 or first >= 0xE0]


def is_utf_8(text):
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize(
    "event", [(b'"a%b"', b'{"time":1704153600}%.0b'), (b'"a"%.0b', b'{"time":1704153600,"x":"%b"}')]
)
def test_what_is_no_utf_8_is_refused_and_nothing_else(shelf, event):
    texts = sequences()
    rows = [tuple(part % text for part in event) for text in texts]
    loader = shelf.begun(WEEK)
    loader.load([batch(rows, first=0)])
    loader.commit(RECORD)
    assert [row[2] for row in shelf.rejected()] == [at for at, text in enumerate(texts) if not is_utf_8(text)]
    assert len(shelf.rows()) == sum(map(is_utf_8, texts)) > 500


# Duplicates


def test_of_a_repeated_event_the_newest_is_kept(shelf):
    shelf.store(
        WEEK,
        [event(insert_id="i", mp_processing_time_ms=5), event(insert_id="i", mp_processing_time_ms=30)],
        [
            event(insert_id="i", mp_processing_time_ms=7),
            event(insert_id="i"),
            event(insert_id="i", mp_processing_time_ms='"x"'),
        ],
    )
    assert shelf.rows("properties->>'mp_processing_time_ms'") == ["30"]
    assert shelf.journal("rows, duplicates") == [(*WEEK, 1, 4)]


def test_of_equal_ones_the_first_is_kept(shelf):
    shelf.store(WEEK, [event(insert_id="i", n=1), event(insert_id="i", n=2)], [event(insert_id="i", n=3)])
    assert shelf.rows("properties->>'n'") == ["1"]


def test_of_equal_ones_the_first_is_kept_even_if_only_it_was_read_one_by_one(shelf):
    unusual = [
        EventBatch(parsed=parsed_batch([parse_event(b'{"event":%b,"properties":%b}' % event(insert_id="i", n=1))]))
    ]
    loader = shelf.begun(WEEK)
    loader.load([*unusual, batch([event(insert_id="i", n=2)], first=2)])
    assert counted(loader.commit(RECORD)) == (1, 1)
    assert shelf.rows("properties->>'n'") == ["1"]


@pytest.mark.parametrize(
    "other",
    [
        {"name": "b"},
        {"moment": "2024-01-02T00:00:01"},
        {"distinct_id": "other"},
        {"insert_id": "j"},
        {"insert_id": "I"},
    ],
)
def test_an_insert_id_alone_is_no_key(shelf, other):
    shelf.store(WEEK, [event(insert_id="i"), event(**{"insert_id": "i"} | other)])
    assert shelf.journal("rows, duplicates") == [(*WEEK, 2, 0)]


def test_rows_without_an_insert_id_are_all_kept(shelf):
    shelf.store(
        WEEK, [event()] * 3, [event(), event(**{"$insert_id": "null"}), event(insert_id="i"), event(insert_id="i")]
    )
    assert shelf.journal("rows, duplicates") == [(*WEEK, 6, 1)]


def test_no_distinct_id_is_the_same_as_none(shelf):
    bare = (b'"a"', b'{"time":1704153600,"$insert_id":"i"}')
    null = (b'"a"', b'{"time":1704153600,"$insert_id":"i","distinct_id":null}')
    shelf.store(WEEK, [bare, null], [bare, event(insert_id="i")])
    assert shelf.journal("rows, duplicates") == [(*WEEK, 2, 2)]


def test_without_deduplication_every_line_is_kept(shelf):
    shelf.store(WEEK, [event(insert_id="i")] * 3, deduplicate=False)
    assert shelf.journal("rows, duplicates") == [(*WEEK, 3, 0)]


def test_rows_of_other_chunks_are_no_duplicates(shelf):
    shelf.store(WEEK, [event(insert_id="i")])
    shelf.store(("2024-01-08", "2024-01-14"), [event("2024-01-08", insert_id="i"), event("2024-01-08", insert_id="i")])
    assert shelf.journal("rows, duplicates") == [(*WEEK, 1, 0), ("2024-01-08", "2024-01-14", 1, 1)]
    shelf.assert_true()


def test_chunks_that_are_written_side_by_side_see_their_own_rows_alone(shelf):
    one = shelf.begun(WEEK, [event(insert_id="i")] * 2)
    dates = ("2024-01-08", "2024-01-14")
    two = shelf.begun(dates, [event("2024-01-08", insert_id="i")] * 3)
    assert counted(one.commit(RECORD)) == (1, 1)
    assert counted(two.commit(ChunkRecord(dates, 1, 0, FETCHED_AT))) == (1, 2)
    shelf.assert_true()


def test_many_duplicates_over_many_blocks(shelf):
    rows = [event(insert_id=f"i{number}", mp_processing_time_ms=number) for number in range(3000)]
    again = [event(insert_id=f"i{number}", mp_processing_time_ms=number + 1, again=1) for number in range(0, 3000, 3)]
    assert counted(shelf.store(WEEK, rows[:1500], again, rows[1500:], [event()] * 10)) == (3010, 1000)
    assert shelf.sql("SELECT count(*), count(DISTINCT insert_id), count(properties->>'again') FROM events") == [
        (3010, 3000, 1000)
    ]
    shelf.assert_true()


BLANK_IDS = ['""', '" "', '"\\t\\n"', '"\\u0020"', '"\u2003\u3000"', '"\\u0085"']


@pytest.mark.parametrize("time", ["1704153600", '"1704153600"'], ids=["fast parser", "slow parser"])
@pytest.mark.parametrize("collation", ["", "NOCASE", "de"])
def test_a_row_whose_insert_id_is_blank_has_no_duplicates(time, collation):
    rows = [(b'"a"', f'{{"time":{time},"$insert_id":{insert_id}}}'.encode()) for insert_id in [*BLANK_IDS, '" i "']]
    with duckdb.connect() as connection:
        connection.execute(f"SET GLOBAL default_collation = '{collation}'")
        database = Database(connection)
        database.lease().open()
        shelf = Shelf(database).prepare()
        loader = shelf.begun(WEEK)
        loader.hold_for_duplicates(IdSet(hash(each) for each in (b"", b" ", b" i ")))
        for _ in range(3):
            loader.load([batch(rows)])
        loader.commit(RECORD)
        assert shelf.journal("rows, duplicates") == [(*WEEK, 19, 2)]
        stored = ["", " ", " ", "\t\n", "\x85", "\u2003\u3000"]
        found = shelf.sql("SELECT encode(insert_id) FROM events")
        assert sorted(found) == sorted([(each.encode(),) for each in stored] * 3 + [(b" i ",)])
        shelf.cursor.close()


def test_what_is_blank_is_what_python_calls_blank(shelf):
    of_each = f"SELECT code FROM (SELECT code, chr(code::INTEGER) AS insert_id FROM range(1, 55296) AS t(code)) WHERE NOT {HAS_KEY}"
    assert [code for (code,) in shelf.sql(of_each)] == [code for code in range(1, 55_296) if chr(code).isspace()]
    assert not any(chr(code).isspace() for code in range(55_296, 0x110000))


def test_a_replaced_chunk_is_deduplicated_within_its_new_rows(shelf):
    shelf.store(WEEK, [event(insert_id="i", mp_processing_time_ms=99)])
    shelf.store(WEEK, [event(insert_id="i", mp_processing_time_ms=1), event(insert_id="i", mp_processing_time_ms=2)])
    assert shelf.rows("properties->>'mp_processing_time_ms'") == ["2"]


OTHER_NUMBERS = {"above": 10 * table_sink.FIRST_LOCAL_ROW, "below": 0}
NEEDS_NUMBERS = {
    "many inserts": ({"complete": "2024-06-01"}, [event()], [event()]),
    "a row before the chunk": ({"complete": "2024-06-01"}, [event("2023-12-31"), event()]),
    "a row after the chunk, which is not complete": ({"complete": None}, [event("2024-01-08"), event()]),
    "dates that are not all complete": ({"complete": "2024-01-03"}, [event(), event("2024-01-05")]),
}


@pytest.mark.parametrize("case", NEEDS_NUMBERS.values(), ids=NEEDS_NUMBERS)
@pytest.mark.parametrize("first", OTHER_NUMBERS.values(), ids=OTHER_NUMBERS)
def test_a_duckdb_that_numbers_its_rows_in_another_way_is_found_out(shelf, monkeypatch, case, first):
    options, *blocks = case
    shelf.store(("2024-02-01", "2024-02-01"), [event("2024-02-01", name="old")] * 3)
    monkeypatch.setattr(chunk_loader, "HELD", 1)
    monkeypatch.setattr(table_sink, "FIRST_LOCAL_ROW", first)
    loader = shelf.begun(WEEK, *blocks, **options)
    found_out = (
        rf"2 rows were inserted for .* and the transaction shows {0 if first else 5}: this DuckDB numbers rows in"
    )
    with pytest.raises(StoreError, match=found_out):
        loader.commit(RECORD)
    loader.roll_back()
    assert shelf.rows() == ["old"] * 3
    assert shelf.sql("SELECT * FROM _mixpanel_out_of_range") == []


@pytest.mark.parametrize("collation", ["NOCASE", "NOACCENT"])
def test_keys_are_compared_as_bytes_whatever_the_caller_has_set(collation):
    ids = [("E", "d", "i"), ("e", "d", "i"), ("e", "D", "i"), ("e", "d", "I"), ("é", "d", "i")]
    rows = [event(name=name, distinct_id=distinct_id, insert_id=insert_id) for name, distinct_id, insert_id in ids]
    with duckdb.connect() as connection:
        connection.execute(f"SET GLOBAL default_collation = '{collation}'")
        database = Database(connection)
        database.lease().open()
        shelf = Shelf(database).prepare()
        shelf.store(WEEK, rows, rows)
        assert shelf.journal("rows, duplicates") == [(*WEEK, 5, 5)]
        found = shelf.sql("SELECT encode(event_name), encode(distinct_id), encode(insert_id) FROM events")
        assert sorted(found) == sorted(tuple(part.encode() for part in each) for each in ids)
        shelf.cursor.close()
