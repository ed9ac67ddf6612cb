"""The strict and patient judge of a single line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpanel_async.decode.event import NoEventError, join_lines, read_line
from mixpanel_async.decode.offsets import cut

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
    with pytest.raises(NoEventError) as refused:
        read_line(line)
    return refused.value


@given(st.text(st.characters(codec="utf-8")), PROPERTIES, st.booleans(), st.sampled_from([(",", ":"), (" , ", ": ")]))
@settings(deadline=None, max_examples=150)
def test_every_event_is_read_word_for_word(name, properties, ascii_only, separators):
    properties = {"time": 1704067200, **properties, "time ": 0} | {"time": 1704067200}
    texts = [json.dumps(part, ensure_ascii=ascii_only, separators=separators).encode() for part in (name, properties)]
    line = b'{"event":%s,"properties":%s}' % tuple(texts)
    assert read_line(line) == tuple(texts)
    ((first, end, start, last),) = cut(line + b"\n").offsets
    assert (line[first:end], line[start:last]) == tuple(texts)
    assert read_line(b'\t{"properties" :%s,\r"z":[{}],"event": %s }  ' % tuple(reversed(texts))) == tuple(texts)


@given(st.text(st.characters(codec="utf-8")), PROPERTIES, st.integers(0, 10**6))
@settings(deadline=None, max_examples=150)
def test_no_proper_prefix_of_an_event_is_a_whole_line(name, properties, length):
    line = json.dumps({"event": name, "properties": {"time": 1} | properties}, ensure_ascii=False).encode()
    assert why(line[: length % len(line)]).broken


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
        (b'{"event":"a","properties":{}}', "no usable time: null"),
        (b'{"event":"a","properties":{"time":NaN}}', "NaN is no JSON"),
        (b'{"event":"a","properties":{"time":1,"x":[-Infinity]}}', "-Infinity is no JSON"),
        (b'{"event":"a","properties":{"time":1,"x":"\xed\xa0\x80"}}', "not UTF-8 at byte 41"),
        (b'{"event":"\xff","properties":{"time":1}}', "not UTF-8 at byte 10"),
        (b'{"event":"a","properties":{"time":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "nested too deeply"),
    ],
)
def test_whole_lines_that_are_no_events(line, reason):
    assert str(why(line)) == reason
    assert not why(line).broken


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
    assert why(line).broken


@pytest.mark.parametrize(
    "time", ["0", "-1", "1.5", "1e9", "1E+9", '"1704067200"', "-62135596800", "253402300799.999", "1e-400"]
)
def test_usable_times(time):
    line = f'{{"event":"a","properties":{{"time":{time}}}}}'.encode()
    assert read_line(line)[1] == f'{{"time":{time}}}'.encode()


@pytest.mark.parametrize(
    "time",
    ["true", "null", "[1]", "{}", '""', '"never"', '"nan"', '"inf"', '"1_000"', '"\u0661"', '"1\u00a0"', '"0x1"', "1704067200000", "-62135596801", "253402300800", "1e400", "1e18"],
)  # fmt: skip
def test_unusable_times(time):
    refused = why(f'{{"event":"a","properties":{{"time":{time}}}}}'.encode())
    assert str(refused) == f"no usable time: {time}"
    assert not refused.broken


def test_of_two_times_the_first_counts_as_in_duckdb():
    assert str(why(b'{"event":"a","properties":{"time":null,"time":1}}')) == "no usable time: null"
    assert read_line(b'{"event":"a","properties":{"time":1,"time":null}}')[1] == b'{"time":1,"time":null}'


@pytest.mark.parametrize("number", ["1" * 5000, "18446744073709551616", "12345678901234567890.1", "1e400", "-0.0"])
def test_numbers_stay_as_they_came(number):
    properties = f'{{"time":1,"x":{number}}}'.encode()
    assert read_line(b'{"event":"a","properties":%s}' % properties)[1] == properties


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
    line = rb'{"event":"E","properties":{"time":1,"E":"E"}}'
    given = read_line(line.replace(b"E", escapes.encode()))
    wanted = line.replace(b"E", kept.encode())
    assert b'{"event":%s,"properties":%s}' % given == wanted


def test_two_halves_are_joined_with_the_newline_that_cut_them():
    assert join_lines(b'{"event":"a', b'b","properties":{"time":1}}') == (rb'"a\nb"', b'{"time":1}')
    assert join_lines(b'{"event":"a",', b' "properties":{"time":1}}') == (b'"a"', b'{"time":1}')
    assert join_lines(b'{"event":"a', b"nonsense") is None
    assert join_lines(b'{"event":"a","properties":{"time":"', b'"}}') is None
