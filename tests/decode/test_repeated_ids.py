"""Ids that come twice are seen before a body is decoded: a hint, which may be too long but should miss little."""

from __future__ import annotations

import gzip
import tracemalloc

from mixpanel_async.decode import gunzip, lines
from mixpanel_async.decode import repeated_ids as repeats
from mixpanel_async.decode.repeated_ids import RepeatedIds


def body(*insert_ids):
    lines = [b'{"event":"a","properties":{"time":1,"$insert_id":"%s","n":1}}\n' % each for each in insert_ids]
    return gzip.compress(b"".join(lines))


def found(*bodies):
    repeated = RepeatedIds([[each] for each in bodies])
    while repeated.read():
        pass
    return repeated.found()


def among(insert_ids, *candidates):
    """Which of the candidates are in the set."""
    return {each for each, is_in in zip(candidates, insert_ids.contains(candidates), strict=True) if is_in}


def test_ids_that_come_twice():
    repeated = found(body(b"one", b"two", b"one", "dréi".encode(), "dréi".encode()))
    assert among(repeated, "two", "one", "dréi", "four", None) == {"one", "dréi"}
    assert among(found(body(b"one")), "one", "two") == set()


def test_ids_that_come_once_in_each_of_two_bodies():
    assert among(found(body(b"one", b"two"), body(b"two", b"three")), "one", "two", "three") == {"two"}


def test_ids_that_are_blocks_apart(monkeypatch):
    monkeypatch.setattr(lines.Blocks.__init__, "__defaults__", (100,))
    monkeypatch.setattr(gunzip, "_STEP_SIZE", 100)
    monkeypatch.setattr(repeats, "GROUP_SIZE", 300)
    repeated = RepeatedIds([[body(*(b"i%d" % (n % 40) for n in range(60)))]])
    parts = 1
    while repeated.read():
        parts += 1
    assert parts > 5
    assert among(repeated.found(), *(f"i{n}" for n in range(40))) == {f"i{n}" for n in range(20)}


def test_few_ids_of_many_are_taken_for_others():
    assert len(found(body(*(b"%d" % n for n in range(50_000))))) < 50


def test_lines_without_an_id_and_nonsense_have_none():
    assert len(found(b'{"event":"a","properties":{}}\nnot JSON\n"$insert_id":"' * 2)) <= 1


def test_a_line_that_is_too_long_does_not_end_the_search(monkeypatch):
    monkeypatch.setattr(lines, "LINE_MAX", 100)
    monkeypatch.setattr(lines.Blocks.__init__, "__defaults__", (10,))
    ids = found(gzip.compress(b"x" * (1 << 20) + b"\n") + body(b"one", b"one"))
    assert among(ids, "one") == {"one"}


def test_a_set_of_ids_takes_a_few_bytes_an_id():
    """As texts, three million ids took 528 MB."""
    body_of_many = body(*(b"an-id-of-some-length-%d" % (n % 50_000) for n in range(100_000)))
    repeated = RepeatedIds([[body_of_many]])
    tracemalloc.start()
    while repeated.read():
        pass
    found = repeated.found()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 50_000
    assert held < 50_000 * 24


def test_the_ids_that_are_recorded_are_limited(monkeypatch):
    monkeypatch.setattr(repeats, "_FOUND_MAX", 50)
    monkeypatch.setattr(repeats, "GROUP_SIZE", 1)
    monkeypatch.setattr(lines.Blocks.__init__, "__defaults__", (100,))
    monkeypatch.setattr(gunzip, "_STEP_SIZE", 100)
    often = found(body(*[b"often", b"twice"] * 500))
    assert among(often, "often", "twice", "never") == {"often", "twice"}
    assert 50 <= len(found(body(*(b"i%d" % (n // 2) for n in range(2000))))) <= 150


def test_a_body_that_is_cut_ends_the_search_and_decoding_raises_the_error():
    whole = body(b"one", b"one", b"two")
    for cut in (whole[:-1], whole[:20], whole + b"no gzip"):
        assert among(found(cut), "one", "two") <= {"one"}
