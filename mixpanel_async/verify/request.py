"""The requests for counts of events, and how to read their responses. No I/O.

`GET /api/query/events` counts the events of some names a day (Mixpanel's OpenAPI document of the query API). It needs
names, so several requests if they do not fit into one URL, and a name that is left out is not counted.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from msgspec import Struct

from mixpanel_async.api.query import Query
from mixpanel_async.dates import ONE_DAY
from mixpanel_async.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mixpanel_async.dates import DateChunk

NAMES_BYTES = 7000
"""Bytes of the names in one URL. Servers commonly take a line of 8 kB, in which the other parameters must fit, too."""

DAYS_MAX = 365
"""Days in one request. Mixpanel documents no number for these; other clients of the query API keep to a year."""


def windows(dates: Iterable[str]) -> Iterator[DateChunk]:
    """Cut sorted dates into ranges of at most `DAYS_MAX` days, each with a date at both ends."""
    first = last = ""
    for date in dates:
        if first and dt.date.fromisoformat(date) - dt.date.fromisoformat(first) >= DAYS_MAX * ONE_DAY:
            yield first, last
            first = ""
        first, last = first or date, date
    if first:
        yield first, last


def count_queries(names: Iterable[str], window: DateChunk) -> Iterator[Query]:
    """Yield the requests for the counts of these names, each with as many as fit."""
    first, last = window
    for some in _fitting(names):
        parameters = {
            "event": json.dumps(some, ensure_ascii=False), "type": "general", "unit": "day",
            "from_date": first, "to_date": last,
        }  # fmt: skip
        yield Query("/api/query/events", parameters, f"Counts of events, {first} to {last}")


def read_counts(payload: object) -> dict[str, int]:
    """Return how many events each date has, all names together; a date without events may be missing.

    Raises:
        ServerError: the response has another shape than documented.
    """
    try:
        values = msgspec.convert(payload, _Counts).data.values
    except msgspec.ValidationError as error:
        message = f"Counts of events: the response has another shape than documented: {error}"
        raise ServerError(message, status=200) from None
    counts: dict[str, int] = {}
    for dates in values.values():
        for date, count in dates.items():
            counts[date] = counts.get(date, 0) + count
    return counts


def _fitting(names: Iterable[str]) -> Iterator[list[str]]:
    """Cut names into lists that fit into a URL; a name that is too long for one is alone."""
    some: list[str] = []
    size = 0
    for name in names:
        more = len(quote(json.dumps(name, ensure_ascii=False), safe="")) + len("%2C%20")
        if some and size + more > NAMES_BYTES:
            yield some
            some, size = [], 0
        some.append(name)
        size += more
    if some:
        yield some


class _Data(Struct):
    values: dict[str, dict[str, int]]


class _Counts(Struct):
    data: _Data
