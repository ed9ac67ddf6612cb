"""Blocks cut for all lines at once: word for word what stands in each line, or not at all."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpanel_async.decode import offsets as cutting
from mixpanel_async.decode.offsets import find_offsets

SUSPICIOUS = re.compile(rb",[ \t\r]*[}\]]")


def line(name="sign up", **properties):
    return json.dumps({"event": name, "properties": properties}, separators=(",", ":"), ensure_ascii=False).encode()


def block(*lines):
    return b"".join(each + b"\n" for each in lines)


def texts(block):
    return [(block[a:b], block[c:d]) for a, b, c, d in find_offsets(block).texts]


def suspects(*lines):
    return list(find_offsets(block(*lines)).suspects)


def test_each_event_is_its_name_and_its_properties():
    lines = [line("a", x=1), line("längerer Name", x={"y": [1, "}}"]}), line("", time=3)]
    assert texts(block(*lines)) == [
        tuple(part.encode() for part in parts)
        for parts in (
            ('"a"', '{"x":1}'),
            ('"längerer Name"', '{"x":{"y":[1,"}}"]}}'),
            ('""', '{"time":3}'),
        )
    ]


@pytest.mark.parametrize("length", [1, 62, 63, 64, 65, 66, 80, 500])
@pytest.mark.parametrize("quotes", ["", '"', '\\"'])
def test_names_of_any_length_and_with_quotes(length, quotes):
    name = quotes + "n" * length
    lines = [line(name, x=number) for number in range(5)]
    expected = [(json.dumps(name).encode(), b'{"x":%d}' % number) for number in range(5)]
    assert texts(block(*lines)) == expected


def test_what_looks_like_the_mark_within_a_text_or_the_properties_is_none():
    whole = line('a","properties":{', x='{"event":"b","properties":{"x":1}}', y={"event": "c", "properties": {}})
    name = rb'"a\",\"properties\":{"'
    assert texts(block(whole)) == [(name, whole[len(b'{"event":' + name + b',"properties":') : -1])]


@pytest.mark.parametrize(
    "unusual",
    [
        b"",
        b"null",
        b" " + line(x=1),
        line(x=1) + b"\r",
        line(x=1) + b" ",
        line(x=1)[:-1],
        line(x=1)[1:],
        b"\xef\xbb\xbf" + line(x=1),
        b'{"event":null,"properties":{"x":1}}',
        b'{"event":"a","properties":null}',
        b'{"event":"a", "properties":{"x":1}}',
        b'{"properties":{"x":1},"event":"a"}',
        b'{"event":"a and more of it without an end}}',
        b'{"event":"a","properties":{}',
        b'{"event":"a","properties":{"x":1}',
    ],
)
@pytest.mark.parametrize("where", [0, 1, 3, 6])
@pytest.mark.parametrize("name", ["n", "n" * 70], ids=len)
def test_a_block_with_an_unusual_line_has_no_offsets(unusual, where, name):
    lines = [line(name, x=number) for number in range(6)]
    lines.insert(where, unusual)
    assert find_offsets(block(*lines)) is None


@pytest.mark.parametrize("text", [b"", b"\n", b"x" * 100, b"\n" * 100])
def test_a_block_without_a_line_has_no_offsets(text):
    assert find_offsets(text) is None


@given(
    st.lists(st.binary(max_size=60).map(lambda text: text.replace(b"\n", b"")), min_size=1, max_size=5), st.booleans()
)
@settings(deadline=None, max_examples=300)
def test_the_texts_of_any_block_make_the_block_again(inner, framed):
    lines = [b'{"event":"%b","properties":{"x":%b}}' % (text, text) if framed else text for text in inner]
    whole = block(*lines)
    if (offsets := find_offsets(whole)) is not None:
        parts = [(whole[a:b], whole[c:d]) for a, b, c, d in offsets.texts]
        assert [b'{"event":%b,"properties":%b}' % part for part in parts] == lines
        assert all(part.startswith(b"{") and part.endswith(b"}") for _, part in parts)


@pytest.mark.parametrize("comma", [b",", b", ", b",  ", b", \t", b",\r", b",    "])
@pytest.mark.parametrize("end", [b"}", b"]"])
def test_a_comma_before_a_closing_bracket_is_suspected(comma, end):
    bad = b'{"event":"a","properties":{"x":[1' + comma + end + b"}}"
    assert suspects(line(x=1), bad, line(x=[2]))[1] == 1


@pytest.mark.parametrize("slice_", [1, 2, 3, 7, 64, 1 << 18])
def test_wherever_in_the_memory_it_stands(slice_, monkeypatch):
    monkeypatch.setattr(cutting, "_SLICE", slice_)
    lines = [line(x="y" * n, z=[{}]) for n in range(9)]
    lines[4:4] = [b'{"event":"a","properties":{"x":[1,]}}', b'{"event":"a","properties":{"x":[1, ]}}']
    assert suspects(*lines) == [0] * 4 + [1, 1] + [0] * 5


def test_ordinary_events_are_not_suspected():
    lines = [line(x=["a", 1, None, True, {"b": []}], y="$}", z="(]", text="a ] b }", w="-}") for _ in range(5)]
    assert suspects(*lines) == [0] * 5


JSON_LIKE = st.text(st.sampled_from(list(',, \t\r}]"[{$(\\a1')), max_size=30)


@given(st.lists(JSON_LIKE, min_size=1, max_size=4), st.sampled_from([1, 5, 16, 1 << 18]))
@settings(deadline=None, max_examples=300)
def test_no_comma_before_a_closing_bracket_is_overlooked(inner, slice_):
    lines = [b'{"event":"a","properties":{"x":%b}}' % text.encode() for text in inner]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "_SLICE", slice_)
        offsets = find_offsets(block(*lines))
    assert all(suspect or not SUSPICIOUS.search(each) for suspect, each in zip(offsets.suspects, lines, strict=True))
