"""EventSource, the protocol of all sources of events; and GivenEvents, which are given one by one."""

# ruff: noqa: S311 - random order must be reproducible, not secret

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from mixpanel_async.testing.data.json_lines import change_time, dump_json
from mixpanel_async.testing.data.time_units import UnchangedLines, to_milliseconds
from mixpanel_async.testing.data.time_zones import wall_time

Event = Mapping[str, Any]
"""An event as Mixpanel exports it: ``{"event": name, "properties": {...}}``."""

PIECE_BYTES = 256 * 1024
"""About how many bytes a source yields in each piece."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LinesByDay = defaultdict[date, list[tuple[int, bytes]]]
"""For each day its lines; with each line, the time in ms when Mixpanel received it."""


class EventSource(Protocol):
    """A source of events: it returns the lines that Mixpanel has for a day."""

    def pieces(self, day: date, *, now: datetime, order: int = 0, zone: ZoneInfo | None = None) -> Iterator[bytes]:
        r"""Yield a day's lines as an export at the moment ``now`` returns them, in pieces of about 256 KB.

        A piece contains whole lines, each with its ``\n``, or is empty. Each event's ``time`` is in milliseconds; the
        server cuts it to seconds for a request without ``time_in_ms=true``. The same arguments yield the same bytes,
        on any thread.

        Args:
            day: the day, in ``zone``.
            now: the present moment. Events that arrive later are left out.
            order: 0 for the source's own order; each other number is another order.
            zone: given only for projects created before 2023. Then ``time`` must be the wall clock in this time zone,
                encoded as if it were UTC.
        """


class GivenEvents:
    """Events that are given one by one, and bytes that are sent unchanged."""

    __slots__ = ("_bodies", "_events", "_lines", "_lines_by_day")

    def __init__(
        self,
        events: Iterable[Event | bytes] = (),
        *,
        lines: Mapping[str, Sequence[bytes]] | None = None,
        bodies: Mapping[str, bytes] | None = None,
    ) -> None:
        r"""Store the given events.

        Args:
            events: events as dicts or as lines of JSON, with ``time`` in true UTC: in seconds if its magnitude is
                below 253402300800 (the year 10000), otherwise in milliseconds. They are sent in the unit that a request
                asks for. An event whose ``mp_processing_time_ms`` is later than the clock has not arrived yet.
            lines: for each day (``"2026-01-03"``), lines of any bytes, which are sent unchanged; they need not be JSON.
                A missing ``\n`` is added. They follow the day's ``events``.
            bodies: for each day, bytes that are sent unchanged after its ``lines``, without an added newline. They
                stay last if the server shuffles the lines.

        Raises ValueError for an event without an integer ``time``, or an invalid date.

        """
        self._events = [_parse_event(event) for event in events]
        self._lines = {
            date.fromisoformat(day): [_with_newline(line) for line in given] for day, given in (lines or {}).items()
        }
        self._lines_by_day: dict[ZoneInfo | None, _LinesByDay] = {None: self._group_by_day(None)}
        self._bodies = {date.fromisoformat(day): body for day, body in (bodies or {}).items()}

    def pieces(self, day: date, *, now: datetime, order: int = 0, zone: ZoneInfo | None = None) -> Iterator[bytes]:
        """Yield the day's lines, in the given order if ``order`` is 0."""
        if zone not in self._lines_by_day:
            self._lines_by_day[zone] = self._group_by_day(zone)
        now_ms = now.timestamp() * 1000
        lines = [line for arrival, line in self._lines_by_day[zone].get(day, ()) if arrival <= now_ms]
        if order:
            random.Random(f"{order}:{day}").shuffle(lines)
        yield from _join_lines(lines)
        if body := self._bodies.get(day):
            yield UnchangedLines(body)

    def _group_by_day(self, zone: ZoneInfo | None) -> _LinesByDay:
        """Group the lines by their day in a time zone, with ``time`` as that zone's wall time."""
        days: _LinesByDay = defaultdict(list)
        for time, arrival, line in self._events:
            local = wall_time(time, zone)
            days[(_EPOCH + timedelta(milliseconds=local)).date()].append((arrival, _with_time(line, local)))
        for day, lines in self._lines.items():
            days[day].extend((0, UnchangedLines(line)) for line in lines)
        return days


def _parse_event(event: Event | bytes) -> tuple[int, int, bytes]:
    """Return an event's ``time`` and its arrival (0 if it has none), both in ms, and its line."""
    parsed: Event = json.loads(event) if isinstance(event, bytes) else event
    properties = parsed["properties"]
    if not isinstance(properties.get("time"), int):
        msg = f"an event must have an integer properties.time, in seconds or milliseconds: {parsed!r:.200}"
        raise ValueError(msg)  # noqa: TRY004 - the event is wrong, not the type of an argument
    line = event.rstrip(b"\n") if isinstance(event, bytes) else dump_json(parsed)
    arrival = properties.get("mp_processing_time_ms")
    return to_milliseconds(properties["time"]), arrival if isinstance(arrival, int) else 0, line + b"\n"


def _with_time(line: bytes, time: int) -> bytes:
    return change_time(line, lambda _: time)


def _with_newline(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"


def _join_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines of one type into pieces of this type, of about PIECE_BYTES."""
    for kind, alike in groupby(lines, type):
        piece: list[bytes] = []
        size = 0
        for line in alike:
            piece.append(line)
            size += len(line)
            if size >= PIECE_BYTES:
                yield kind(b"".join(piece))
                piece, size = [], 0
        if piece:
            yield kind(b"".join(piece))
