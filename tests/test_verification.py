"""Verification as a value, and how it prints."""

from __future__ import annotations

import json

from mixpanel_async.verification import DayCount, Verification

EQUAL = DayCount("2026-01-01", 1000, 1000)
FEWER = DayCount("2026-01-02", 998, 1000)
MORE = DayCount("2026-01-03", 1001, 1000)
THREE = Verification("events", (EQUAL, FEWER, MORE))


def test_the_days_that_differ():
    assert THREE.differing == (FEWER, MORE)
    assert Verification("events", (EQUAL,)).differing == ()


def test_it_is_plain_as_a_dict():
    told = THREE.to_dict()
    assert told == {
        "table": "events",
        "days": [
            {"date": "2026-01-01", "ours": 1000, "mixpanels": 1000},
            {"date": "2026-01-02", "ours": 998, "mixpanels": 1000},
            {"date": "2026-01-03", "ours": 1001, "mixpanels": 1000},
        ],
        "differing": ["2026-01-02", "2026-01-03"],
    }
    assert json.loads(json.dumps(told)) == told


def test_it_prints_as_a_table():
    text = str(THREE).splitlines()
    assert text[:5] == [
        "Table events: 3 days compared with Mixpanel, 2 differ",
        "date                  ours        Mixpanel    difference",
        "2026-01-01           1,000           1,000",
        "2026-01-02             998           1,000            -2",
        "2026-01-03           1,001           1,000            +1",
    ]
    assert text[5] == "Good reasons for a difference:"
    assert max(map(len, text)) <= 80


def test_of_many_days_it_prints_those_that_differ():
    many = Verification("events", (EQUAL,) * 40 + (FEWER,))
    assert [line[:10] for line in str(many).splitlines()[1:4]] == ["date      ", "2026-01-02", "Good reaso"]
    most = str(Verification("events", (FEWER,) * 40)).splitlines()
    assert most[33] == "and 9 days more that differ"


def test_if_none_differs_it_says_so():
    assert str(Verification("events", (EQUAL,) * 40)) == "Table events: 40 days compared with Mixpanel, all are equal"
