"""Table, stream and record batches agree on any line: whether it is an event, and each value.

The known gaps are left out: a name that occurs twice in one object, and `nan` and `inf` in other spellings than `NaN` and
`Infinity`. docs/guarantees.md names both.
"""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mixpanel_async.decode.dicts import DictReader
from mixpanel_async.decode.event_batches import decode
from mixpanel_async.decode.proven_blocks import small_blocks
from mixpanel_async.decode.record_batches import RecordBatchReader
from mixpanel_async.decode.strict_json import parse
from mixpanel_async.errors import ConnectionLostError, ServerError

from .memory_table import END, MemoryTable

LAST = b'{"event":"last","properties":{"time":1704067200}}'
BROKEN_OFF = "broken off"
GZIP = b"\x1f\x8b"

TOKENS = [
    "1704067200", "1704067200.5", "1704067200.0000005", "1704067200.0000015", "-1", "0", "-0", "1e9", "1.7e9", "99999999e2",
    "9999999e10", "1_00", "-62135596801", "-62135596800",
    "1704067200000", "1704067200123", "1704153599999", "1704067200123.4565", "1704067200123.0", "-1704067200123", "1.704067200123e12",
    "253402300799", "253402300799.9999999", "253402300800", "253402300801", "-253402300799", "-253402300800", "999999999999",
    "1000000000000", "9999999999999", "8589934591999", "8589934592000", "8589934592001", "253402300799999", "253402300799999.9999", "253402300800000",
    "-62135596800000", "-62135596800001", "0001704067200",
    '"1_704067e3"', '"1_704067200e3"', '"0x18CC2517AFB"', '"00\\u0080\\u0080\\u0080\\u0080"', '"1704067200123"', '"0001704067200"', '"17040672001.3"', '" 170406720012"', '" 1704067200123"',
    '"1704067200"', '" 1704067200 "', '"+1704067200"',
    '"1_704_067_200"', '"1704067200 "', '"17040672e2"', '"never"', '"\\u0661"', "true", "null", "[1]", "{}", "NaN",
    "-Infinity", "[1,]", "[1, ]", '"NaN"', "1.50", "12.0", "-5", "123456789012345678901234567890", "1e400", "01", "+1",
    ".5", "1.", '{"a": 1}', "[ 1,2]", '{"a":{"b":[null]}}', '"a"', '""', '" "', '"5e3"', '"5e3c9"', '"1.50"', '"[x"', '"{x"', '"-x"',
    '"007"', '"\\u0041"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\x"', '"\x01"', '"é"', '"\\"q\\""', '"a\\u0000b"', "'x'",
    "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, "[" * 3000 + "]" * 2999,
]  # fmt: skip
TOKEN = (
    st.sampled_from(TOKENS)
    | st.text(max_size=6).map(json.dumps)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
)
NAMES = ["time", "distinct_id", "$insert_id", "mp_processing_time_ms", "x", "éé", "event", "properties"]


@st.composite
def shaped(draw):
    """A line of the shape of an event, with any values in its places."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=6))
    values = {name: draw(TOKEN) for name in names}
    if draw(st.booleans()):
        values = {"time": "1704067200"} | {name: value for name, value in values.items() if name != "time"}
    comma, colon = draw(st.sampled_from([(",", ":"), (", ", ": "), (",\t", " :")]))
    properties = "{" + comma.join(f'"{name}"{colon}{value}' for name, value in values.items()) + "}"
    name = draw(st.sampled_from(['"e"', '"e"', '"e"', "null", "5", '""']) | st.text(max_size=5).map(json.dumps))
    members = draw(
        st.sampled_from([("event", "properties"), ("properties", "event"), ("event", "properties", "z"), ("event",)])
    )
    texts = {"event": name, "properties": properties, "z": '{"time":1}'}
    line = "{" + comma.join(f'"{member}"{colon}{texts[member]}' for member in members) + "}"
    return line.encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw):
    """A line with some bytes taken out, doubled, or put in."""
    line = bytearray(draw(shaped()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(line)))
        line[at : at + draw(st.integers(0, 2))] = draw(
            st.binary(max_size=2) | st.sampled_from([b",", b"}", b"\\", b'"', b"\xff", b"{", b" ", b"\xef\xbb\xbf"])
        )
    return bytes(line).replace(b"\n", b"")


LINE = shaped() | damaged() | st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))


class Table(MemoryTable):
    """The way of a table."""

    def read(self, body):
        chunk = self.new_chunk(deduplicate=False)
        try:
            chunk.load(list(decode([body])))
        except (ConnectionLostError, ServerError):
            chunk.roll_back()
            return BROKEN_OFF
        chunk.end(END)
        columns = "event_name, epoch_us(event_time), distinct_id, insert_id, properties"
        rows = self.query(f"SELECT {columns} FROM events ORDER BY rowid")
        rejected = self.query("SELECT line_number, line FROM _mixpanel_rejected")
        return sorted(rows, key=repr), sorted(rejected)


def streamed(reader, body):
    """What a stream's reader makes of a body, and the lines that it rejects."""
    rejected = []
    made = reader(rejected.append)
    try:
        found = [each for block in small_blocks(body) for each in made.read(block)]
        found += made.end()
    except (ConnectionLostError, ServerError):
        return BROKEN_OFF
    return found, sorted((line.line_number, line.line) for line in rejected)


def flat(value):
    """A value as text, nested to any depth."""
    texts, waiting = [], [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (dict, list)):
            texts.append(f"{type(value).__name__}{len(value)}")
            waiting += [part for item in value.items() for part in item] if isinstance(value, dict) else value
        else:
            texts.append(repr(value))
    return " ".join(texts)


def micros(time):
    return (time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def batches_of(body):
    read = streamed(lambda reject: RecordBatchReader(reject, pyarrow=pa), body)
    if read == BROKEN_OFF:
        return read
    rows = [row for batch in read[0] for row in batch.to_pylist()]
    return sorted(
        (
            (row["event_name"], micros(row["event_time"]), row["distinct_id"], row["insert_id"], row["properties"])
            for row in rows
        ),
        key=repr,
    ), read[1]


def dicts_of(body):
    read = streamed(lambda reject: DictReader(reject, raw=False), body)
    if read == BROKEN_OFF:
        return read
    rows = [
        (row["event_name"], micros(row["event_time"]), row["distinct_id"], row["insert_id"], flat(row["properties"]))
        for row in read[0]
    ]
    return sorted(rows, key=repr), read[1]


def objects_of(body):
    read = streamed(lambda reject: DictReader(reject, raw=True), body)
    return read if read == BROKEN_OFF else (sorted(flat(each["properties"]) for each in read[0]), read[1])


@pytest.fixture(scope="module")
def table():
    table = Table()
    yield table
    table.close()


@given(st.lists(LINE, min_size=1, max_size=3))
@settings(deadline=None, max_examples=400)
@example([b'{"event":"a","properties":{"time":1704067200,"x":1},"x":{"time":1}}'])
@example([b'{"event":"a","properties":{"time":1704067200}'])
@example([GZIP])
@example([b'{"event":"a","properties":{"time":1704067200,"x":"', b'"}}'])
def test_any_lines(table, lines):
    body = b"\n".join([*lines, LAST]) + b"\n"
    if body.startswith(GZIP):  # only the table's way gunzips here
        return

    stored = table.read(body)

    assert batches_of(body) == stored
    if stored == BROKEN_OFF:
        assert dicts_of(body) == objects_of(body) == BROKEN_OFF
        return
    rows, rejected = stored
    as_dicts = [(*row[:4], flat(parse(row[4].encode()))) for row in rows]
    assert dicts_of(body) == (sorted(as_dicts, key=repr), rejected)
    assert objects_of(body) == (sorted(row[4] for row in as_dicts), rejected)


@given(
    st.lists(
        st.integers(253_402_300_800, 253_402_300_799_999) | st.integers(0, 253_402_300_799), min_size=1, max_size=40
    )
)
@settings(deadline=None, max_examples=100)
def test_any_times(table, times):
    test_any_lines.hypothesis.inner_test(
        table, [b'{"event":"e","properties":{"time":%d,"n":%d}}' % (time, n) for n, time in enumerate(times)]
    )


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:20].encode("ascii", "backslashreplace").decode())
@pytest.mark.parametrize("name", ["time", "distinct_id", "$insert_id", "x"])
def test_each_value_in_each_place(table, name, token):
    time = "" if name == "time" else '"time":1704067200,'
    test_any_lines.hypothesis.inner_test(
        table, [b'{"event":"e","properties":{%b"%b":%b}}' % (time.encode(), name.encode(), token.encode("utf-8"))]
    )
