"""How many dates a request may have, as far as the responses have shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_async.dates import days_in, split_date_range
from mixpanel_async.export.request_days import RequestDays
from mixpanel_async.export.weights import MOST_BYTES

WEEK = ("2024-01-01", "2024-01-07")
PLENTY = 1000


def lengths(parts):
    return [days_in(part) for part in parts]


def test_a_request_stays_as_it_is_until_one_was_too_large():
    days = RequestDays(adapts=True)
    days.came(WEEK, MOST_BYTES)
    assert days.parts(WEEK, PLENTY) == [WEEK]


@pytest.mark.parametrize(
    ("times", "expected"), [(1.01, [4, 3]), (2, [3, 3, 1]), (3.4, [2, 2, 2, 1]), (7, [1] * 7), (100, [1] * 7)]
)
def test_after_a_heavy_body_no_part_would_be_as_heavy(times, expected):
    days = RequestDays(adapts=True)
    days.came(WEEK, int(times * MOST_BYTES))
    assert lengths(days.parts(WEEK, PLENTY)) == expected
    days.came(WEEK, MOST_BYTES)
    assert lengths(days.parts(WEEK, PLENTY)) == expected


def test_what_was_learned_is_logged_once(caplog):
    caplog.set_level("INFO", "mixpanel_async")
    days = RequestDays(adapts=True)
    days.came(WEEK, 2 * MOST_BYTES)
    days.came(WEEK, 2 * MOST_BYTES)
    days.broke_off(WEEK, split_date_range(*WEEK, 2))
    assert [record.getMessage() for record in caplog.records] == [
        "256 MB came for 2024-01-01 to 2024-01-07. Most days in one request from now on: 3.",
        "2024-01-01 to 2024-01-07 broke off. Most days in one request from now on: 2.",
    ]


def test_a_heavy_day_tells_nothing():
    days = RequestDays(adapts=True)
    days.came(("2024-01-01", "2024-01-01"), 100 * MOST_BYTES)
    assert days.parts(WEEK, PLENTY) == [WEEK]


def test_after_a_break_no_part_is_longer_than_the_longest_that_has_not_broken_off():
    days, month = RequestDays(adapts=True), ("2024-01-01", "2024-01-28")
    days.broke_off(month, split_date_range(*month, 14))
    assert lengths(days.parts(month, PLENTY)) == [14, 14]
    days.broke_off(month, [*split_date_range("2024-01-01", "2024-01-14", 7), ("2024-01-15", "2024-01-28")])
    assert lengths(days.parts(month, PLENTY)) == [14, 14]
    days.broke_off(month, split_date_range(*month, 7))
    assert lengths(days.parts(month, PLENTY)) == [7, 7, 7, 7]


def test_chunks_of_an_explicit_length_stay_as_they_are():
    days = RequestDays(adapts=False)
    days.came(WEEK, 100 * MOST_BYTES)
    days.broke_off(WEEK, split_date_range(*WEEK, 4))
    assert days.parts(WEEK, PLENTY) == [WEEK]


@pytest.mark.parametrize(("left", "parts"), [(9, 7), (8, 4), (6, 4), (5, 3), (4, 2), (3, 1), (0, 1)])
def test_parts_leave_a_request_for_each_of_the_other_chunks(left, parts):
    days = RequestDays(adapts=True)
    days.expect(4)
    days.came(WEEK, 100 * MOST_BYTES)
    days.sent()
    assert len(days.parts(WEEK, left)) == parts


@given(st.integers(1, 60), st.integers(1, 20), st.lists(st.integers(1, 20), min_size=1, max_size=30))
def test_parts_never_use_more_than_is_left(left, times, chunks):
    """However long the chunks are, and whether there was enough for each of them in the beginning or not."""
    days, sent = RequestDays(adapts=True), 0
    days.came(WEEK, times * MOST_BYTES)
    days.expect(len(chunks))
    to_send = [split_date_range("2024-01-01", f"2024-01-{length:02}", length)[0] for length in chunks]
    while to_send:
        sent += 1
        days.sent()
        first, *rest = days.parts(to_send.pop(0), max(0, left - sent))
        to_send = rest + to_send
        assert days_in(first) >= 1
    assert sent <= max(left, len(chunks))
