"""Which days are compared. No I/O."""

from __future__ import annotations

import datetime as dt

import pytest

from mixpanel_async.errors import StoreError
from mixpanel_async.records import HeldEvents
from mixpanel_async.selections import EventSelection
from mixpanel_async.verify.compare import days_to_compare

HELD = {"2026-01-01": 1, "2026-01-02": 2, "2026-01-05": 5, "2026-01-07": 7}


def compared(first=None, last=None, days=HELD, **selection):
    ends = tuple(day and dt.date.fromisoformat(day) for day in (first, last))
    return list(days_to_compare("events", HeldEvents(EventSelection(**selection), days, ()), ends))


def test_without_dates_all_held_days_are_compared_and_gaps_left_out():
    assert compared() == list(HELD)


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [
        ("2026-01-01", "2026-01-02", ["2026-01-01", "2026-01-02"]),
        ("2026-01-07", None, ["2026-01-07"]),
        (None, "2026-01-01", ["2026-01-01"]),
    ],
)
def test_dates_choose_days(first, last, days):
    assert compared(first, last) == days


@pytest.mark.parametrize(
    ("first", "last", "missing"),
    [
        ("2026-01-01", "2026-01-07", "2026-01-03 to 2026-01-04, 2026-01-06"),
        ("2026-01-02", None, "2026-01-03 to 2026-01-04, 2026-01-06"),
        ("2025-12-30", "2026-01-01", "2025-12-30 to 2025-12-31"),
        ("2026-02-01", None, "2026-02-01"),
        (None, "2025-01-01", "2025-01-01"),
    ],
)
def test_a_day_that_is_not_held_is_named(first, last, missing):
    with pytest.raises(StoreError, match=rf"^Table 'events' does not hold {missing}: fetch it first, or compare other"):
        compared(first, last)


def test_only_the_first_ranges_are_named():
    days = {f"2026-01-{day:02}": 1 for day in range(1, 32, 2)}
    with pytest.raises(StoreError, match=r"2026-01-02, 2026-01-04, .*, 2026-01-10 and 10 more ranges: fetch"):
        compared("2026-01-01", days=days)


@pytest.mark.parametrize("part", [{"where": 'properties["a"] == 1'}, {"limit": 10}])
def test_a_part_of_the_events_cannot_be_compared(part):
    ((argument, _),) = part.items()
    with pytest.raises(StoreError, match=rf"was fetched with {argument}=.*: compare a table that was fetched without"):
        compared(**part)


def test_a_table_without_a_day_cannot_be_compared():
    with pytest.raises(StoreError, match="holds no day yet"):
        compared(days={})
