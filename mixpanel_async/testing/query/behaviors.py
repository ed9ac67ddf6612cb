"""``behaviors`` of a profile query: how often each user sent some events, counted from the project's events."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mixpanel_async.testing.data.json_lines import parse_object
from mixpanel_async.testing.export.event_reader import EventReader, split_lines
from mixpanel_async.testing.export.export_query import ExportQuery
from mixpanel_async.testing.http.parameter_values import BadParameterError

_HOURS = {"h": 1, "d": 24, "w": 7 * 24}
_EXAMPLE = '[{"window": "30d", "name": "n", "event_selectors": [{"event": "X"}]}]'


@dataclass(frozen=True, slots=True)
class Behavior:
    """How often a user sent some events within a time window that ends at the query."""

    name: str
    window: timedelta
    events: frozenset[str]


def parse_behaviors(text: str | None) -> tuple[Behavior, ...]:
    """Parse the parameter ``behaviors``; raises BadParameterError.

    Its form is ``[{"window": "30d", "name": "n", "event_selectors": [{"event": "X"}]}]``. The window is in hours (h),
    days (d) or weeks (w).
    """
    if not text:
        return ()
    try:
        return tuple(_parse_behavior(value) for value in json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadParameterError(f"Error in behaviors: expected {_EXAMPLE}") from None


def _parse_behavior(value: Mapping[str, object]) -> Behavior:
    window = re.fullmatch(r"([0-9]{1,4})([hdw])", str(value["window"]))
    selectors = value["event_selectors"]
    if window is None or not isinstance(selectors, list):
        raise ValueError
    hours = int(window[1]) * _HOURS[window[2]]
    return Behavior(str(value["name"]), timedelta(hours=hours), frozenset(str(s["event"]) for s in selectors))


def count_behaviors(
    behaviors: Sequence[Behavior], events: EventReader, as_of: int | None
) -> Mapping[str, Mapping[str, int]]:
    """Return for each behavior's name the count of each distinct id.

    Windows end at ``as_of``, in seconds since 1970 (UTC), or now if it is None.
    """
    end = events.now if as_of is None else datetime.fromtimestamp(as_of, UTC)
    if events.zone is not None:  # the events' time is the local wall clock, encoded as if it were UTC
        end = end.astimezone(events.zone).replace(tzinfo=UTC)
    return {behavior.name: _count(behavior, events, end) for behavior in behaviors}


def _count(behavior: Behavior, events: EventReader, end: datetime) -> Counter[str]:
    start = end - behavior.window
    query = ExportQuery(start.date(), end.date(), behavior.events)
    first, last = start.timestamp(), end.timestamp()
    counts: Counter[str] = Counter()
    for line in split_lines(events.pieces(query)):
        match parse_object(line):
            case {"properties": {"time": int(time), "distinct_id": str(distinct_id)}} if first < time <= last:
                counts[distinct_id] += 1
    return counts
