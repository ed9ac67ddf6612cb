"""``behaviors`` of a profile query: what people did, counted from the events."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mixpanel_async.testing.data.json_lines import parsed
from mixpanel_async.testing.export.event_reader import Telling, lines_of
from mixpanel_async.testing.export.export_query import ExportQuery
from mixpanel_async.testing.http.response import RefusedError, json_error

_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


@dataclass(frozen=True, slots=True)
class Behavior:
    """How often somebody did one of some things, within some time up to the query."""

    name: str
    window: timedelta
    events: frozenset[str]


def behaviors_of(text: str | None) -> tuple[Behavior, ...]:
    """Read the parameter; raises RefusedError with a 400.

    Its form is ``[{"window": "30d", "name": "n", "event_selectors": [{"event": "X"}]}]``, with hours,
    days or weeks.
    """
    if not text:
        return ()
    try:
        return tuple(_read(one) for one in json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError):
        example = '[{"window": "30d", "name": "n", "event_selectors": [{"event": "X"}]}]'
        raise RefusedError(json_error(400, f"Error in behaviors: expected {example}")) from None


def _read(given: Mapping[str, object]) -> Behavior:
    window = re.fullmatch(r"([0-9]{1,4})([hdw])", str(given["window"]))
    selectors = given["event_selectors"]
    if window is None or not isinstance(selectors, list):
        raise ValueError
    hours = int(window[1]) * _HOURS[window[2]]
    return Behavior(str(given["name"]), timedelta(hours=hours), frozenset(str(s["event"]) for s in selectors))


def counted(behaviors: Sequence[Behavior], events: Telling, as_of: int | None) -> Mapping[str, Mapping[str, int]]:
    """Return for each behavior's name how often each distinct id did it up to ``as_of``, seconds, or now."""
    end = events.now if as_of is None else datetime.fromtimestamp(as_of, UTC)
    if events.zone is not None:  # the events' time is the wall clock, read as if it were UTC
        end = end.astimezone(events.zone).replace(tzinfo=UTC)
    return {behavior.name: _count(behavior, events, end) for behavior in behaviors}


def _count(behavior: Behavior, events: Telling, end: datetime) -> Counter[str]:
    start = end - behavior.window
    query = ExportQuery(start.date(), end.date(), behavior.events)
    first, last = start.timestamp(), end.timestamp()
    counts: Counter[str] = Counter()
    for line in lines_of(events.text(query)):
        match parsed(line):
            case {"properties": {"time": int(time), "distinct_id": str(who)}} if first < time <= last:
                counts[who] += 1
    return counts
