"""What a line may hold, and what Python gets of it."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_async.decode.dicts import DictReader
from mixpanel_async.decode.event import NotAnEventError, parse_event
from mixpanel_async.decode.proven_blocks import SMALL_BLOCK, small_blocks
from mixpanel_async.decode.record_batches import RecordBatchReader
from tests.stream.conftest import event_line, normalized


def read(*lines, raw=True, join=b"\n"):
    """Events and rejected lines of a body of these lines."""
    rejected = []
    reader = DictReader(rejected.append, raw=raw)
    block = join.join(lines) + join
    events = [event for small in small_blocks(block) for event in reader.read(small)]
    reader.end()
    return events, rejected


def batch(*lines):
    """Rows of Arrow and rejected lines of a body of these lines."""
    rejected = []
    reader = RecordBatchReader(rejected.append, pyarrow=pa)
    batches = [batch for small in small_blocks(b"\n".join(lines) + b"\n") for batch in reader.read(small)]
    batches += reader.end()
    for each in batches:
        each.validate(full=True)
    return [row for each in batches for row in each.to_pylist()], rejected


SHAPES = pytest.mark.parametrize("shape", [b"%s", b" %s\r"], ids=["usual", "unusual"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551616", 2**64),
        ("-123456789012345678901234567890", -123456789012345678901234567890),
        ("1" * 4000, int("1" * 4000)),
        ("1" * 5000, Decimal("1" * 5000)),
        ("1e400", Decimal("1e400")),
        ("-1e400", Decimal("-1e400")),
        ("1e-400", 0.0),
        ("0.1", 0.1),
        ("[1,2.5,null,true,{}]", [1, 2.5, None, True, {}]),
        (r'"\ud83d\ude00"', "😀"),
        (r'"x\ud800y"', "x\ufffdy"),
        (r'"\udc00\ud800"', "\ufffd\ufffd"),
        (r'"\\ud800"', r"\ud800"),
        (r'"\u0000"', "\0"),
        ('"\u2028\u0085\x7f"', "\u2028\u0085\x7f"),
    ],
    ids=lambda value: str(value)[:30].encode("ascii", "backslashreplace").decode() if isinstance(value, str) else "",
)
@SHAPES
def test_values_are_kept(text, value, shape):
    neighbours = [event_line('"n":1'), event_line('"n":2')]
    line = shape % event_line(f'"x":{text}')

    events, rejected = read(neighbours[0], line, neighbours[1])

    assert rejected == []
    assert [event["properties"].get("n") for event in events] == [1, None, 2]
    found = events[1]["properties"]["x"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "time",
    [
        "-62135596800",
        "253402300799",
        "0",
        "-1",
        "1767225600.25",
        '"1767225600"',
        "1e9",
        "1767225600123",
        "1767311999999",
        "1767225600123.25",
        '"1767225600123"',
        "-1767225600123",
        "253402300800",
        "8589934592001",
        "253402300799999",
    ],
)
@SHAPES
def test_every_time_that_a_table_takes(time, shape):
    line = shape % event_line(time=time)
    event = read(line, raw=False)[0][0]

    number = float(json.loads(time))
    since = dt.timedelta(seconds=number) if abs(number) < 253402300800 else dt.timedelta(milliseconds=number)
    expected = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + since
    assert event["event_time"] == expected
    assert event["properties"] == {"time": json.loads(time)}
    assert read(line)[0] == [{"event": "e", "properties": {"time": json.loads(time)}}]
    assert batch(line)[0][0]["event_time"] == expected


@given(st.lists(st.integers(0, 2000), min_size=2, max_size=30, unique=True), st.booleans())
def test_the_order_within_a_second_survives(millis, unusual):
    lines = [b" " * unusual + event_line(f'"n":{n}', time=str(1767225600000 + n)) for n in millis]
    for rows in (read(*lines, raw=False)[0], batch(*lines)[0]):
        properties = [row["properties"] for row in sorted(rows, key=lambda row: row["event_time"])]
        numbers = [each["n"] if isinstance(each, dict) else json.loads(each)["n"] for each in properties]
        assert numbers == sorted(millis)


@pytest.mark.parametrize(
    ("properties", "distinct_id", "insert_id"),
    [
        ("", None, None),
        ('"distinct_id":null,"$insert_id":null', None, None),
        ('"distinct_id":"","$insert_id":"a"', "", "a"),
        ('"distinct_id":4,"$insert_id":["é"]', "4", '["é"]'),
    ],
)
def test_ids_are_text_or_none(properties, distinct_id, insert_id):
    for rows in (read(event_line(properties), raw=False)[0], batch(event_line(properties))[0]):
        assert [(row["distinct_id"], row["insert_id"]) for row in rows] == [(distinct_id, insert_id)]


BAD = {
    "NaN": event_line('"x":NaN'),
    "Infinity": event_line('"x":-Infinity'),
    "a trailing comma": event_line('"x":[1,]'),
    "no UTF-8": event_line('"x":"ÿ"').replace("ÿ".encode(), b"\xff"),
    "a raw control character": event_line('"x":"\x01"'),
    "two events on a line": event_line() + event_line(),
    "no object": b"[]",
    "null": b"null",
    "no name": b'{"properties":{"time":1}}',
    "a name that is none": b'{"event":7,"properties":{"time":1}}',
    "no properties": b'{"event":"e"}',
    "properties that are none": b'{"event":"e","properties":[1]}',
    "no time": b'{"event":"e","properties":{}}',
    "microseconds": event_line(time="1767225600000000"),
    "a time that is none": event_line(time="true"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("read_all", [read, lambda *lines: read(*lines, raw=False), batch], ids=["raw", "not", "batch"])
def test_a_line_that_is_no_event_is_rejected_and_touches_no_other(bad, read_all):
    events, rejected = read_all(event_line(), bad, event_line())
    assert len(events) == 2
    assert [(line.line_number, line.line) for line in rejected] == [(2, bad)]


def test_two_lines_that_are_one_event_are_joined():
    for found in (read(event_line(), event_line('"x":"a\nb"'), event_line()), batch(event_line('"x":"a\nb"'))):
        events, rejected = found
        assert rejected == []
    assert json.loads(events[0]["properties"])["x"] == "a\nb"


def test_two_lines_in_two_blocks_are_joined():
    long = event_line(f'"x":"{"y" * SMALL_BLOCK}\nz"')
    events, rejected = read(event_line(), long, event_line())
    assert (len(events), rejected) == (3, [])


def test_a_half_line_without_its_other_half_is_rejected_at_the_end():
    events, rejected = read(event_line(), event_line()[:20])
    assert (len(events), [line.line_number for line in rejected]) == (1, [2])


def test_line_numbers_count_on_through_all_blocks():
    many = [event_line(f'"x":"{"y" * 1000}"')] * 300
    assert [line.line_number for line in read(*many, b"[]", *many, b"{}")[1]] == [301, 602]


@given(st.binary(max_size=200_000).map(lambda text: text.replace(b"\r", b"\n") + b"\n"))
def test_small_blocks_are_the_block_and_its_lines(block):
    small = list(small_blocks(block))
    assert b"".join(each.text for each in small) == block
    assert all(each.text.endswith(b"\n") and each.lines == each.text.count(b"\n") for each in small)
    for each in small:
        heads = [line.startswith(b'{"event":') for line in each.text[:-1].split(b"\n")]
        assert all(heads) or not each.looks_ordinary


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=5), st.text(), st.booleans(), st.booleans())
def test_what_python_reads_and_ours_are_the_same(properties, name, ascii_only, unusual):
    properties = {**properties, "time": 1767225600, "distinct_id": "d"}
    properties.pop("$insert_id", None)
    event = {"event": name, "properties": properties}
    line = json.dumps(event, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    truth = {"event": name, "properties": properties}
    shape = b" " * unusual + line

    assert read(shape) == ([truth], [])
    assert read(shape, raw=False) == ([normalized(truth)], [])
    rows, _ = batch(shape)
    assert json.loads(rows[0].pop("properties")) == normalized(truth).pop("properties")


@given(st.binary(max_size=60))
def test_at_once_or_one_by_one_the_same_lines_are_events(middle):
    """What the fast parser accepts, the definition accepts, too."""
    line = b'{"event":"e","properties":{"time":1767225600,"x":%b}}' % middle.replace(b"\n", b"")
    try:
        parse_event(line)
    except NotAnEventError:
        is_event = False
    else:
        is_event = True
    for events, rejected in (read(line), read(line, raw=False), batch(line)):
        assert (len(events), len(rejected)) == ((1, 0) if is_event else (0, 1))


def test_no_float_becomes_infinite():
    found = read(event_line('"x":[1e308,1e309]'))[0][0]["properties"]["x"]
    assert math.isfinite(found[0])
    assert found[1] == Decimal("1e309")


@pytest.mark.parametrize("shape", [b"%s", b" %s\r"], ids=["usual", "unusual"])
def test_raw_objects_keep_their_other_members(shape):
    line = b'{"event":"e","properties":{"time":1767225600},"more":{"a":[1]},"\\ud800":2}'
    events, rejected = read(shape % line, event_line())
    assert rejected == []
    assert {name: value for name, value in events[0].items() if name in ("event", "more")} == {
        "event": "e",
        "more": {"a": [1]},
    }
    assert set(events[0]) == {"event", "properties", "more", "\ufffd"}
