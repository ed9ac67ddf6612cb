"""Lists of names and values: of events, of their properties, and of profiles' properties."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from mixpanel_async.testing.data.json_lines import dump_json, parse_object
from mixpanel_async.testing.export.event_reader import split_lines
from mixpanel_async.testing.export.export_query import ExportQuery
from mixpanel_async.testing.http.parameter_values import read_number, read_optional_date, required
from mixpanel_async.testing.http.response import RefusedError, json_error
from mixpanel_async.testing.query.query_context import MakeBody, QueryContext

MAX_NAMES = 5000
"""The highest ``limit`` of a list. Higher ones are lowered to it."""

_MAX_SAMPLE = 10_000
"""How many events of each day, and how many profiles, a list is computed from. This bounds the time of a request."""

_DEFAULT_DAYS = 31
_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "object"}


def event_names(context: QueryContext) -> MakeBody:
    """Respond to ``events/names``: the names of events, the most frequent first."""
    limit = _limit(context, 255)
    events = _read_events(context)
    return lambda: dump_json([name for name, _ in _by_frequency(event["event"] for event in events())][:limit])


def top_events(context: QueryContext) -> MakeBody:
    """Respond to ``events/top``: the most frequent events and their counts."""
    kind = context.params.get("type", "general")
    limit = _limit(context, 100)
    events = _read_events(context)

    def body() -> bytes:
        names = _by_frequency(event["event"] for event in events())[:limit]
        top = [{"amount": count, "event": name, "percent_change": 0.0} for name, count in names]
        return dump_json({"events": top, "type": kind})

    return body


def top_properties(context: QueryContext) -> MakeBody:
    """Respond to ``events/properties/top``: the names of properties and the number of events with each.

    Without ``event`` the response has the properties of all events, as tap-mixpanel expects.
    """
    limit = _limit(context, 10)
    events = _read_events(context, context.params.get("event") or None)

    def body() -> bytes:
        names = _by_frequency(name for event in events() for name in event["properties"])
        return dump_json({name: {"count": count} for name, count in names[:limit]})

    return body


def property_values(context: QueryContext) -> MakeBody:
    """Respond to ``events/properties/values``: the values of an event's property as text, the most frequent first."""
    limit = _limit(context, 255)
    event, name = required(context.params, "event"), required(context.params, "name")
    events = _read_events(context, event)

    def body() -> bytes:
        values = (event["properties"][name] for event in events() if name in event["properties"])
        return dump_json([value for value, _ in _by_frequency(_as_text(value) for value in values)][:limit])

    return body


def profile_properties(context: QueryContext) -> MakeBody:
    """Respond to ``engage/properties``: for each property the number of profiles with it, and its type.

    The type is that of the first value that is not null.
    """

    def body() -> bytes:
        snapshot = context.profiles.snapshot()
        counts: Counter[str] = Counter()
        types: dict[str, str] = {}
        for line in snapshot.written(range(min(len(snapshot), _MAX_SAMPLE))):
            properties = json.loads(line)["$properties"]
            counts.update(properties.keys())
            types = {name: _type(value) for name, value in properties.items() if value is not None} | types
        results = {name: {"count": count, "type": types.get(name, "unknown")} for name, count in counts.most_common()}
        return dump_json({"status": "ok", "results": results})  # tap-mixpanel ignores results without this status

    return body


def _read_events(context: QueryContext, name: str | None = None) -> Callable[[], Iterator[dict[str, Any]]]:
    """Check the dates (the default is the last 31 days), and return what reads the events, or those with a name.

    Raises BadParameterError for an invalid date, and RefusedError with 403 for dates too far in the past.
    """
    today = context.project.today(context.events.now)
    last = read_optional_date(context.params, "to_date") or today
    first = read_optional_date(context.params, "from_date") or last - timedelta(days=_DEFAULT_DAYS - 1)
    max_days = context.rules.history_days
    if max_days is not None and first < today - timedelta(days=max_days):
        raise RefusedError(json_error(403, f"Date range exceeds {max_days} days into the past"))

    def events() -> Iterator[dict[str, Any]]:
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        for day in days:
            query = ExportQuery(day, day, limit=_MAX_SAMPLE)
            lines = (parse_object(line) for line in split_lines(context.events.pieces(query)))
            yield from (event for event in lines if event and _is_event(event, name))

    return events


def _is_event(event: Mapping[str, Any], name: str | None) -> bool:
    """Return whether an object is an event, with this name if one is given."""
    is_event = isinstance(event.get("event"), str) and isinstance(event.get("properties"), dict)
    return is_event and (name is None or event["event"] == name)


def _by_frequency(names: Iterator[str]) -> list[tuple[str, int]]:
    return Counter(names).most_common()


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _type(value: object) -> str:
    return _TYPES.get(type(value), "unknown")


def _limit(context: QueryContext, default: int) -> int:
    return min(read_number(context.params, "limit", least=1) or default, MAX_NAMES)
