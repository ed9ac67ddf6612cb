"""From arguments, journal rows and limits to chunks."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_async.api.limits import Budget
from mixpanel_async.dates import ONE_DAY, date_range, split_date_range
from mixpanel_async.export.plan import CHUNKS_A_WORKER, MOST_DAYS, Chunking, keep_final, keep_nothing, plan_chunks
from mixpanel_async.export.plan import _widened as widened
from mixpanel_async.export.plan import _without as without
from mixpanel_async.export.weights import MOST_BYTES, Weights
from mixpanel_async.records import JournalRow
from tests.test_dates import DAYS, dates_in, dates_of

FULL = Budget(left=60, per_hour=60)
MONDAY = dt.date(2024, 1, 1)


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


def planned(chunk_days, completed=(), atomic=(), *, workers=2):
    journal = [JournalRow(*dates, is_final=True, is_atomic=False) for dates in completed]
    journal += [JournalRow(*dates, is_final=False, is_atomic=True) for dates in atomic]
    dates, chunking = date_range("2024-01-01", "2024-01-10"), Chunking(chunk_days, workers)
    return plan_chunks(dates, chunking, journal, FULL, keep_final)


def test_a_plan_leaves_out_completed_dates():
    completed = [date_range("2024-01-03", "2024-01-05")]
    assert planned(4, completed) == [
        ("2024-01-01", "2024-01-02"),
        ("2024-01-06", "2024-01-09"),
        ("2024-01-10", "2024-01-10"),
    ]
    assert planned(None) == [("2024-01-01", "2024-01-10")]
    assert planned("auto") == split_date_range("2024-01-01", "2024-01-10", 2)
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
    assert plan_chunks(dates, Chunking(2, 1), journal, FULL) == split_date_range(*dates, 2)
    assert plan_chunks(dates, Chunking(2, 1), journal, FULL, keep_final) == [("2024-01-04", "2024-01-04")]


# auto chunks


def auto(days, budget=FULL, *, workers=10, journal=(), keep=keep_nothing):
    """Plan so many days from a Monday on; return how long each chunk is."""
    dates = MONDAY, MONDAY + (days - 1) * ONE_DAY
    chunks = plan_chunks(dates, Chunking("auto", workers), journal, budget, keep)
    return [len(dates_in(*each)) for each in dates_of(chunks)]


@pytest.mark.parametrize(
    ("days", "left", "lengths"),
    [
        (1, 60, [1]),
        (20, 60, [1] * 20),
        (30, 60, [1] * 30),  # three for each of ten workers
        (60, 60, [2] * 30),
        (365, 60, [7] * 52 + [1]),  # seven days at the most
        (30, 10, [3] * 10),  # what is left
        (30, 2, [15] * 2),  # above seven, as that is all that is left
        (28, 1, [28]),
        (29, 1, [1] * 29),  # it would be more than four weeks: as in a full hour, and wait
        (30, 0, [1] * 30),
        (365, 13, [7] * 52 + [1]),
        (365, 14, [27] * 13 + [14]),
        (1096, 60, [19] * 57 + [13]),  # a full hour allows no seven days either
        (1096, 59, [19] * 57 + [13]),
        (1096, 40, [28] * 39 + [4]),
        (1096, 39, [19] * 57 + [13]),
        (3653, 60, [61] * 59 + [54]),  # nor four weeks
        (3653, 59, [61] * 59 + [54]),
    ],
)
def test_auto_is_short_for_the_workers_and_long_for_the_hour(days, left, lengths):
    assert auto(days, Budget(left, 60)) == lengths


@given(st.integers(1, 800), st.integers(0, 80), st.integers(1, 60), st.integers(1, 20))
def test_an_auto_plan_keeps_to_the_hour_with_chunks_as_short_as_that_allows(days, left, per_hour, workers):
    lengths = auto(days, Budget(min(left, per_hour), per_hour), workers=workers)
    left = min(left, per_hour)
    assert sum(lengths) == days
    longest = max(MOST_DAYS, -(-days // per_hour))
    if left and days <= longest * left:
        assert len(lengths) <= left
    assert len(lengths) <= per_hour
    if days <= 7 * left or (days > longest * left and days <= 7 * per_hour):
        assert max(lengths) <= 7
    assert max(lengths) <= longest
    if len(lengths) < min(days, CHUNKS_A_WORKER * workers):  # the next shorter ones would be more, and too many
        available = left if left and days <= longest * left else per_hour
        shorter = max(lengths) - 1
        assert -(-days // shorter) > min(available, CHUNKS_A_WORKER * workers)


ROWS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 12), st.integers(0, 3 * MOST_BYTES), st.booleans(), st.booleans()),
    max_size=12,
)


def journal_of(rows):
    """Rows with gaps between them, from some days before the Monday on."""
    journal, first = [], MONDAY - 20 * ONE_DAY
    for gap, days, size, is_final, is_atomic in rows:
        first += gap * ONE_DAY
        journal.append(JournalRow(first, first + (days - 1) * ONE_DAY, is_final, is_atomic, size))
        first += days * ONE_DAY
    return journal


@given(ROWS, st.integers(1, 100), st.integers(0, 60), st.integers(1, 10), st.booleans())
def test_an_auto_plan_covers_the_dates_once_whatever_the_journal_says(rows, days, left, workers, resume):
    journal = journal_of(rows)
    dates, chunking, budget = (MONDAY, MONDAY + (days - 1) * ONE_DAY), Chunking("auto", workers), Budget(left, 60)
    keep = keep_final if resume else keep_nothing
    chunks = plan_chunks(dates, chunking, journal, budget, keep)
    assert chunks == plan_chunks(dates, chunking, journal, budget, keep)
    whole = plan_chunks(dates, Chunking(None, 1), journal, budget, keep)
    assert [date for each in dates_of(chunks) for date in sorted(dates_in(*each))] == [
        date for each in dates_of(whole) for date in sorted(dates_in(*each))
    ]
    assert chunks == sorted(chunks)


@given(ROWS, st.integers(1, 100), st.integers(0, 60), st.integers(1, 10))
def test_no_chunk_of_an_auto_plan_is_too_heavy(rows, days, left, workers):
    """The weight counts more than the hour."""
    journal = journal_of([(*each, False) for *each, _ in rows])
    weights = Weights(journal)
    dates = MONDAY, MONDAY + (days - 1) * ONE_DAY
    chunks = dates_of(plan_chunks(dates, Chunking("auto", workers), journal, Budget(left, 60)))
    for first, last in chunks:
        length = (last - first).days + 1
        assert length == 1 or weights.days_within(first.toordinal(), length) == length


def row(first, days, megabytes):
    start = MONDAY + first * ONE_DAY
    return JournalRow(
        start, start + (days - 1) * ONE_DAY, is_final=True, is_atomic=False, bytes=int(megabytes * (1 << 20))
    )


def test_known_dates_are_cut_by_their_own_weight():
    journal = [row(0, 7, 7), row(7, 7, 7 * 64), row(14, 7, 7 * 300)]
    assert auto(21, workers=1, journal=journal) == [7, 2, 2, 2, 1] + [1] * 7


def test_light_dates_make_room_for_heavy_ones():
    """The heavy ones take seven requests, and what is left decides over the light ones."""
    journal = [row(0, 28, 28), row(28, 7, 7 * 128)]
    assert auto(35, Budget(11, 60), journal=journal) == [7] * 4 + [1] * 7
    assert auto(35, Budget(9, 60), journal=journal) == [14] * 2 + [1] * 7
    assert auto(35, Budget(7, 60), journal=journal) == [2] * 14 + [1] * 7  # only in a full hour


def test_unknown_dates_weigh_what_the_heaviest_of_the_nearest_rows_does():
    days = [row(number, 1, megabytes) for number, megabytes in enumerate([60, 50, 40, 30, 20, 10, 5, 2])]
    assert auto(14, workers=1, journal=days)[8:] == auto(14, workers=1, journal=[*days, row(8, 6, 6 * 50)])[8:]
    between = [row(0, 1, 30), row(9, 1, 60)]
    assert auto(10, workers=1, journal=between) == [2, 2, 2, 2, 2]
    before = [row(100, 1, 64)]
    assert auto(5, workers=1, journal=before) == [2, 2, 1]


def test_a_row_that_was_split_off_is_not_light():
    """Its bytes are counted in the row that it was split from."""
    journal = [row(0, 2, 128), row(2, 5, 0)]
    assert auto(7, workers=1, journal=journal) == [2, 2, 2, 1]
    assert auto(7, workers=1, journal=[row(0, 7, 0)]) == [3, 3, 1]


def test_an_explicit_number_of_days_is_kept_whatever_they_weigh_and_the_hour_has():
    dates = MONDAY, MONDAY + 29 * ONE_DAY
    assert plan_chunks(dates, Chunking(5, 2), [row(0, 30, 9000)], Budget(0, 1)) == split_date_range(*dates, 5)


def test_more_gaps_than_the_hour_has_requests_need_as_few_as_they_can():
    journal = [row(2 * number, 1, 1) for number in range(100)]
    lengths = auto(300, Budget(5, 60), journal=journal, keep=keep_final)
    assert lengths == [1] * 99 + [28] * 3 + [17]
