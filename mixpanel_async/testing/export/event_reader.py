"""EventReader: the lines of a source that an export query selects, before gzip."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from mixpanel_async.testing.data.events import EventSource
from mixpanel_async.testing.data.json_lines import parse_object
from mixpanel_async.testing.data.profiles import ProfileSource
from mixpanel_async.testing.data.time_units import UnchangedLines, cut_to_seconds, to_milliseconds
from mixpanel_async.testing.export.export_query import ExportQuery
from mixpanel_async.testing.faults.body_edits import first_lines
from mixpanel_async.testing.where import Expression, Moment

_EVENT_NAME = re.compile(rb'\{"event":("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class EventReader:
    """Reads a source's events as they are at one moment."""

    source: EventSource
    now: datetime
    """The moment. Events that arrive later are left out."""
    order: int = 0
    """0 for the source's own order; each other number is another order."""
    zone: ZoneInfo | None = None
    """The time zone of days and event times; None for UTC."""
    profiles: ProfileSource | None = None
    """The profiles that ``user[...]`` in a ``where`` reads."""

    def pieces(self, query: ExportQuery) -> Iterator[bytes]:
        """Yield the lines that a query selects, in pieces. Each call yields the same bytes."""
        pieces = self._days(query)
        if query.events is not None or query.where is not None:
            pieces = self._filter(pieces, query)
        if not query.time_in_ms:
            pieces = map(cut_to_seconds, pieces)
        if query.limit is not None:
            pieces = first_lines(pieces, query.limit)
        return pieces

    def _days(self, query: ExportQuery) -> Iterator[bytes]:
        day = query.from_date
        while day <= query.to_date:
            yield from self._day(day)
            day += timedelta(days=1)

    def _day(self, day: date) -> Iterator[bytes]:
        if self.zone is None:  # so that a source for projects in UTC needs no parameter `zone`
            return self.source.pieces(day, now=self.now, order=self.order)
        return self.source.pieces(day, now=self.now, order=self.order, zone=self.zone)

    def _filter(self, pieces: Iterable[bytes], query: ExportQuery) -> Iterator[bytes]:
        """Drop the events that the query does not select. ``where`` does not drop lines that are not JSON objects."""
        profiles = self._profiles_by_id() if query.needs_profiles else {}

        def keep(line: bytes, *, is_raw: bool) -> bytes:
            if query.events is not None and _event_name(line) not in query.events:
                return b""
            if query.where is not None and (event := parse_object(line)) is not None:
                return line if _matches(event, query.where, profiles, is_raw=is_raw) else b""
            return line

        for piece in pieces:
            is_raw = isinstance(piece, UnchangedLines)
            kept = _map_lines(piece, partial(keep, is_raw=is_raw))
            yield UnchangedLines(kept) if is_raw else kept

    def _profiles_by_id(self) -> dict[str, dict[str, Any]]:
        """Return the properties of the present profiles by distinct id."""
        if self.profiles is None:
            return {}
        snapshot = self.profiles.snapshot()
        profiles = map(json.loads, snapshot.written(range(len(snapshot))))
        return {profile["$distinct_id"]: profile["$properties"] for profile in profiles}


def split_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield the lines of the pieces, without ``\n``."""
    for piece in filter(None, pieces):
        yield from piece.removesuffix(b"\n").split(b"\n")


def _map_lines(piece: bytes, function: Callable[[bytes], bytes]) -> bytes:
    r"""Apply a function to each line, with its ``\n``."""
    lines = [line + b"\n" for line in piece.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return b"".join([function(line) for line in lines if line])


def _event_name(line: bytes) -> str | None:
    """Return the event's name; None if the line has none."""
    found = _EVENT_NAME.match(line)
    event = {"event": json.loads(found[1])} if found else parse_object(line)
    name = event.get("event") if event else None
    return name if isinstance(name, str) else None


def _matches(
    event: dict[str, Any], where: Expression, profiles: Mapping[str, Mapping[str, Any]], *, is_raw: bool
) -> bool:
    """Return whether an event matches ``where``. Its time is named ``$time``, as Mixpanel's clients found."""
    properties = event.get("properties")
    if not isinstance(properties, dict):
        return False
    if isinstance(time := properties.pop("time", None), (int, float)):
        properties["$time"] = Moment((to_milliseconds(time) if is_raw else time) / 1000)
    distinct_id = properties.get("distinct_id")
    user = profiles.get(distinct_id) if isinstance(distinct_id, str) else None
    return where.matches(properties, user=user, event=properties)
