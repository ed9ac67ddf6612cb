"""From arguments, journal rows and limits to chunks."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_async.api.limits import RateLimits
from mixpanel_async.dates import ONE_DAY, date_range, split_date_range
from mixpanel_async.export.plan import Chunking, auto_chunk_days, plan_chunks
from mixpanel_async.export.plan import _widened as widened
from mixpanel_async.export.plan import _without as without
from mixpanel_async.records import JournalRow
from tests.test_dates import DAYS, dates_in, dates_of


@given(DAYS, st.integers(0, 60), st.lists(st.tuples(st.integers(-10, 70), st.integers(0, 20)), max_size=6))
def test_what_is_left_are_just_the_dates_that_are_not_completed(first, days, ranges):
    last, completed, after = first + days * ONE_DAY, [], -100
    for begin, length in sorted(ranges):
        if begin > after:
            completed.append((first + begin * ONE_DAY, first + (begin + length) * ONE_DAY))
            after = begin + length
    left = without(first, last, completed)
    assert [date for each in left for date in sorted(dates_in(*each))] == sorted(
        dates_in(first, last) - {date for each in completed for date in dates_in(*each)}
    )


@given(st.integers(1, 5000), st.integers(1, 50), st.integers(1, 100))
def test_auto_keeps_all_workers_busy_twice_within_the_hourly_budget(days, workers, requests):
    size = auto_chunk_days(days, workers, requests)
    chunks = -(-days // size)
    assert chunks <= min(2 * workers, requests)
    assert size == 1 or -(-days // (size - 1)) > min(2 * workers, requests)


def planned(chunk_days, completed=(), atomic=(), *, workers=2):
    journal = [JournalRow(*dates, is_final=True, is_atomic=False) for dates in completed]
    journal += [JournalRow(*dates, is_final=False, is_atomic=True) for dates in atomic]
    dates, chunking = date_range("2024-01-01", "2024-01-10"), Chunking(chunk_days, workers)
    return plan_chunks(dates, chunking, journal, RateLimits().per_hour, resume=True)


def test_a_plan_leaves_out_completed_dates():
    completed = [date_range("2024-01-03", "2024-01-05")]
    assert planned(4, completed) == [
        ("2024-01-01", "2024-01-02"),
        ("2024-01-06", "2024-01-09"),
        ("2024-01-10", "2024-01-10"),
    ]
    assert planned(None) == [("2024-01-01", "2024-01-10")]
    assert planned("auto") == split_date_range("2024-01-01", "2024-01-10", 3)
    assert planned(1, [date_range("2023-12-01", "2024-01-10")]) == []


def test_a_plan_holds_whole_what_can_only_be_replaced_whole():
    whole = [
        date_range("2023-12-20", "2023-12-25"),
        date_range("2023-12-30", "2024-01-02"),
        date_range("2024-01-10", "2024-01-11"),
    ]
    assert planned(None, atomic=whole) == [("2023-12-30", "2024-01-11")]
    assert planned(7, atomic=whole) == [("2023-12-30", "2024-01-05"), ("2024-01-06", "2024-01-11")]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 30, "auto"])
def test_no_chunk_of_a_plan_cuts_what_can_only_be_replaced_whole(size):
    whole = [
        date_range("2023-12-30", "2024-01-02"),
        date_range("2024-01-05", "2024-01-07"),
        date_range("2024-01-08", "2024-01-08"),
    ]
    plan = dates_of(planned(size, atomic=whole))
    assert [date for each in plan for date in sorted(dates_in(*each))] == sorted(
        dates_in(*date_range("2023-12-30", "2024-01-10"))
    )
    for begin, end in whole:
        assert any(first <= begin and end <= last for first, last in plan)
    assert size == 30 or len(plan) > 1


@given(DAYS, DAYS, st.lists(st.tuples(DAYS, st.integers(0, 30)), max_size=4))
def test_widened_is_the_least_that_cuts_nothing(one, other, ranges):
    first, last = sorted((one, other))
    atomic = [(begin, begin + length * ONE_DAY) for begin, length in ranges]
    begin, end = widened(first, last, atomic)
    touched = [each for each in atomic if each[0] <= last and each[1] >= first]
    assert begin == min([first, *(each[0] for each in touched)])
    assert end == max([last, *(each[1] for each in touched)])


def test_without_resume_completed_dates_are_fetched_again():
    journal = [JournalRow(dt.date(2024, 1, 1), dt.date(2024, 1, 3), is_final=True, is_atomic=False)]
    dates = date_range("2024-01-01", "2024-01-04")
    assert plan_chunks(dates, Chunking(2, 1), journal, 60, resume=False) == split_date_range(*dates, 2)
    assert plan_chunks(dates, Chunking(2, 1), journal, 60, resume=True) == [("2024-01-04", "2024-01-04")]
