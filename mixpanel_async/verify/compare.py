"""The table's counts, Mixpanel's counts, and both beside each other."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from mixpanel_async.api.send_query import read_json, send_query
from mixpanel_async.dates import dates_between, ranges_of
from mixpanel_async.duck.coverage import read_held
from mixpanel_async.errors import StoreError
from mixpanel_async.lookups.fetch import fetch_lookup
from mixpanel_async.lookups.request import NAMES_MAX, event_names_request
from mixpanel_async.terminal import span
from mixpanel_async.verification import DayCount, Verification
from mixpanel_async.verify.request import count_queries, read_counts, windows

if TYPE_CHECKING:
    from mixpanel_async.api.source import Source
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.holding import RunReading
    from mixpanel_async.records import HeldEvents
    from mixpanel_async.selections import EventSelection

TOLD = 5
"""Ranges that an error names at most."""

Ends = tuple["dt.date | None", "dt.date | None"]
"""First and last date to compare, both inclusive; `None` for the first or last one that is held."""


async def verify_events(name: str, ends: Ends, run: RunReading, source: Source) -> Verification:
    """Compare a table with Mixpanel. It writes nothing.

    Raises:
        StoreError: the table cannot be compared, or does not hold a date; nothing was requested.
        ExportError: the last attempt at a request failed.
    """
    held = await run(partial(read_held, name=name, ends=ends, project=source.project))
    days = days_to_compare(name, held, ends)
    counts: Counter[str] = Counter()
    for window in windows(days):
        names = await _names(held, window, source)
        for query in count_queries(sorted(names), window):
            counts.update(read_counts(await send_query(source, query, read_json)))
    return Verification(name, tuple(DayCount(date, rows, counts[date]) for date, rows in days.items()))


def days_to_compare(name: str, held: HeldEvents, ends: Ends) -> dict[str, int]:
    """Return the rows of each day to compare. Where a date is given, every day must be held; else gaps are left out.

    Raises:
        StoreError: the table does not hold a date, or it holds events that Mixpanel cannot count.
    """
    _check_selection(name, held.selection)
    if not held.days:
        raise StoreError(f"Table {name!r} holds no day yet: fetch it first.")
    first, last = (end and end.isoformat() for end in ends)
    last = last or max(first or "", *held.days)
    first = first or min(last, *held.days)
    if ends != (None, None) and (missing := [date for date in dates_between(first, last) if date not in held.days]):
        raise StoreError(f"Table {name!r} does not hold {_in_words(missing)}: fetch it first, or compare other dates.")
    return {date: rows for date, rows in held.days.items() if first <= date <= last}


def _check_selection(name: str, selection: EventSelection) -> None:
    for argument, value in (("where", selection.where), ("limit", selection.limit)):
        if value is not None:
            raise StoreError(
                f"Table {name!r} was fetched with {argument}={value!r}, and Mixpanel counts all events of a name: "
                f"compare a table that was fetched without {argument}."
            )


def _in_words(dates: list[str]) -> str:
    """Return the first ranges of these dates, which are sorted."""
    ranges = ranges_of(dates)
    told = ", ".join(span(*ends) for ends in ranges[:TOLD])
    return told if len(ranges) <= TOLD else f"{told} and {len(ranges) - TOLD} more ranges"


async def _names(held: HeldEvents, window: DateChunk, source: Source) -> set[str]:
    """Return the names to count: the table's own selection, or all that Mixpanel or the table has."""
    if held.selection.events is not None:
        return set(held.selection.events)
    first, last = map(dt.date.fromisoformat, window)
    lookup = event_names_request("general", NAMES_MAX, (first, last))
    return {*held.names, *await fetch_lookup(lookup, source)}
