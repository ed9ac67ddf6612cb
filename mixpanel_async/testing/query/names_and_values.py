"""The small endpoints beside export and engage: what there is, and who may see it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, NoReturn

from mixpanel_async.testing.data.json_lines import parsed, written
from mixpanel_async.testing.export.event_reader import lines_of
from mixpanel_async.testing.export.export_query import ExportQuery, date_of
from mixpanel_async.testing.http.response import RefusedError, json_error
from mixpanel_async.testing.query.profile_query import number
from mixpanel_async.testing.query.query_context import Body, Question

MOST_NAMES = 5000
"""The highest ``limit`` of a list of names; higher ones are lowered to it."""

_LOOKED_AT = 10_000
"""How many events of each day, and how many profiles, are looked at for a list of names, so that it comes soon."""
_LAST_DAYS = 31
_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "object"}


def event_names(question: Question) -> Body:
    """Answer with the names of events, the most frequent first."""
    limit = _limit(question, 255)
    events = _events(question)
    return lambda: written([name for name, _ in _frequent(event["event"] for event in events())][:limit])


def top_events(question: Question) -> Body:
    """Answer with the most frequent events."""
    kind = question.params.get("type", "general")
    limit = _limit(question, 100)
    events = _events(question)

    def body() -> bytes:
        names = _frequent(event["event"] for event in events())[:limit]
        told = [{"amount": count, "event": name, "percent_change": 0.0} for name, count in names]
        return written({"events": told, "type": kind})

    return body


def top_properties(question: Question) -> Body:
    """Answer with the names of properties, of one event or of all (as tap-mixpanel asks), and how many had each."""
    limit = _limit(question, 10)
    events = _events(question, question.params.get("event") or None)

    def body() -> bytes:
        names = _frequent(name for event in events() for name in event["properties"])
        return written({name: {"count": count} for name, count in names[:limit]})

    return body


def property_values(question: Question) -> Body:
    """Answer with the values of an event's property, as text, the most frequent first."""
    limit = _limit(question, 255)
    event, name = _needed(question, "event"), _needed(question, "name")
    events = _events(question, event)

    def body() -> bytes:
        there = (event["properties"][name] for event in events() if name in event["properties"])
        return written([value for value, _ in _frequent(_shown(value) for value in there)][:limit])

    return body


def profile_properties(question: Question) -> Body:
    """Answer with the names of profiles' properties: how many have each, and the first value's type."""

    def body() -> bytes:
        snapshot = question.profiles.snapshot()
        counts: Counter[str] = Counter()
        types: dict[str, str] = {}
        for line in snapshot.written(range(min(len(snapshot), _LOOKED_AT))):
            properties = json.loads(line)["$properties"]
            counts.update(properties.keys())
            types = {name: _type(value) for name, value in properties.items() if value is not None} | types
        results = {name: {"count": count, "type": types.get(name, "unknown")} for name, count in counts.most_common()}
        return written({"status": "ok", "results": results})  # tap-mixpanel reads no results without this status

    return body


def _events(question: Question, name: str | None = None) -> Callable[[], Iterator[dict[str, Any]]]:
    """Judge the dates, by default the last 31 days, and return what reads the events, or those of one name."""
    last = _date(question, "to_date") or question.project.today(question.events.now)
    first = _date(question, "from_date") or last - timedelta(days=_LAST_DAYS - 1)
    reach = question.rules.history_days
    if reach is not None and first < question.project.today(question.events.now) - timedelta(days=reach):
        raise RefusedError(json_error(403, f"Date range exceeds {reach} days into the past"))

    def events() -> Iterator[dict[str, Any]]:
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        for day in days:
            query = ExportQuery(day, day, limit=_LOOKED_AT)
            read = (parsed(line) for line in lines_of(question.events.text(query)))
            yield from (event for event in read if event and _is_of(event, name))

    return events


def _is_of(event: Mapping[str, Any], name: str | None) -> bool:
    """Say whether a line is an event, and of this name if one is given."""
    is_event = isinstance(event.get("event"), str) and isinstance(event.get("properties"), dict)
    return is_event and (name is None or event["event"] == name)


def _frequent(names: Iterator[str]) -> list[tuple[str, int]]:
    return Counter(names).most_common()


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _type(value: object) -> str:
    return _TYPES.get(type(value), "unknown")


def _limit(question: Question, default: int) -> int:
    return min(number(question.params, "limit", least=1) or default, MOST_NAMES)


def _needed(question: Question, name: str) -> str:
    return question.params.get(name) or _refuse(f"Error in {name}: required parameter is missing")


def _date(question: Question, name: str) -> date | None:
    return date_of(question.params, name) if question.params.get(name) else None


def _refuse(text: str) -> NoReturn:
    raise RefusedError(json_error(400, text))
