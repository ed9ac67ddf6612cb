"""Which dates a sync requests again, whole or to merge into."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from mixpanel_async.api.limits import Budget
from mixpanel_async.dates import ONE_DAY, ProjectDays
from mixpanel_async.export.plan import Chunking
from mixpanel_async.export.sync_plan import OVERLAP, SyncRules, plan_sync
from mixpanel_async.records import JournalRow
from tests.test_dates import dates_in, dates_of

FULL = Budget(left=60, per_hour=60)
UTC = ProjectDays(dt.UTC)
DAILY = Chunking(1, 10)
FIRST = dt.date(2026, 6, 1)


def day(number):
    return FIRST + (number - 1) * ONE_DAY


def moment(number, hour=2):
    return dt.datetime.combine(day(number), dt.time(hour), dt.UTC)


def row(first, last=None, *, fetched, merged=None, final=True, atomic=False):
    last = first if last is None else last
    return JournalRow(day(first), day(last), final, atomic, 100, moment(fetched), merged and moment(merged))


def requested(journal, last, *, lookback=5, merges=False, first=1, chunking=DAILY, days=UTC):
    """Numbers of the days that are requested whole, and of those to merge into."""
    rules = SyncRules(lookback, merges, days)
    plan = plan_sync((day(first), day(last)), chunking, journal, FULL, rules)
    whole = [chunk for chunk in plan.chunks if chunk not in plan.merges]
    assert set(plan.merges) <= set(plan.chunks)
    return [numbers(whole), numbers(plan.merges)]


def numbers(chunks):
    return [(each - FIRST).days + 1 for dates in dates_of(chunks) for each in sorted(dates_in(*dates))]


def test_the_last_days_are_requested_again_and_missing_ones():
    journal = [row(number, fetched=number + 1) for number in (1, 2, 3, 5, 6, 7)]
    journal[0] = row(1, fetched=7)
    assert requested(journal, 8) == [[2, 3, 4, 5, 6, 7, 8], []]
    assert requested(journal, 8, lookback=0) == [[4, 8], []]
    assert requested(journal, 8, lookback=1) == [[2, 3, 4, 5, 6, 7, 8], []]


def test_each_day_is_requested_again_until_it_is_as_old_as_the_lookback():
    """Nights in a row: the journal says when each day was last requested."""
    fetched = {}
    for today in range(2, 30):
        journal = [row(number, fetched=at) for number, at in sorted(fetched.items())]
        whole, merged = requested(journal, today - 1)
        assert (whole, merged) == (list(range(max(1, today - 6), today)), [])
        fetched |= dict.fromkeys(whole, today)


def test_a_row_of_several_days_is_settled_whole_or_not_at_all():
    """A row of its body may have been returned for another of its dates than its own time says."""
    days = list(range(1, 11))
    assert requested([row(1, 10, fetched=15)], 10) == [days, []]
    assert requested([row(1, 10, fetched=16)], 10) == [[], []]
    assert requested([row(1, 10, fetched=15)], 7, first=4) == [days, []]
    assert requested([row(1, 10, fetched=15)], 7, first=4, merges=True) == [[], days]


def test_a_time_in_the_future_is_not_believed():
    ahead = replace(row(1, fetched=60), has_sure_time=False)
    assert requested([ahead], 1) == [[1], []]
    assert requested([ahead], 1, merges=True) == [[1], []]


def test_a_row_that_can_only_be_replaced_as_a_whole_is_requested_as_a_whole():
    journal = [row(1, 10, fetched=11, atomic=True)]
    assert requested(journal, 10) == [list(range(1, 11)), []]
    assert requested(journal, 10, merges=True) == [list(range(1, 11)), []]


def test_a_merge_is_one_request_for_all_held_days_that_are_not_settled():
    journal = [row(number, fetched=number + 1) for number in range(1, 9)]
    assert requested(journal, 9, merges=True, lookback=0) == [[9], []]
    journal = [row(1, fetched=20), row(2, 4, fetched=5), row(5, fetched=6, merged=7), row(8, fetched=9)]
    rules = SyncRules(5, True, UTC)
    plan = plan_sync((day(1), day(9)), DAILY, journal, FULL, rules)
    assert numbers(chunk for chunk in plan.chunks if chunk not in plan.merges) == [6, 7, 9]
    assert [(numbers([chunk]), since) for chunk, since in plan.merges.items()] == [
        ([2, 3, 4, 5], moment(5) - OVERLAP),
        ([8], moment(9) - OVERLAP),
    ]
    assert list(plan.chunks) == sorted(plan.chunks)


def test_a_merge_settles_a_day_for_merges_only():
    journal = [row(number, fetched=number + 1, merged=number + 6) for number in range(1, 4)]
    assert requested(journal, 3, merges=True) == [[], []]
    assert requested(journal, 3) == [[1, 2, 3], []]


def test_the_day_of_a_request_is_the_earliest_that_it_may_be_in_the_project():
    late = JournalRow(day(1), day(1), True, False, 1, moment(4, hour=5))
    assert requested([late], 1, lookback=2) == [[], []]
    assert requested([late], 1, lookback=2, days=ProjectDays(ZoneInfo("US/Pacific"))) == [[1], []]
    assert requested([late], 1, lookback=2, days=ProjectDays(ZoneInfo("Pacific/Kiritimati"))) == [[], []]
    assert requested([late], 1, lookback=2, days=ProjectDays()) == [[1], []]


@st.composite
def journals(draw):
    rows, number = [], 1
    while number < 25:
        number += draw(st.integers(0, 3))
        last = number + draw(st.integers(0, 4))
        fetched = draw(st.integers(number, 40))
        merged = draw(st.none() | st.integers(fetched, 41))
        rows.append(
            row(number, last, fetched=fetched, merged=merged, final=draw(st.booleans()), atomic=draw(st.booleans()))
        )
        number = last + 1
    return rows


@given(
    journals(),
    st.integers(1, 20),
    st.integers(0, 20),
    st.integers(0, 10),
    st.booleans(),
    st.sampled_from([1, 4, "auto"]),
)
def test_every_day_is_requested_once_or_settled(journal, first, more, lookback, merges, chunk_days):
    last = first + more
    whole, merged = requested(
        journal, last, first=first, lookback=lookback, merges=merges, chunking=Chunking(chunk_days, 3)
    )
    assert len({*whole, *merged}) == len(whole) + len(merged)
    held = {(each - FIRST).days + 1: kept for kept in journal for each in dates_in(kept.first, kept.last)}
    atomic = {number for number, kept in held.items() if kept.is_atomic}
    for number in range(first, last + 1):
        kept = held.get(number)
        if kept is None:
            assert number in whole
        elif number not in whole and number not in merged:
            requested_on = max(kept.fetched_at, kept.current_to if merges else kept.fetched_at)
            assert (requested_on.date() - kept.last).days > lookback
        if number in merged:
            assert merges
            assert number in held
            assert number not in atomic
    beyond = {number for number in [*whole, *merged] if not first <= number <= last}
    touched = [kept for kept in journal if kept.first <= day(last) and kept.last >= day(first)]
    assert all(any(kept.first <= day(number) <= kept.last for kept in touched) for number in beyond)
