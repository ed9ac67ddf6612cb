"""From a range to chunks: whole, disjoint, in order."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_async.api.limits import RateLimits
from mixpanel_async.dates import (
    ONE_DAY,
    as_date,
    check_chunk_days,
    chunk_days_for,
    date_range,
    halves,
    over_by,
    split_date_range,
    widened,
    without,
)
from mixpanel_async.duck.journal import Selection
from mixpanel_async.export.order import Order, chunks_of

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


@given(DAYS, st.integers(0, 60), st.lists(st.tuples(st.integers(-10, 70), st.integers(0, 20)), max_size=6))
def test_without_leaves_just_the_dates_that_are_not_settled(first, days, ranges):
    last, settled, after = first + days * ONE_DAY, [], -100
    for begin, length in sorted(ranges):
        if begin > after:
            settled.append((first + begin * ONE_DAY, first + (begin + length) * ONE_DAY))
            after = begin + length
    left = without(first, last, settled)
    assert [date for each in left for date in sorted(dates_in(*each))] == sorted(
        dates_in(first, last) - {date for each in settled for date in dates_in(*each)}
    )


@given(st.integers(1, 5000), st.integers(1, 50), st.integers(1, 100))
def test_auto_keeps_all_workers_busy_twice_within_the_hourly_budget(days, workers, requests):
    size = chunk_days_for(days, workers, requests)
    chunks = -(-days // size)
    assert chunks <= min(2 * workers, requests)
    assert size == 1 or -(-days // (size - 1)) > min(2 * workers, requests)


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
def test_a_date_is_over_when_it_is_over_everywhere(now, date):
    assert over_by(dt.datetime.fromisoformat(now)) == dt.date.fromisoformat(date)


@pytest.mark.parametrize(
    "value",
    ["", "2024-1-1", "20240101", "2024-02-30", "2024-01-01T00:00", " 2024-01-01", "2024-01-01\n", "2024-W01-1", "\u0662024-01-01", 20240101, None],
)  # fmt: skip
def test_what_is_no_date_is_named(value):
    with pytest.raises(ValueError, match=r"^to_date must be a date as 'YYYY-MM-DD', not "):
        date_range("2024-01-01", value)


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


def order(chunk_days, *, workers=2):
    first, last = date_range("2024-01-01", "2024-01-10")
    return Order(
        "t",
        first,
        last,
        Selection(),
        append=False,
        resume=True,
        deduplicate=True,
        chunk_days=chunk_days,
        max_workers=workers,
    )


def planned(order, settled=(), indivisible=()):
    return chunks_of(order, settled, indivisible, RateLimits().per_hour)


def test_an_order_is_split_without_its_settled_dates():
    settled = [date_range("2024-01-03", "2024-01-05")]
    assert planned(order(4), settled) == [
        ("2024-01-01", "2024-01-02"),
        ("2024-01-06", "2024-01-09"),
        ("2024-01-10", "2024-01-10"),
    ]
    assert planned(order(None)) == [("2024-01-01", "2024-01-10")]
    assert planned(order("auto")) == split_date_range("2024-01-01", "2024-01-10", 3)
    assert planned(order(1), [date_range("2023-12-01", "2024-01-10")]) == []


def test_an_order_holds_whole_what_can_only_be_replaced_whole():
    whole = [
        date_range("2023-12-20", "2023-12-25"),
        date_range("2023-12-30", "2024-01-02"),
        date_range("2024-01-10", "2024-01-11"),
    ]
    assert planned(order(None), indivisible=whole) == [("2023-12-30", "2024-01-11")]
    assert planned(order(7), indivisible=whole) == [("2023-12-30", "2024-01-05"), ("2024-01-06", "2024-01-11")]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 30, "auto"])
def test_no_chunk_of_a_plan_cuts_what_can_only_be_replaced_whole(size):
    whole = [
        date_range("2023-12-30", "2024-01-02"),
        date_range("2024-01-05", "2024-01-07"),
        date_range("2024-01-08", "2024-01-08"),
    ]
    plan = dates_of(planned(order(size), indivisible=whole))
    assert [date for each in plan for date in sorted(dates_in(*each))] == sorted(
        dates_in(*date_range("2023-12-30", "2024-01-10"))
    )
    for begin, end in whole:
        assert any(first <= begin and end <= last for first, last in plan)
    assert size == 30 or len(plan) > 1


@given(DAYS, DAYS, st.lists(st.tuples(DAYS, st.integers(0, 30)), max_size=4))
def test_widened_is_the_least_that_cuts_nothing(one, other, ranges):
    first, last = sorted((one, other))
    indivisible = [(begin, begin + length * ONE_DAY) for begin, length in ranges]
    begin, end = widened(first, last, indivisible)
    touched = [each for each in indivisible if each[0] <= last and each[1] >= first]
    assert begin == min([first, *(each[0] for each in touched)])
    assert end == max([last, *(each[1] for each in touched)])


@given(DAYS, st.integers(0, 400))
def test_halves_are_the_whole_in_two(first, days):
    chunk = (first.isoformat(), (first + days * ONE_DAY).isoformat())
    parts = dates_of(halves(chunk))
    assert [date for part in parts for date in sorted(dates_in(*part))] == sorted(dates_in(*dates_of([chunk])[0]))
    assert len(parts) == min(2, days + 1)
    lengths = [(end - begin).days for begin, end in parts]
    assert max(lengths) - min(lengths) <= 1
