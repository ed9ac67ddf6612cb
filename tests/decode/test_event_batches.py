"""A body is whole, or that is noticed; and how it was cut up on its way changes nothing."""

from __future__ import annotations

import gzip
import json
import zlib
from itertools import accumulate, pairwise
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpanel_async.decode import event_batches, lines, slow_parser
from mixpanel_async.decode import gunzip as gunzipping
from mixpanel_async.decode.event import parse_event
from mixpanel_async.decode.event_batches import decode
from mixpanel_async.decode.gunzip import gunzip
from mixpanel_async.decode.lines import blocks
from mixpanel_async.errors import ConnectionLostError, DecodeError, ServerError

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
    sizes = [len(block) for block in blocks(gunzip([bomb]))]
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


def test_a_byte_order_mark_is_taken_off_the_first_line_and_no_other():
    mark = b"\xef\xbb\xbf"
    assert names(mark + GOOD) == ["good"]
    assert read(mark + GOOD + b"\n" + mark + event() + b"\n" + LAST)[1] == {2: mark + event()}


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x7f"])
def test_only_a_newline_ends_a_line(sign):
    text = event(more=f',"x":"a{sign}b"'.encode())
    assert len(read(text + b"\n" + LAST)[0]) == 2


@pytest.mark.parametrize("block", [1, 20, 1 << 20])
@pytest.mark.parametrize("line_break", [b"\n", b"\r\n"])
def test_a_record_that_a_raw_newline_cut_is_one_event(block, line_break):
    broken = b'{"event":"a","properties":{"time":1,"x":"one\ntwo"}}'
    body = line_break.join([GOOD, broken, b"nonsense", LAST])
    with mock.patch.object(event_batches, "BLOCK_SIZE", block):
        events, rejected = read(*cut(body, range(0, 500, 7)))
    assert events[1] == ("a", '{"time":1,"x":"one\\ntwo"}')
    assert [name for name, _ in events] == ["good", "a", "last"]
    assert rejected == {4: b"nonsense"}


def test_a_cut_record_may_be_the_last():
    first, second = b'{"event":"a","properties":{"time":1,"x":"one', b'two"}}'
    assert read(GOOD + b"\n" + first + b"\n" + second)[0][1] == ("a", '{"time":1,"x":"one\\ntwo"}')


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
    "words", [b"terminated early", b"export terminated early", b"terminated early.", b" terminated early\r"]
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
    ],
)
@pytest.mark.parametrize("body", [b"%s", GOOD + b"\n%s\n", GOOD + b"\n%s\n" + LAST])
def test_an_error_in_the_body_is_no_event_and_no_bad_line(line, body):
    with pytest.raises(ServerError, match="no more"):
        read(body % line)


def test_an_event_may_speak_of_errors():
    body = b'{"event":"terminated early","properties":{"time":1,"error":"x"},"error":"y"}\n' + event("error")
    assert names(body) == ["terminated early", "error"]


@pytest.mark.parametrize(
    "last",
    [
        b" " + event(more=b',"x":NaN'),
        b" " + event(more=b',"x":-Infinity'),
        b" " + BAD,
        b' {"event":"x","properties":{"time":"never"}}',
        b'{"event":null,"properties":{"time":1}}',
        b"null",
        b'{"event":"x"}',
    ],
)
def test_a_whole_last_line_that_is_not_an_event_is_rejected_and_not_requested_again(last):
    assert read(GOOD + b"\n" + last) == ([("good", '{"time":1704067200}')], {2: last})


def test_a_lone_surrogate_in_the_last_line_becomes_a_replacement_character():
    assert read(b" " + event(more=b',"x":"\\uD800"'))[0] == [("sign up", '{"time":1704067200,"x":"\\ufffd"}')]


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("block", [1, 60, 200])
def test_the_error_of_a_line_that_is_too_long_says_its_number_and_its_beginning(before, block):
    long = b'{"long' + b"x" * 2000
    with mock.patch.object(lines, "LINE_MAX", 1000), mock.patch.object(event_batches, "BLOCK_SIZE", block):
        pieces = cut((GOOD + b"\n") * before + long, range(0, 3000, 50))
        with pytest.raises(DecodeError, match=rf"^Line {before + 1} is longer than 1000 bytes; it begins b'\{{\"longx"):
            read(*pieces)


def test_long_lines_below_the_limit_are_read():
    long = event(more=b',"x":"%s"' % (b"x" * 3000))
    with mock.patch.object(event_batches, "BLOCK_SIZE", 100):
        assert len(read(*cut(GOOD + b"\n" + long + b"\n" + LAST, range(0, 9000, 50)))[0]) == 3
