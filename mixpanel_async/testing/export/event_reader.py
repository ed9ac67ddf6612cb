"""The text of an answer: the days asked for, the events that were chosen, and gzip."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from mixpanel_async.testing.data.events import EventSource
from mixpanel_async.testing.data.json_lines import parsed, with_time
from mixpanel_async.testing.data.profiles import ProfileSource
from mixpanel_async.testing.export.export_query import ExportQuery
from mixpanel_async.testing.faults.body_edits import first_lines
from mixpanel_async.testing.where import Expression, Moment

_EVENT_NAME = re.compile(rb'\{"event":("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Telling:
    """One telling of the events: of which source, as of when, in which order, and by which wall clock."""

    source: EventSource
    now: datetime
    order: int = 0
    zone: ZoneInfo | None = None
    profiles: ProfileSource | None = None
    """Where ``user[...]`` in a ``where`` looks."""

    def text(self, query: ExportQuery) -> Iterator[bytes]:
        """Yield what a query gets, in pieces, before gzip; the same each time it is asked."""
        pieces = self._days(query)
        if query.events is not None or query.where is not None:
            pieces = self._kept(pieces, query)
        if query.time_in_ms:
            pieces = (_each_line(piece, _in_ms) for piece in pieces)
        if query.limit is not None:
            pieces = first_lines(pieces, query.limit)
        return pieces

    def _days(self, query: ExportQuery) -> Iterator[bytes]:
        day = query.from_date
        while day <= query.to_date:
            yield from self._day(day)
            day = _next(day)

    def _day(self, day: date) -> Iterator[bytes]:
        if self.zone is None:  # what most sources are asked for, so that one without zones is a source
            return self.source.pieces(day, now=self.now, order=self.order)
        return self.source.pieces(day, now=self.now, order=self.order, zone=self.zone)

    def _kept(self, pieces: Iterable[bytes], query: ExportQuery) -> Iterator[bytes]:
        """Drop the lines that were not asked for; those that are no event are not judged."""
        users = self._users() if query.asks_profiles else {}

        def kept(line: bytes) -> bytes:
            if query.events is not None and _name(line) not in query.events:
                return b""
            if query.where is not None and (event := parsed(line)) is not None:
                return line if _fits(event, query.where, users) else b""
            return line

        for piece in pieces:
            yield _each_line(piece, kept)

    def _users(self) -> dict[str, dict[str, Any]]:
        """Read the profiles of now, by their distinct ids."""
        if self.profiles is None:
            return {}
        snapshot = self.profiles.snapshot()
        profiles = map(json.loads, snapshot.written(range(len(snapshot))))
        return {profile["$distinct_id"]: profile["$properties"] for profile in profiles}


def lines_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield the lines of the pieces without their ``\n``."""
    for piece in filter(None, pieces):
        yield from piece.removesuffix(b"\n").split(b"\n")


def _each_line(piece: bytes, change: Callable[[bytes], bytes]) -> bytes:
    r"""Pass each line, with its ``\n``, through ``change``."""
    lines = [line + b"\n" for line in piece.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return b"".join([change(line) for line in lines if line])


def _name(line: bytes) -> str | None:
    """Return the event's name."""
    found = _EVENT_NAME.match(line)
    event = {"event": json.loads(found[1])} if found else parsed(line)
    name = event.get("event") if event else None
    return name if isinstance(name, str) else None


def _fits(event: dict[str, Any], where: Expression, users: Mapping[str, Mapping[str, Any]]) -> bool:
    """Ask an event; its time goes by the name of ``$time`` only, as clients of Mixpanel found."""
    properties = event.get("properties")
    if not isinstance(properties, dict):
        return False
    if isinstance(time := properties.pop("time", None), (int, float)):
        properties["$time"] = Moment(time)
    distinct_id = properties.get("distinct_id")
    user = users.get(distinct_id) if isinstance(distinct_id, str) else None
    return where.keeps(properties, user=user, event=properties)


def _in_ms(line: bytes) -> bytes:
    return with_time(line, times=1000)


def _next(day: date) -> date:
    return day + timedelta(days=1)
