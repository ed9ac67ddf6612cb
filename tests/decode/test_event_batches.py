"""A body is whole, or that is noticed; and how it was cut up on its way changes nothing."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from itertools import accumulate, pairwise
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpanel_async.decode import cut_event, event_batches, lines, slow_parser
from mixpanel_async.decode import gunzip as gunzipping
from mixpanel_async.decode.ending import BrokenEndError
from mixpanel_async.decode.event import parse_event
from mixpanel_async.decode.event_batches import decode
from mixpanel_async.decode.gunzip import gunzip
from mixpanel_async.decode.lines import Blocks
from mixpanel_async.errors import ConnectionLostError, ServerError

TIME = b"1704067200"


def event(name="sign up", more=b""):
    return b'{"event":"%s","properties":{"time":%s%s}}' % (name.encode(), TIME, more)


GOOD = event("good")
LAST = event("last")
BAD = event("\x01").replace(b"\x01", b"\xff")  # no UTF-8: where its shape is usual, DuckDB finds it


def read(*pieces):
    """All that a body gives: its events in order, each as name and properties, and its rejected lines by number."""
    events, rejected = [], {}
    for batch in decode(pieces):
        if batch.unparsed is not None:
            texts = batch.unparsed.column("texts").to_pylist()
            events += [(json.loads(name), properties) for name, _, properties, _ in texts]
        if batch.parsed is not None:
            texts = batch.parsed.column("texts").to_pylist()
            names = batch.parsed.column("event_name").to_pylist()
            events += [(name, properties) for name, (_, _, properties, _) in zip(names, texts, strict=True)]
        rejected |= {line.line_number: line.line for line in batch.rejected}
    return events, rejected


def names(*pieces):
    return [name for name, _ in read(*pieces)[0]]


def cut(body, points):
    """A body in pieces."""
    edges = [0, *sorted(point % (len(body) + 1) for point in points), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def many_members(texts):
    return b"".join(map(gzip.compress, texts))


# The end of a body


BODY = b"".join(event(f"event {number}") + b"\n" for number in range(20))


def flushed(text, every=90):
    """Gzip with a flush after each whole line or so: a cut there leaves whole lines and nothing half said."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts = [
        packer.compress(text[at : at + every]) + packer.flush(zlib.Z_FULL_FLUSH) for at in range(0, len(text), every)
    ]
    return b"".join(parts) + packer.flush()


@pytest.mark.parametrize("body", [gzip.compress(BODY), flushed(BODY, len(BODY) // 20)], ids=["plain gzip", "flushed"])
def test_every_proper_prefix_of_a_gzip_body_is_noticed(body):
    assert len(read(body)[0]) == 20
    for length in range(1, len(body)):
        with pytest.raises(ConnectionLostError):
            read(body[:length])


@given(st.binary(max_size=400), st.lists(st.integers(0, 10**6), max_size=4), st.integers(1, 10**6))
@settings(deadline=None, max_examples=150)
def test_a_prefix_of_any_gzip_is_noticed_however_it_comes(text, points, length):
    body = gzip.compress(text)
    assert b"".join(gunzip(cut(body, points))) == text
    with pytest.raises(ConnectionLostError):
        read(*cut(body[: max(1, length % len(body))], points))


@pytest.mark.parametrize("missing", range(1, 9))
def test_a_missing_piece_of_the_trailer_is_noticed_though_every_line_is_whole(missing):
    with pytest.raises(ConnectionLostError, match="without a trailer"):
        read(gzip.compress(BODY)[:-missing])


@pytest.mark.parametrize("place", [-1, -2, -4, -5, -6, -8])
def test_a_wrong_check_sum_or_length_is_noticed(place):
    body = bytearray(gzip.compress(BODY))
    body[place] ^= 1
    with pytest.raises(ConnectionLostError, match="damaged"):
        read(bytes(body))


def test_a_flipped_byte_never_changes_an_event():
    """A few bytes of the header say nothing (its time, its system); any other flip is damage."""
    whole, body = read(gzip.compress(BODY)), gzip.compress(BODY)
    silent = set()
    for place in range(len(body)):
        flipped = bytearray(body)
        flipped[place] ^= 0x55
        try:
            assert read(bytes(flipped)) == whole
        except ConnectionLostError:
            continue
        silent.add(place)
    assert silent <= {4, 5, 6, 7, 8, 9}


def test_a_plain_body_cut_within_its_last_line_is_noticed():
    body = GOOD + b"\n" + LAST
    for length in range(len(GOOD) + 2, len(body)):
        with pytest.raises(ConnectionLostError):
            read(body[:length])


def test_a_damaged_body_raises_after_its_good_blocks():
    with mock.patch.object(event_batches, "BLOCK_SIZE", 10):
        given = decode([gzip.compress(BODY), gzip.compress(BODY)[:-3]])
        assert next(given).unparsed.num_rows == 20
        with pytest.raises(ConnectionLostError):
            list(given)


# What counts as gzip


def test_gzip_is_known_by_its_first_bytes_and_a_plain_body_is_read_too():
    assert names(gzip.compress(GOOD)) == names(GOOD) == ["good"]
    assert names(gzip.compress(GOOD)[:1], gzip.compress(GOOD)[1:]) == ["good"]


@pytest.mark.parametrize("body", [(), (b"",), (b"", b""), (gzip.compress(b""),), (b"\n",), (b"\r\n \n",)])
def test_an_empty_day_is_whole(body):
    assert read(*body) == ([], {})


@given(st.lists(st.integers(0, 10**6), max_size=6))
@settings(deadline=None, max_examples=60)
def test_all_members_of_a_gzip_are_read_wherever_it_is_split(points):
    body = many_members([GOOD + b"\n", b"", event("half")[:20], event("half")[20:] + b"\n", LAST])
    assert names(*cut(body, points)) == ["good", "half", "last"]


def test_the_second_member_must_be_whole_too():
    body = many_members([GOOD + b"\n", LAST + b"\n"])
    begin = len(gzip.compress(GOOD + b"\n"))
    assert names(body[:begin]) == ["good"]  # a cut exactly between members cannot be seen in the bytes
    for length in range(begin + 1, len(body)):
        with pytest.raises(ConnectionLostError):
            read(body[:length])


@pytest.mark.parametrize("padding", [(b"\0" * 64,), (b"\0", b"\0" * 9, b"\0"), (b"",)])
def test_zeros_after_a_gzip_are_padding(padding):
    assert names(gzip.compress(GOOD), *padding) == ["good"]


@pytest.mark.parametrize("garbage", [b"garbage!", b"\0\0x", b"\n", GOOD])
def test_anything_else_after_a_gzip_is_damage(garbage):
    for body in ((gzip.compress(GOOD) + garbage,), (gzip.compress(GOOD), garbage)):
        with pytest.raises(ConnectionLostError):
            read(*body)


@given(st.integers(1, 300), st.integers(1, 2000), st.integers(1, 300), st.sampled_from([b"a", GOOD]))
@settings(deadline=None, max_examples=100)
def test_gunzip_yields_all_text_in_steps_of_limited_size(most, repeats, piece, text):
    body = gzip.compress(text * repeats)
    with mock.patch.object(gunzipping, "_STEP_SIZE", most):
        pieces = list(gunzip(cut(body, range(0, len(body), piece))))
    assert b"".join(pieces) == text * repeats
    assert all(len(each) <= most for each in pieces)


def test_a_zip_bomb_needs_little_memory():
    bomb = gzip.compress(b"\n" * (64 << 20))
    assert len(bomb) < 100_000
    sizes = [len(block) for block in Blocks(gunzip([bomb]))]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= lines.BLOCK_SIZE + gunzipping._STEP_SIZE


# Lines and blocks


def test_lines_are_read_word_for_word():
    unusual = b' { "properties" : {"time":5.0,"b":1e400,"a":[1, 2]} , "event":"a\\u0041" }'
    assert read(b"\n" + GOOD + b"\r\n" + unusual + b"\n\n" + LAST) == (
        [
            ("good", '{"time":1704067200}'),
            ("aA", '{"time":5.0,"b":1e400,"a":[1, 2]}'),
            ("last", '{"time":1704067200}'),
        ],
        {},
    )


def test_a_byte_order_mark_is_taken_off_any_line():
    mark = b"\xef\xbb\xbf"
    assert names(mark + GOOD) == ["good"]
    assert read(mark + GOOD + b"\n" + mark + event() + b"\n" + LAST + b"\n" + mark + BAD + b"\n") == (
        [("good", '{"time":1704067200}'), ("sign up", '{"time":1704067200}'), ("last", '{"time":1704067200}')],
        {4: BAD},
    )


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x7f"])
def test_only_a_newline_ends_a_line(sign):
    text = event(more=f',"x":"a{sign}b"'.encode())
    assert len(read(text + b"\n" + LAST)[0]) == 2


RAW = {
    "one break": ("one\ntwo", "one\\ntwo"),
    "five breaks": ("\n1\n2\n3\n4\n", "\\n1\\n2\\n3\\n4\\n"),
    "an empty line": ("a\n\nb", "a\\n\\nb"),
    "blank lines": ("a\n \n\t\nb", None),
    "returns": ("a\r\nb\r\n\r\nc", "a\\r\\nb\\r\\n\\r\\nc"),
    "brackets": ("a}}\n{b]\n[[", "a}}\\n{b]\\n[["),
    "quotes": ('\\"a\n\\"b\\\\\n"', None),
    "escapes": ('\\"a\n\\"b\\\\\nc', '\\"a\\n\\"b\\\\\\nc'),
    "words of Mixpanel's": ("a\nterminated early\n", "a\\nterminated early\\n"),
    "numbers": ("a\n5\nnull\n", "a\\n5\\nnull\\n"),
}


@pytest.mark.parametrize("block", [1, 20, 1 << 20])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("raw", "text"), RAW.values(), ids=RAW)
def test_an_event_with_raw_line_breaks_is_one_event(raw, text, last, end, block):
    broken = b'{"event":"a","properties":{"time":1,"x":"%s"}}' % raw.encode()
    body = b"\n".join([GOOD, broken, *([] if last else [LAST])]) + end
    with mock.patch.object(event_batches, "BLOCK_SIZE", block):
        if text is None and last:
            with pytest.raises(BrokenEndError):
                read(*cut(body, range(0, 500, 7)))
            return
        events, rejected = read(*cut(body, range(0, 500, 7)))
    pieces = [line.removesuffix(b"\r") for line in broken.split(b"\n")]
    if text is None:  # not an event for another reason: then all its lines are kept
        assert [name for name, _ in events] == ["good", "last"]
        assert rejected == dict(enumerate(pieces, 2))
    else:
        assert events[1] == ("a", f'{{"time":1,"x":"{text}"}}')
        assert rejected == {}


def test_line_breaks_between_values_do_not_cut_an_event():
    pretty = json.dumps({"event": "a", "properties": {"time": 1, "x": [1, {}]}}, indent=1).encode()
    assert json.loads(read(pretty + b"\n" + GOOD)[0][0][1]) == {"time": 1, "x": [1, {}]}
    assert names(pretty.replace(b"\n", b"\r\n\r\n")) == ["a"]


def test_a_line_break_within_a_number_or_an_escape_is_not_mended():
    number, escape = (b'{"event":"a","properties":{"time":1%s}}' % more for more in (b"\n7", b',"x":"a\\\nn"'))
    for broken in (number, escape):
        assert read(broken + b"\n" + LAST)[1] == dict(enumerate(broken.split(b"\n"), 1))


def test_an_event_that_is_not_ended_takes_no_other_with_it():
    pieces = [b'{"event":"a","properties":{"x":"one', b"", b"two"]
    body = b"\n".join([*pieces, b"", b"", GOOD, LAST])
    assert read(body) == (
        [("good", '{"time":1704067200}'), ("last", '{"time":1704067200}')],
        dict(enumerate(pieces, 1)),
    )


def test_an_event_that_never_ends_is_bounded_by_the_longest_line(monkeypatch):
    monkeypatch.setattr(cut_event, "LINE_MAX", 1000)
    lines = [b'{"event":"a', *[b"x" * 99] * 30, b'"}']
    _, rejected = read(b"\n".join([*lines, LAST]))
    assert list(rejected.values()) == lines
    assert list(rejected) == list(range(1, len(lines) + 1))


def test_many_lines_that_never_end_an_event_are_each_looked_at_once():
    """A hundred thousand lines take seconds if all that came before is parsed again with each."""
    lines = [b'{"event":"a","properties":{"x":[', *[b'"]",'] * 100_000]
    with mock.patch.object(slow_parser, "parse_event", mock.Mock(wraps=parse_event)) as parsing:
        assert len(read(b"\n".join([*lines, LAST]))[1]) == len(lines)
    assert sum(len(call.args[0]) for call in parsing.call_args_list) < 3 * sum(map(len, lines))


def test_an_event_of_many_lines_takes_no_longer_a_line_than_one_of_few():
    """If all that came before were looked at with each line, this would take an hour."""
    text = "\\n".join(["x"] * 90_000)
    assert read(event(more=b',"x":"%s"' % text.replace("\\n", "\n").encode()))[0][0][1].endswith(text + '"}')


def test_an_event_of_too_many_lines_is_rejected(monkeypatch):
    monkeypatch.setattr(cut_event, "LINES_MAX", 100)
    assert len(read(event(more=b',"x":"%s"' % b"\n" * 150) + b"\n" + LAST)[1]) == 151


@pytest.mark.parametrize("truncated", [GOOD[:-2], b'{"event":"a","properties":{"time":1,"x":[1,2}}', GOOD[:-9] + b'"'])
def test_a_truncated_line_takes_no_event_with_it_that_was_cut_apart(truncated):
    cut_apart = event("cut", b',"x":"a\nterminated early\nb"')
    body = b"\n".join([truncated, cut_apart, truncated, GOOD, LAST])
    events, rejected = read(body)
    assert [name for name, _ in events] == ["cut", "good", "last"]
    assert rejected == {1: truncated, 5: truncated}


def test_a_break_off_within_an_event_is_one():
    cut_off = b'{"event":"a","properties":{"x":"one\nterminated early\n'
    for body in (cut_off, cut_off + LAST):
        with pytest.raises(ConnectionLostError, match="terminated early"):
            read(body)


def test_two_bad_neighbours_that_make_no_event_are_two_bad_lines():
    assert read(b"bad\nworse\n" + GOOD) == ([("good", '{"time":1704067200}')], {1: b"bad", 2: b"worse"})


ELEMENTS = {
    "event": ([GOOD], [("good", '{"time":1704067200}')], {}),
    "unusual event": (
        [b' {"properties":{"time": 1},"event":"x","z":0}\r'],
        [("x", '{"time": 1}')],
        {},
    ),
    "blank": ([b"  \r"], [], {}),
    "no JSON": ([b"nonsense"], [], {0: b"nonsense"}),
    "bad UTF-8": ([b" " + BAD], [], {0: b" " + BAD}),
    "no object": ([b"[1]"], [], {0: b"[1]"}),
    "cut by a newline": (
        [b'{"event":"c","properties":{"time":1,"x":"', b'y"}}'],
        [("c", '{"time":1,"x":"\\ny"}')],
        {},
    ),
}


@given(
    st.lists(st.sampled_from(sorted(ELEMENTS)), max_size=12),
    st.lists(st.integers(0, 10**6), max_size=8),
    st.integers(1, 400),
    st.booleans(),
)
@settings(deadline=None, max_examples=200)
def test_how_bytes_arrive_and_block_sizes_change_nothing(elements, points, block, zipped):
    chosen = [*(ELEMENTS[name] for name in elements), ([LAST], [("last", '{"time":1704067200}')], {})]
    starts = accumulate((len(lines) for lines, _, _ in chosen), initial=1)
    events, rejected = [], {}
    for start, (_, gives, refuses) in zip(starts, chosen, strict=False):
        events += gives
        rejected |= {start + at: refuses[at] for at in refuses}
    body = b"\n".join(line for lines, _, _ in chosen for line in lines)
    with mock.patch.object(event_batches, "BLOCK_SIZE", block):
        assert read(*cut(gzip.compress(body) if zipped else body, points)) == (events, rejected)


def test_an_unusual_line_does_not_make_the_others_of_its_block_slow():
    body = [event(f"event {number}", b',"x":"' + b"x" * 900 + b'"') for number in range(2000)]
    body[700] = b" " + body[700]
    one_by_one = []
    with mock.patch.object(slow_parser, "parse_event", lambda line: one_by_one.append(line) or parse_event(line)):
        events, rejected = read(b"\n".join(body))
    assert rejected == {}
    assert [name for name, _ in events] == [f"event {number}" for number in range(2000)]
    assert body[700] in one_by_one
    assert len(one_by_one) < 40


# What stands in a 200 and is no event


@pytest.mark.parametrize(
    "words",
    [
        b"terminated early",
        b"export terminated early",
        b"terminated early.",
        b" terminated early\r",
        b'"terminated early"',
        b"[terminated early]",
        b'["export terminated early."]',
    ],
)
@pytest.mark.parametrize("body", [b"%s", b"%s\n", GOOD + b"\n%s", GOOD + b"\n%s\n", GOOD + b"\n%s\n" + LAST + b"\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_terminated_early_is_an_error_in_any_place(words, body, pack):
    with pytest.raises(ConnectionLostError, match="terminated early"):
        read(pack(body % words))


@pytest.mark.parametrize(
    "line",
    [
        b'{"error":"no more"}',
        b'{"error": "no more"',
        b'{"request":"/api","error":"no more"}',
        b'{"status":"error","error":"no more"}',
        b'{"status":"error","message":"no more"}',
    ],
)
@pytest.mark.parametrize("body", [b"%s", GOOD + b"\n%s\n", GOOD + b"\n%s\n" + LAST])
def test_an_error_in_the_body_is_no_event_and_no_bad_line(line, body):
    with pytest.raises(ServerError, match="no more"):
        read(body % line)


def test_an_event_may_speak_of_errors():
    body = b'{"event":"terminated early","properties":{"time":1,"error":"x"},"error":"y"}\n' + event("error")
    assert names(body) == ["terminated early", "error"]


NO_EVENTS = [
    b" " + event(more=b',"x":NaN'),
    b" " + event(more=b',"x":-Infinity'),
    b" " + BAD,
    b' {"event":"x","properties":{"time":"never"}}',
    b'{"event":null,"properties":{"time":1}}',
    b'{"event":"x"}',
    b'{"properties":{"time":1}}',
]


@pytest.mark.parametrize("last", NO_EVENTS)
def test_a_whole_last_line_that_is_meant_to_be_an_event_is_rejected_and_not_requested_again(last):
    assert read(GOOD + b"\n" + last) == ([("good", '{"time":1704067200}')], {2: last})


OTHER_JSON = [
    b"null", b"5", b'"text"', b"[]", b"{}", b'{"message":"Internal error","code":503}', b'{"errors":["x"]}', b"true",
]  # fmt: skip


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\n \n"])
@pytest.mark.parametrize("last", OTHER_JSON)
def test_a_last_line_that_is_other_json_is_a_response_that_was_broken_off(last, end):
    for known in (None, last):
        with pytest.raises(ConnectionLostError, match=r"its last line is not an event: " + re.escape(last.decode())):
            list(decode([GOOD + b"\n" + last + end], known))
    assert read(GOOD + b"\n" + last + b"\n" + LAST)[1] == {2: last}


BROKEN = {
    "half an event": event("half")[:20],
    "words": b"half an event",
    "a tab and a quote": event(more=b',"x":"\t""'),
    "a bad escape": event(more=b',"x":"\\x"'),
    "an open text": event(more=b',"x":"y'),
    "too many brackets": event() + b"}}",
    "several lines": b'{"event":"a\n\nb\n"x',
}


@pytest.mark.parametrize("block", [1, 1 << 20])
@pytest.mark.parametrize("last", BROKEN.values(), ids=BROKEN)
def test_a_broken_last_line_is_bad_if_it_came_before_in_a_whole_body_and_cut_otherwise(last, block):
    body = GOOD + b"\n" + last + b"\n"
    with mock.patch.object(event_batches, "BLOCK_SIZE", block):
        with pytest.raises(BrokenEndError) as caught:
            list(decode([body]))
        assert caught.value.end == last
        batches = list(decode([body], last))
        rejected = [line.line for batch in batches for line in batch.rejected]
        assert rejected == last.split(b"\n")
        for other in (body[:-1], GOOD + b"\n" + last[:-1] + b"\n"):
            with pytest.raises(BrokenEndError) as caught:
                list(decode([other], last))
        assert caught.value.end == last[:-1]


def test_a_lone_surrogate_in_the_last_line_becomes_a_replacement_character():
    assert read(b" " + event(more=b',"x":"\\uD800"'))[0] == [("sign up", '{"time":1704067200,"x":"\\ufffd"}')]


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("block", [1, 60, 200])
@pytest.mark.parametrize("long", [b'{"long' + b"x" * 4000, event(more=b" " * 4000), b'{"event":"cut"\n' + b"y" * 4000])
def test_a_line_that_is_too_long_is_rejected_and_touches_no_other(place, block, long):
    before, _, line = long.rpartition(b"\n")
    body = b"\n".join([*[GOOD] * place, long, *[LAST] * 3]) + b"\n"
    with mock.patch.object(lines, "LINE_MAX", 1000), mock.patch.object(event_batches, "BLOCK_SIZE", block):
        batches = list(decode(cut(body, range(0, 6000, 50))))
        events, _ = read(*cut(body, range(0, 6000, 50)))
    assert [name for name, _ in events] == ["good"] * place + ["last"] * 3
    *others, rejected = [line for batch in batches for line in batch.rejected]
    assert [other.line for other in others] == [before] * bool(before)
    assert (rejected.line_number, rejected.line) == (place + len(others) + 1, line[:500])
    assert rejected.reason == f"longer than 1000 bytes: it has {len(line)}, and only its beginning is kept"


@pytest.mark.parametrize("size", [20, 100, 1 << 20])
@pytest.mark.parametrize("piece", [7, 50, 5000])
@pytest.mark.parametrize("more", [-1, 0, 1, 30])
def test_how_long_is_too_long_depends_on_the_line_alone(size, piece, more):
    long = b"x" * (1000 + more)
    body = b"\n".join([GOOD, GOOD, long, GOOD]) + b"\n"
    with mock.patch.object(lines, "LINE_MAX", 1000):
        found = list(Blocks(cut(body, range(0, 6000, piece)), size))
    assert any(isinstance(block, lines.LongLine) for block in found) == (more > 0)
    assert b"".join(found).replace(b"x", b"") == body.replace(b"x", b"")


def test_a_last_line_that_is_too_long_is_cut_unless_it_is_ended():
    with mock.patch.object(lines, "LINE_MAX", 1000), mock.patch.object(event_batches, "BLOCK_SIZE", 50):
        assert read(*cut(GOOD + b"\n" + b"x" * 3000 + b"\n", range(0, 3000, 50)))[1] == {2: b"x" * 500}
        with pytest.raises(ConnectionLostError, match="last line is not whole"):
            read(*cut(GOOD + b"\n" + b"x" * 3000, range(0, 3000, 50)))


def test_long_lines_below_the_limit_are_read():
    long = event(more=b',"x":"%s"' % (b"x" * 3000))
    with mock.patch.object(event_batches, "BLOCK_SIZE", 100):
        assert len(read(*cut(GOOD + b"\n" + long + b"\n" + LAST, range(0, 9000, 50)))[0]) == 3
