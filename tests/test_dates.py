"""From a range to chunks: whole, disjoint, in order."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_async.dates import (
    ONE_DAY,
    ProjectDays,
    as_date,
    check_chunk_days,
    date_range,
    halves,
    split_date_range,
)

DAYS = st.dates(dt.date(2000, 1, 1), dt.date(2030, 12, 31))


def dates_in(first, last):
    return {first + number * ONE_DAY for number in range((last - first).days + 1)}


def dates_of(chunks):
    return [(dt.date.fromisoformat(first), dt.date.fromisoformat(last)) for first, last in chunks]


@given(DAYS, st.integers(0, 800), st.integers(1, 1000))
def test_chunks_are_whole_disjoint_in_order_and_of_one_size(first, days, size):
    last = first + days * ONE_DAY
    chunks = dates_of(split_date_range(first, last, size))
    assert (chunks[0][0], chunks[-1][1]) == (first, last)
    assert all(begin == end + ONE_DAY for (_, end), (begin, _) in pairwise(chunks))
    sizes = [(end - begin).days + 1 for begin, end in chunks]
    assert all(each == size for each in sizes[:-1])
    assert 1 <= sizes[-1] <= size


def test_the_examples_of_the_docs():
    assert split_date_range("2024-01-01", "2024-01-10", 7) == [
        ("2024-01-01", "2024-01-07"),
        ("2024-01-08", "2024-01-10"),
    ]
    assert split_date_range("2024-02-28", dt.date(2024, 3, 1), 1) == [
        (day, day) for day in ("2024-02-28", "2024-02-29", "2024-03-01")
    ]
    assert split_date_range("2024-01-01", "2024-01-01") == [("2024-01-01", "2024-01-01")]
    assert split_date_range("9999-12-30", "9999-12-31", 7) == [("9999-12-30", "9999-12-31")]


@pytest.mark.parametrize(
    ("now", "date"),
    [
        ("2024-01-02T11:59:59+00:00", "2023-12-31"),
        ("2024-01-02T12:00:00+00:00", "2024-01-01"),
        ("2024-01-02T13:00:00+14:00", "2023-12-31"),
        ("2024-01-01T23:59:59-12:00", "2023-12-31"),
        ("2024-01-02T00:00:00-12:00", "2024-01-01"),
    ],
)
def test_a_date_is_complete_when_it_has_ended_everywhere(now, date):
    assert ProjectDays().last_complete(dt.datetime.fromisoformat(now)) == dt.date.fromisoformat(date)


@pytest.mark.parametrize(
    "value",
    ["", "2024-1-1", "20240101", "2024-01-01T00:00", " 2024-01-01", "2024-01-01\n", "2024-W01-1", "\u0662024-01-01", 20240101, None],
)  # fmt: skip
def test_what_is_no_date_is_named(value):
    with pytest.raises(ValueError, match=r"^to_date must be a date as 'YYYY-MM-DD', not "):
        date_range("2024-01-01", value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("2026-11-31", "November 2026 has 30 days"),
        ("2026-02-30", "February 2026 has 28 days"),
        ("2024-02-30", "February 2024 has 29 days"),
        ("2026-01-00", "January 2026 has 31 days"),
        ("2026-13-01", "months are 01 to 12"),
        ("2026-00-01", "months are 01 to 12"),
        ("0000-01-01", "years begin with 0001"),
    ],
)
def test_a_day_that_there_is_not(value, why):
    with pytest.raises(ValueError, match=rf"^from_date: there is no day '{value}': {why}\.$"):
        as_date(value, "from_date")


def test_a_time_of_day_is_no_date():
    with pytest.raises(ValueError, match="from_date must be a date, not a time of day: pass '2024-01-01'"):
        as_date(dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "from_date")


def test_the_wrong_way_round():
    with pytest.raises(ValueError, match="from_date 2024-01-02 is after to_date 2024-01-01: swap them"):
        date_range("2024-01-02", "2024-01-01")


@pytest.mark.parametrize("days", [0, -1, 1.0, True, "7", None, "Auto"])
def test_chunk_days_out_of_range(days):
    with pytest.raises(ValueError, match="chunk_days must be"):
        check_chunk_days(days)
    with pytest.raises(ValueError, match="chunk_days must be"):
        split_date_range("2024-01-01", "2024-01-02", days)


def test_auto_is_no_size_for_a_split():
    check_chunk_days("auto")
    with pytest.raises(ValueError, match="chunk_days must be a number here"):
        split_date_range("2024-01-01", "2024-01-02", "auto")


@given(DAYS, st.integers(0, 400))
def test_halves_are_the_whole_in_two(first, days):
    chunk = (first.isoformat(), (first + days * ONE_DAY).isoformat())
    parts = dates_of(halves(chunk))
    assert [date for part in parts for date in sorted(dates_in(*part))] == sorted(dates_in(*dates_of([chunk])[0]))
    assert len(parts) == min(2, days + 1)
    lengths = [(end - begin).days for begin, end in parts]
    assert max(lengths) - min(lengths) <= 1
