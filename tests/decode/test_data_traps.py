"""What a line may hold, and what becomes of it: kept word for word, or rejected with the reason, never anything else.

Each case goes the whole way, from the body's bytes to DuckDB's tables.
"""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpanel_async.decode.event import NotAnEventError, parse_event
from mixpanel_async.decode.event_batches import decode
from tests.slices import whole

from .memory_table import END, MemoryTable

LAST = b'{"event":"last","properties":{"time":1704067200}}'


class Way(MemoryTable):
    """From a body to the tables."""

    def go(self, *lines):
        """Fetch a day of these lines and a good last one; gives the others' rows, and what was rejected."""
        chunk = self.new_chunk(deduplicate=True)
        chunk.load(list(decode([b"\n".join([*lines, LAST])])))
        result = chunk.end(END).result
        rows = self.query("SELECT * FROM events WHERE event_name <> 'last'")
        rejected = self.query("SELECT line, reason FROM _mixpanel_rejected ORDER BY line_number")
        counted = self.query("SELECT rows, rejected FROM _mixpanel_chunks")
        assert counted == [(result.rows, len(rejected))] == [(len(rows) + 1, len(rejected))]
        assert len(rows) + len(rejected) == len(lines)
        return rows, rejected


@pytest.fixture(scope="module")
def way():
    way = Way()
    yield way
    way.close()


def line(properties):
    return b'{"event":"a","properties":{"time":1704067200,%s}}' % (
        properties if isinstance(properties, bytes) else properties.encode()
    )


@pytest.mark.parametrize(
    "properties",
    [
        '"x":1e400',
        '"x":-0.0',
        '"x":18446744073709551616',
        '"x":12345678901234567890.1',
        '"x":' + "1" * 5000,
        '"x":1,"x":2',
        '"z":1,"a":2,"$b":null',
        '"x":"a\\u0000b"',
        '"x":"\\ud83d\\ude00"',
        '"x":"\u2028\u0085\U0001f600"',
        '"x":"\x7f"',
        '"x":' + "[" * 500 + "]" * 500,
        '"x":"' + "y" * 3_000_000 + '"',
        '"x":"NaN","y":"-Infinity","z":"[1,]{,}"',
        '"":"","a.b":{"c d":[1, 2 ,{}]}',
    ],
    ids=lambda text: text[:40].encode("ascii", "backslashreplace").decode(),
)
@pytest.mark.parametrize("shape", [b"%s", b" %s\r"], ids=["usual", "unusual"])
def test_kept_word_for_word(way, properties, shape):
    rows, rejected = way.go(shape % line(properties))
    assert rejected == []
    assert [row[4] for row in rows] == ['{"time":1704067200,' + properties + "}"]


@pytest.mark.parametrize("shape", [b"%s", b" %s"], ids=["usual", "unusual"])
def test_any_depth_is_kept(way, shape):
    deep = line('"x":' + '{"a":' * 100_000 + "1" + "}" * 100_000)
    rows, rejected = way.go(shape % deep)
    assert rejected == []
    assert [row[4].encode() for row in rows] == [deep.removeprefix(b'{"event":"a","properties":')[:-1]]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line('"x":NaN'), "NaN is not JSON"),
        (line('"x":[Infinity]'), "Infinity is not JSON"),
        (line('"x":-Infinity'), "-Infinity is not JSON"),
        (line(b'"x":"\xed\xa0\x80"'), "not UTF-8"),
        (line(b'"x":"\xff"'), "not UTF-8"),
        (line('"x":1').decode().encode("utf-16-le"), "not JSON"),
        (line('"x":"\x00"'), "not JSON: Invalid control character"),
        (line('"x":"\t"'), "not JSON: Invalid control character"),
        (line('"x":1,'), "not JSON: "),
        (line('"x":[1,]'), "not JSON"),
        (line('"x":[1, ]'), "not JSON"),
        (line('"x":1 ,\t'), "not JSON"),
        (line('"x":{"y":1,}'), "not JSON"),
        (line('"x":01'), "not JSON"),
        (line('"x":.5'), "not JSON"),
        (line('"x":+1'), "not JSON"),
        (line('"x":/**/1'), "not JSON"),
        (line("'x':1"), "not JSON"),
        (line('"x":1') + line('"x":2'), "not JSON: more follows"),
        (line('"x":1},"y":{"z":2}'), "not JSON: more follows"),
        (b"null", "not a JSON object"),
        (b"1", "not a JSON object"),
        (b'["event"]', "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b'{"event":null,"properties":{"time":1704067200}}', "no event name"),
        (b'{"event":7,"properties":{"time":1704067200}}', "no event name"),
        (b'{"properties":{"time":1704067200}}', "no event name"),
        (b'{"event":"a","properties":null}', "no properties"),
        (b'{"event":"a","properties":[1]}', "no properties"),
        (b'{"event":"a","properties":{}}', "no time"),
        (b'{"event":"a","properties":{"time":1.7e15}}', "no usable time: 1.7e15"),
        (b'{"event":"a","properties":{"time":1704067200000000}}', "no usable time"),
        (b'{"event":"a","properties":{"time":253402300800000}}', "no usable time"),
        (b'{"event":"a","properties":{"time":-62135596800001}}', "no usable time"),
        (b'{"event":"a","properties":{"time":-62135596801}}', "no usable time"),
        (b'{"event":"a","properties":{"time":1e18}}', "no usable time"),
        (b'{"event":"a","properties":{"time":NaN}}', "NaN is not JSON"),
        (b'{"event":"a","properties":{"time":"never"}}', "no usable time"),
        (b'{"event":"a","properties":{"time":true}}', "no usable time"),
        (b'{"event":"a","properties":{"time":[1704067200]}}', "no usable time"),
        (b'{"event":"a","properties":{"time":"bad","time":1704067200}}', "no usable time"),
    ],
    ids=lambda text: text[:70].decode("ascii", "backslashreplace") if isinstance(text, bytes) else "",
)
def test_rejected_with_the_reason_and_no_other_line_is_touched(way, bad, reason):
    good = line('"x":1')
    rows, rejected = way.go(good, bad, good)
    assert [row[4].encode() for row in rows] == [b'{"time":1704067200,"x":1}'] * 2
    assert [kept for kept, _ in rejected] == [bad]
    assert rejected[0][1].startswith(reason)


@pytest.mark.xfail(
    strict=True, reason="DuckDB's parser accepts these, too; looking for them costs a twentieth of the speed"
)
@pytest.mark.parametrize("properties", ['"x":nan', '"x":-inf', '"x":INFINITY'])
def test_other_liberties_of_duckdb_are_rejected_too(way, properties):
    assert [kept for kept, _ in way.go(line(properties))[1]] == [line(properties)]


@pytest.mark.parametrize("shape", [b"%s", b" %s"])
def test_a_lone_surrogate_is_the_one_thing_that_is_changed(way, shape):
    rows, rejected = way.go(shape % line(r'"x\udfff":"\ud800","y":"\ud83d\ude00\\ud800"'))
    assert rejected == []
    assert rows[0][4] == r'{"time":1704067200,"x\ufffd":"\ufffd","y":"\ud83d\ude00\\ud800"}'


@pytest.mark.parametrize(
    ("more", "distinct_id", "insert_id"),
    [
        ('"distinct_id":"d","$insert_id":"i"', "d", "i"),
        ('"distinct_id":5,"$insert_id":6.50', "5", "6.50"),
        ('"distinct_id":null,"$insert_id":null', None, None),
        ('"distinct_id":"","$insert_id":""', "", ""),
        ('"x":1', None, None),
        ('"distinct_id":"\\u0041\\u0000","$insert_id":"\\"q\\""', "A\0", '"q"'),
        ('"distinct_id":[ "a"],"$insert_id":{"b": 1}', '[ "a"]', '{"b": 1}'),
        ('"distinct_id":"first","distinct_id":"second"', "first", None),
    ],
)
def test_ids_are_texts_or_null_and_never_made_up(way, more, distinct_id, insert_id):
    rows, _ = way.go(line(more))
    assert [row[:4] for row in rows] == [("a", dt.datetime(2024, 1, 1), distinct_id, insert_id)]  # noqa: DTZ001 - as stored


@pytest.mark.parametrize(
    ("time", "stored"),
    [
        ("1704067200", "2024-01-01 00:00:00"),
        ("1704067200.25", "2024-01-01 00:00:00.25"),
        ('"1704067200"', "2024-01-01 00:00:00"),
        ("1.7040672E+9", "2024-01-01 00:00:00"),
        ("-1", "1969-12-31 23:59:59"),
        ("-62135596800", "0001-01-01 00:00:00"),
        ("253402300799", "9999-12-31 23:59:59"),
        ("253402300800", "1978-01-11 21:31:40.8"),
        ("1704067200123", "2024-01-01 00:00:00.123"),
        ("1704153599999", "2024-01-01 23:59:59.999"),
        ('"1704067200123"', "2024-01-01 00:00:00.123"),
        ("1704067200123.4565", "2024-01-01 00:00:00.123456"),
        ("-1704067200123", "1916-01-01 23:59:59.877"),
        ("-62135596800000", "0001-01-01 00:00:00"),
        ("253402300799999", "9999-12-31 23:59:59.999"),
    ],
)
def test_times(way, time, stored):
    rows, _ = way.go(f'{{"event":"a","properties":{{"time":{time}}}}}'.encode())
    assert rows[0][1] == dt.datetime.fromisoformat(stored)


def test_names_are_texts_without_their_escapes(way):
    assert way.go(rb'{"event":"a\"\\\n\u0000\u00e9","properties":{"time":1704067200}}')[0][0][0] == 'a"\\\n\0é'


WILD_TIMES = st.one_of(
    st.floats().map(repr),
    st.integers(-(10**16), 10**16).map(str),
    st.integers(10**12, 10**13).map(str),
    st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.text(max_size=6).map(json.dumps),
    st.text("0123456789.+-eE_ x\u00a0\u0661", max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False)),
)


@given(st.lists(WILD_TIMES, min_size=1, max_size=8), st.booleans())
@settings(deadline=None, max_examples=whole(300, 40))
def test_whatever_a_time_is_the_others_of_its_block_are_stored(way, times, again):
    """What the definition accepts the table must take, or one line would end a whole run."""
    bodies = [f'{{"event":"a","properties":{{"time":{time},"again":0,"x":"NaN"}}}}'.encode() for time in times]
    if again:
        bodies = [body.replace(b'"again":0', b'"time":1704067200') for body in bodies]
    bodies = [body.replace(b'"x"', b'"n%d"' % number) for number, body in enumerate(bodies)]
    rows, _ = way.go(*bodies)
    assert len(rows) == sum(map(_is_event, bodies))


def _is_event(body):
    try:
        parse_event(body)
    except NotAnEventError:
        return False
    return True
