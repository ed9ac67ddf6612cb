"""The comparison of exporters counts rows, notices what a peer says, and ends one that takes too much memory."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace

import pytest

from tests.contract.compare.__main__ import news, tried
from tests.contract.compare.cases import DAYS, FROM, TO, cases
from tests.contract.compare.page import rows_of
from tests.contract.compare.peers import PEERS
from tests.contract.compare.process import environment, run
from tests.contract.compare.rows import Difference, difference, key_of

CASES = {case.name: case for case in cases(most=5000)}


def key(number):
    return ("Sign Up", number, "someone", "")


def test_rows_are_compared_as_multisets():
    expected = Counter([key(1), key(1), key(2), key(3)])
    assert difference(expected, [key(3), key(2), key(1), key(1)]) == Difference(0, 0, 0)
    assert difference(expected, [key(1), key(2), key(2), key(2), key(4)]) == Difference(missing=2, doubled=2, foreign=1)


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"bad line", "line break", "repeated rows"}))
def test_the_expected_rows_are_what_the_fake_has_in_the_end(name):
    fake = CASES[name].fake()
    CASES[name].before_the_second_run(fake)
    assert Counter(map(key_of, fake.truth(FROM, TO))) == CASES[name].expected()


def test_some_rows_are_late_and_some_are_repeated():
    late, repeated = CASES["late events"], CASES["repeated rows"]
    before = Counter(map(key_of, late.fake().truth(FROM, TO)))
    assert 0.02 < (late.expected() - before).total() / late.expected().total() < 0.1
    sent = Counter(map(key_of, repeated.fake().truth(FROM, TO)))
    assert sent.keys() == repeated.expected().keys()
    assert sent.total() > repeated.expected().total()


@pytest.mark.parametrize("name", ["bad line", "line break"])
def test_a_line_of_its_own_is_between_two_events(name):
    case = CASES[name]
    body = b"".join(case.fake().truth_lines(FROM, TO)).decode()
    assert case.line.decode().replace("\n", "") in body
    assert len(list(case.fake().truth_lines(FROM, TO))) == len(DAYS) * 1000 + case.line.count(b"\n")


class TestAProcess:
    def ended(self, tmp_path, code, **how):
        where = {"where": tmp_path, "env": environment(tmp_path), "number": 1}
        return run([sys.executable, "-c", code], **where, **{"timeout": 60.0, **how})

    def test_it_ends_by_itself(self, tmp_path):
        ran = self.ended(
            tmp_path, "import sys, time; print('out'); b = bytearray(200_000_000); time.sleep(0.5); sys.exit('err')"
        )
        assert (ran.ending, ran.code) == ("ended", 1)
        assert 200 < ran.peak_mb < 300
        assert [(tmp_path / name).read_text() for name in ("stdout-1", "stderr-1")] == ["out\n", "err\n"]

    @pytest.mark.parametrize(
        ("how", "ending"),
        [({"limit_mb": 100}, "memory"), ({"timeout": 1.0}, "timeout"), ({"is_due": lambda: True}, "killed")],
    )
    def test_it_is_killed(self, tmp_path, how, ending):
        ran = self.ended(tmp_path, "import time; b = bytearray(200_000_000); time.sleep(60)", **how)
        assert (ran.ending, ran.code) == (ending, -9)
        assert ran.seconds < 30


def test_what_is_said_in_a_clean_export_too_is_no_news():
    assert news(["took 3.2 s"], ["took 0 s"]) is None
    assert news(["took 3.2 s", "lost 7", "and 8"], ["took 0 s"]) == "lost 7 … and 8"


@pytest.mark.parametrize(
    ("changes", "cell"),
    [
        ({}, "1,200 missing: **silent**"),
        ({"code": 1, "told": "Traceback"}, "1,200 missing: exit 1"),
        ({"told": "a warning", "unreadable": ["a line"]}, "1,200 missing: a message and in its output"),
        ({"ending": "memory", "code": -9}, "1,200 missing: killed at 1 GB"),
        ({"missing": 0, "doubled": 3, "foreign": 1}, "3 doubled, 1 not the fake's: **silent**"),
        ({"missing": 0}, "right"),
        ({"missing": 0, "code": 3}, "right; exit 3"),
        ({"missing": 0, "events": 200_000}, "200,000 events: right"),
    ],
)
def test_a_cell(changes, cell):
    result = {
        "events": 5000,
        "missing": 1200,
        "doubled": 0,
        "foreign": 0,
        "ending": "ended",
        "code": 0,
        "told": None,
        "unreadable": [],
    }
    assert rows_of(result | changes, "mixpanel-async", "clean") == cell


def test_a_case_from_end_to_end(tmp_path):
    """A body that lacks rows and is whole otherwise: nobody can know, and this library does not."""
    case = replace(CASES["short"], timeout=120)
    result = tried(case, PEERS[0], tmp_path, case.expected())
    assert (result["missing"], result["doubled"], result["foreign"]) == (500, 0, 0)
    assert (result["ending"], result["code"], result["said"], result["unreadable"]) == ("ended", 0, [], [])
    json.dumps(result)
