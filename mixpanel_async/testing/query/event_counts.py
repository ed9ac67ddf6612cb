"""Counts of events by time: how many events of each requested name a day, week or month has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from mixpanel_async.testing.data.json_lines import dump_json, parse_object
from mixpanel_async.testing.export.event_reader import split_lines
from mixpanel_async.testing.export.export_query import ExportQuery
from mixpanel_async.testing.http.parameter_values import BadParameterError, read_date, read_names, required
from mixpanel_async.testing.query.query_context import MakeBody, QueryContext

_TYPES = ("general", "unique", "average")
_UNITS = ("day", "week", "month")


def event_counts(context: QueryContext) -> MakeBody:
    """Respond to ``events``: the counts of the names in ``event``, after Mixpanel's deduplication.

    A name that the lexicon hides, or that has no events, is missing (inferred); so is a date without events. ``unit``
    may be ``day``, ``week`` or ``month``: the fake does not count hours and minutes.
    """
    params = context.params
    names = read_names(params, "event")
    if not names:
        raise BadParameterError("Error in event: required parameter is missing")
    kind, unit = (
        _one_of(params.get("type", "general"), "type", _TYPES),
        _one_of(required(params, "unit"), "unit", _UNITS),
    )
    first, last = read_date(params, "from_date"), read_date(params, "to_date")
    if first > last:
        raise BadParameterError("Error in to_date: to_date cannot be before from_date")
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]

    def body() -> bytes:
        users: defaultdict[str, defaultdict[str, Counter[object]]] = defaultdict(lambda: defaultdict(Counter))
        for day in days:
            for event in _deduplicated(context, day, names - _hidden(context)):
                users[event["event"]][_start(day, unit)][event["properties"].get("distinct_id")] += 1
        values = {
            name: {start: _count(found, kind) for start, found in starts.items()} for name, starts in users.items()
        }
        series = list(dict.fromkeys(_start(day, unit) for day in days))
        return dump_json({"data": {"series": series, "values": values}, "legend_size": len(values)})

    return body


def _deduplicated(context: QueryContext, day: date, names: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Yield a day's events of these names, each once: of those with the same name, distinct id, time and insert id the
    one that was processed last. Events without an insert id are all different (Mixpanel's docs).
    """
    newest: dict[object, dict[str, Any]] = {}
    for number, line in enumerate(split_lines(context.events.pieces(ExportQuery(day, day, names, time_in_ms=True)))):
        event = parse_object(line)
        if not event or not isinstance(properties := event.get("properties"), dict):
            continue
        insert_id = properties.get("$insert_id")
        key = (event["event"], str(properties.get("distinct_id")), properties.get("time"), insert_id)
        unique = key if isinstance(insert_id, str) and insert_id else number
        if unique not in newest or _processed(event) >= _processed(newest[unique]):
            newest[unique] = event
    yield from newest.values()


def _processed(event: dict[str, Any]) -> int:
    processed = event["properties"].get("mp_processing_time_ms")
    return processed if isinstance(processed, int) else 0


def _hidden(context: QueryContext) -> frozenset[str]:
    """Return the names of the events that the lexicon hides."""
    return frozenset(
        schema.name
        for schema in context.catalog.schemas
        if schema.entity_type == "event" and schema.metadata.get("com.mixpanel", {}).get("hidden")
    )


def _start(day: date, unit: str) -> str:
    """Return the first day of the unit that a day is in; weeks begin on Monday (inferred)."""
    if unit == "week":
        day -= timedelta(days=day.weekday())
    return (day.replace(day=1) if unit == "month" else day).isoformat()


def _count(users: Counter[object], kind: str) -> float:
    if kind == "unique":
        return len(users)
    return users.total() if kind == "general" else users.total() / len(users)


def _one_of(value: str, name: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise BadParameterError(f"Error in {name}: expected one of {', '.join(allowed)}")
    return value
