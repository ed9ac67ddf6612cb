from __future__ import annotations

import datetime as dt

import pytest

from mixpanel_async.cli.charts import weeks

THURSDAY = dt.date(2026, 1, 1)


def days(*counts):
    return {THURSDAY + dt.timedelta(days=number): count for number, count in enumerate(counts) if count is not None}


def test_a_week_is_a_line():
    assert list(weeks(days(80, 10, 1, 0, 40, None, 79))) == [
        "week of     Mo Tu We Th Fr Sa Su            rows",
        "2025-12-29           ██ ▁▁ ▁▁                 91",
        "2026-01-05  ▄▄    ██                         119",
    ]


def test_a_week_without_rows_is_a_line_too():
    lines = list(weeks({THURSDAY: 1, THURSDAY + dt.timedelta(days=14): 1}))
    assert [line.split()[0] for line in lines[1:]] == ["2025-12-29", "2026-01-05", "2026-01-12"]
    assert lines[2].split() == ["2026-01-05", "0"]


def test_no_rows_are_a_heading():
    assert len(list(weeks({}))) == 1
    assert list(weeks({THURSDAY: 0}))[1].split() == ["2025-12-29", "0"]


def test_large_numbers_fit():
    assert max(map(len, weeks(days(*[999_999_999] * 40)))) <= 50


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (48, "2025-12-29           ██ ▁▁ ▁▁                 91"),
        (47, "2025-12-29     █▁▁            91"),
        (32, "2025-12-29     █▁▁            91"),
        (31, "2025-12-29      91"),
        (20, "2025-12-29      91"),
    ],
)
def test_a_narrow_terminal_gets_shorter_lines(columns, line):
    lines = list(weeks(days(80, 10, 1), columns))
    assert lines[1] == line
    assert {len(each) for each in lines} == {len(line)}
    assert len(line) <= columns
