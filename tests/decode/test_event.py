"""What an event is, line by line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpanel_async.decode.event import Event, NotAnEventError, parse_event
from mixpanel_async.decode.offsets import find_offsets

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
PROPERTIES = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), JSON, max_size=4)


def why(line):
    with pytest.raises(NotAnEventError) as refused:
        parse_event(line)
    return refused.value


@given(st.text(st.characters(codec="utf-8")), PROPERTIES, st.booleans(), st.sampled_from([(",", ":"), (" , ", ": ")]))
@settings(deadline=None, max_examples=150)
def test_every_event_is_read_word_for_word(name, properties, ascii_only, separators):
    properties = {"time": 1704067200, **properties, "time ": 0} | {"time": 1704067200}
    texts = [json.dumps(part, ensure_ascii=ascii_only, separators=separators).encode() for part in (name, properties)]
    line = b'{"event":%s,"properties":%s}' % tuple(texts)
    event = parse_event(line)
    assert (event.name, event.properties) == (name, texts[1])
    ((first, end, start, last),) = find_offsets(line + b"\n").texts
    assert (line[first:end], line[start:last]) == tuple(texts)
    assert parse_event(b'\t{"properties" :%s,\r"z":[{}],"event": %s }  ' % tuple(reversed(texts))) == event


@given(st.text(st.characters(codec="utf-8")), PROPERTIES, st.integers(0, 10**6))
@settings(deadline=None, max_examples=150)
def test_no_proper_prefix_of_an_event_is_a_whole_line(name, properties, length):
    line = json.dumps({"event": name, "properties": {"time": 1} | properties}, ensure_ascii=False).encode()
    assert not why(line[: length % len(line)]).is_json


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"[1,2]", "not a JSON object"),
        (b"{}", "no event name"),
        (b'{"event":null,"properties":{"time":1}}', "no event name"),
        (b'{"event":5,"properties":{"time":1}}', "no event name"),
        (b'{"event":"a"}', "no properties"),
        (b'{"event":"a","properties":null}', "no properties"),
        (b'{"event":"a","properties":[]}', "no properties"),
        (b'{"event":"a","properties":{}}', "no time"),
        (b'{"event":"a","properties":{"time":NaN}}', "NaN is not JSON"),
        (b'{"event":"a","properties":{"time":1,"x":[-Infinity]}}', "-Infinity is not JSON"),
        (b'{"event":"a","properties":{"time":1,"x":"\xed\xa0\x80"}}', "not UTF-8 at byte 41"),
        (b'{"event":"\xff","properties":{"time":1}}', "not UTF-8 at byte 10"),
    ],
)
def test_whole_lines_that_are_no_events(line, reason):
    assert str(why(line)) == reason
    assert why(line).is_json


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b'{"event":"a","properties":{"time":1}',
        b'{"event":"a","properties":{"time":1}}}',
        b'{"event":"a","properties":{"time":1}} {"event":"b","properties":{"time":1}}',
        b'{"event":"a","properties":{"time":1,}}',
        b'{"event":"a","properties":{"time":1},}',
        b'{"event":"a","properties":{"time":1 "x":2}}',
        b'{"event":"a","properties":{"time":01}}',
        b'{"event":"a","properties":{"time":+1}}',
        b'{"event":"a","properties":{"time":1,"x":nan}}',
        b'{"event":"a","properties":{"time":1,"x":\'y\'}}',
        b'{"event":"a","properties":{"time":1,"x":"\x00"}}',
        b'{"event":"a","properties":{"time":1,"x":"\t"}}',
        b'{"event":"a","properties":{"time":1,"x":"\\x"}}',
        b'{"event":"a" "properties":{"time":1}}',
        b'{"event" "a"}',
        '{"event":"a","properties":{"time":1}}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
    ],
)
def test_lines_that_are_no_json(line):
    assert not why(line).is_json


@pytest.mark.parametrize(
    ("time", "micros"),
    [
        ("0", 0),
        ("-1", -1_000_000),
        ("1.5", 1_500_000),
        ("1e9", 10**15),
        ("1E+9", 10**15),
        ('"1704067200"', 1704067200_000_000),
        ('" 1704067200\\n"', 1704067200_000_000),
        ('"+1704067200"', 1704067200_000_000),
        ('"\\u0031"', 1_000_000),
        ("1704067200.1234564999", 1704067200_123_456),
        ("0.0000005", 0),
        ("0.0000015", 2),
        ("-62135596800", -62135596800_000_000),
        ("253402300799", 253402300799_000_000),
        ("253402300799.999", 253402300799_999_000),
        ("253402300800", 253402300_800_000),
        ("253402300801", 253402300_801_000),
        ("-253402300800", -253402300_800_000),
        ("1767225600123", 1767225600_123_000),
        ('"1767225600123"', 1767225600_123_000),
        ("1767225600123.0", 1767225600_123_000),
        ("1767225600123.4565", 1767225600_123_456),
        ("1767225600123.4575", 1767225600_123_458),
        ("1767225600123.5", 1767225600_123_500),
        ('"+1.767225600123e12"', 1767225600_123_000),
        ("1767311999999", 1767311999_999_000),
        ("-1767225600123", -1767225600_123_000),
        ("-62135596800000", -62135596800_000_000),
        ("253402300799999", 253402300799_999_000),
        ("253402300799999.999", 253402300799_999_999),
        ("1e-400", 0),
        ("-1e-99999999999999999999", 0),
        ("0e99999999999999999999", 0),
    ],
)
def test_usable_times(time, micros):
    properties = f'{{"time":{time}}}'.encode()
    assert parse_event(b'{"event":"a","properties":%b}' % properties) == Event(
        "a", micros, None, None, None, properties
    )


@pytest.mark.parametrize(
    "time",
    ["true", "null", "[1]", "{}", '""', '"never"', '"nan"', '"inf"', '"1_000"', '"\u0661"', '"1\u00a0"', '"0x1"', "-62135596801", "-253402300799", "-62135596800001", "253402300799.9999999", "253402300799999.9999", "253402300800000", "1767225600123000", "1e400", "1e18", "1e99999999999999999999"],
)  # fmt: skip
def test_unusable_times(time):
    refused = why(f'{{"event":"a","properties":{{"time":{time}}}}}'.encode())
    assert str(refused) == f"no usable time: {time}"
    assert refused.is_json


@given(st.integers(253_402_300_800, 253_402_300_799_999), st.sampled_from([1, -1]))
def test_a_time_is_seconds_below_the_year_10000_and_milliseconds_from_there_on(time, sign):
    def micros(time):
        return parse_event(b'{"event":"a","properties":{"time":%d}}' % time).micros

    if sign > 0 or time <= 62_135_596_800_000:
        assert micros(sign * time) == sign * time * 1000
    if sign > 0 or time // 1000 <= 62_135_596_800:
        assert micros(sign * (time // 1000)) == sign * (time // 1000) * 1_000_000


def test_of_two_times_the_first_counts_as_in_duckdb():
    assert str(why(b'{"event":"a","properties":{"time":null,"time":1}}')) == "no usable time: null"
    assert parse_event(b'{"event":"a","properties":{"time":1,"time":null}}').micros == 1_000_000


@pytest.mark.parametrize("number", ["1" * 5000, "18446744073709551616", "12345678901234567890.1", "1e400", "-0.0"])
def test_numbers_stay_as_they_came(number):
    properties = f'{{"time":1,"x":{number}}}'.encode()
    assert parse_event(b'{"event":"a","properties":%s}' % properties).properties == properties


@pytest.mark.parametrize(
    ("escapes", "kept"),
    [
        (r"\ud800", r"\ufffd"),
        (r"\uDFFF", r"\ufffd"),
        (r"\ude00\ud83d", r"\ufffd\ufffd"),
        (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
        (r"\ud83d\ude00", r"\ud83d\ude00"),
        (r"\ud83dA", r"\ufffdA"),
        (r"\\ud800", r"\\ud800"),
        (r"\\\ud800", r"\\\ufffd"),
        (r"\u0000\ud7ff\ue000", r"\u0000\ud7ff\ue000"),
    ],
)
def test_a_lone_surrogate_alone_is_changed(escapes, kept):
    line = rb'{"event":"E","properties":{"time":1,"distinct_id":"E","E":"E"}}'
    event = parse_event(line.replace(b"E", escapes.encode()))
    assert event.properties == rb'{"time":1,"distinct_id":"E","E":"E"}'.replace(b"E", kept.encode())
    assert event.name == event.distinct_id == json.loads(f'"{kept}"')


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('"a"', "a"), ('""', ""), ("null", None), ("12", "12"), ("-0", "-0"), ("1.50", "1.50"), ("1e3", "1e3"),
        ("true", "true"), ('{"a": 1}', '{"a": 1}'), ("[ 1,2 ]", "[ 1,2 ]"), ("9" * 30, "9" * 30), ('"\\u0041"', "A"),
    ],
)  # fmt: skip
def test_an_id_is_a_text_or_is_spelled_as_it_came(value, text):
    event = parse_event(
        f'{{"event":"a","properties":{{"time":1,"distinct_id":{value},"$insert_id":{value}}}}}'.encode()
    )
    assert (event.distinct_id, event.insert_id) == (text, text)


def test_an_event_is_one_at_any_depth():
    properties = b'{"x":%b,"time":1}' % (b'{"y":[' * 50_000 + b"]}" * 50_000)
    assert parse_event(b'{"event":"a","properties":%b}' % properties) == Event("a", 10**6, None, None, None, properties)
    assert not why(b'{"event":"a","properties":%b}' % properties.replace(b"]}]}", b"]}]]", 1)).is_json
