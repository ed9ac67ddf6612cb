"""What `plan_events` says of a plan."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from mixpanel_async.api.limits import Budget
from mixpanel_async.dates import ONE_DAY
from mixpanel_async.export.fetch import EventFetch
from mixpanel_async.export.preview import preview
from mixpanel_async.export.weights import Weights
from mixpanel_async.records import JournalRow

FIRST = dt.date(2026, 1, 1)
FULL = Budget(left=60, per_hour=60)


def day(number):
    return FIRST + number * ONE_DAY


def previewed(journal, last, budget=FULL, **options):
    fetch = EventFetch.of("events", FIRST, day(last), parallel=True, **options)
    return preview(fetch, fetch.plan(journal, budget), journal, budget, wait=0.0)


def row(first, last, size, *, atomic=False):
    return JournalRow(day(first), day(last), is_final=True, is_atomic=atomic, bytes=size)


def test_a_new_table():
    plan = previewed([], 9, chunk_days=4)
    assert plan.chunks == (("2026-01-01", "2026-01-04"), ("2026-01-05", "2026-01-08"), ("2026-01-09", "2026-01-10"))
    assert (plan.requests, plan.requests_left, plan.days, plan.settled_days) == (3, 60, 10, 0)
    assert plan.expected_bytes is None


def test_held_days_are_settled_and_tell_how_many_bytes_the_others_have():
    journal = [row(0, 3, 4000), row(4, 4, 3000)]
    plan = previewed(journal, 9, chunk_days=4, resume=True)
    assert (plan.days, plan.settled_days, plan.expected_bytes) == (5, 5, 5 * 3000)
    again = previewed(journal, 9, chunk_days=4, append=True)
    assert (again.days, again.settled_days, again.expected_bytes) == (10, 0, 4 * 1000 + 6 * 3000)


def test_days_beyond_the_range_are_requested_but_not_settled():
    plan = previewed([row(0, 20, 100, atomic=True)], 9, append=True)
    assert (plan.chunks, plan.days, plan.settled_days) == ((("2026-01-01", "2026-01-21"),), 21, 0)


def test_it_prints_as_a_table():
    fetch = EventFetch.of("events", FIRST, day(99), parallel=True)
    plan = preview(fetch, fetch.plan([], FULL), [], FULL, wait=3700.0)
    assert str(plan) == (
        "chunks    25, 2026-01-01 to 2026-04-10, up to 4 days each\n"
        "days      100 to request, 0 settled\n"
        "requests  25; 60 left of this hour\n"
        "wait      at least 1 h 1 min for the limits\n"
        "size      not known"
    )
    assert list(plan.to_dict())[:3] == ["chunks", "requests", "requests_left"]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(0, 1000)), max_size=8),
    st.integers(0, 50), st.integers(0, 30),
)  # fmt: skip
def test_bytes_are_those_of_each_day(rows, first, more):
    journal, number = [], 0
    for gap, days, size in rows:
        journal.append(row(number + gap, number + gap + days - 1, size))
        number += gap + days
    weights = Weights(journal)
    start = day(first).toordinal()
    of_each = sum(weights.bytes_of(ordinal, ordinal) for ordinal in range(start, start + more + 1))
    assert weights.bytes_of(start, start + more) == of_each
