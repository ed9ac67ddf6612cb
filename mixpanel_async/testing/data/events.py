"""Where the fake server's events come from: the protocol, and events given one by one."""

# ruff: noqa: S311 - what is random here has to be the same again for the same seed

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from mixpanel_async.testing.data.json_lines import with_time, written
from mixpanel_async.testing.data.time_zones import wall

Event = Mapping[str, Any]
"""One event as Mixpanel exports it: ``{"event": name, "properties": {...}}``."""

PIECE_BYTES = 256 * 1024
"""About how many bytes of lines a source hands over at once."""


_Days = defaultdict[date, list[tuple[int, bytes]]]


class EventSource(Protocol):
    """Anything that can say which lines Mixpanel holds for a day."""

    def pieces(self, day: date, *, now: datetime, order: int = 0, zone: ZoneInfo | None = None) -> Iterator[bytes]:
        r"""Yield a day's lines as they would be exported at ``now``, in pieces of some 256 KB.

        A piece holds whole lines, each with its ``\n``, or is empty. The same arguments give the same bytes, on any
        thread. ``order`` 0 is the source's own order; any other number stands for another order. ``zone`` is
        given for projects made before 2023 only: ``day`` is a day there, and ``time`` is to be what the wall
        clock shows there, read as if it were UTC.
        """


class GivenEvents:
    """Events given one by one, and bytes given to be sent as they are."""

    __slots__ = ("_bodies", "_days", "_events", "_lines")

    def __init__(
        self,
        events: Iterable[Event | bytes] = (),
        *,
        lines: Mapping[str, Sequence[bytes]] | None = None,
        bodies: Mapping[str, bytes] | None = None,
    ) -> None:
        r"""Hold the events given.

        Args:
            events: events as dicts, or as lines of JSON, with their true ``time`` in UTC seconds. One whose
                ``mp_processing_time_ms`` lies after the clock is not there yet.
            lines: for a day (``"2026-01-03"``), lines of any bytes, which need not be JSON. A line that
                does not end in ``\n`` is given one. They follow the day's ``events``.
            bodies: for a day, bytes that are sent exactly so, with no newline added, after its ``lines``.
                They keep their order when the server is told to shuffle.

        Raises ValueError for an event without a whole ``time``, or a day that is no date.

        """
        self._events = [_read(event) for event in events]
        self._lines = {
            date.fromisoformat(day): [_ended(line) for line in given] for day, given in (lines or {}).items()
        }
        self._days: dict[ZoneInfo | None, _Days] = {None: self._by_day(None)}
        self._bodies = {date.fromisoformat(day): body for day, body in (bodies or {}).items()}

    def pieces(self, day: date, *, now: datetime, order: int = 0, zone: ZoneInfo | None = None) -> Iterator[bytes]:
        """Yield the day's lines, in the order given unless ``order`` asks for another."""
        if zone not in self._days:
            self._days[zone] = self._by_day(zone)
        moment = now.timestamp() * 1000
        there = [line for arrival, line in self._days[zone].get(day, ()) if arrival <= moment]
        if order:
            random.Random(f"{order}:{day}").shuffle(there)
        yield from _gathered(there)
        if body := self._bodies.get(day):
            yield body

    def _by_day(self, zone: ZoneInfo | None) -> _Days:
        """Sort the events by the days of a zone, with the times that the clock on its walls shows."""
        days: _Days = defaultdict(list)
        for time, arrival, line in self._events:
            shown = wall(time, zone)
            days[datetime.fromtimestamp(shown, UTC).date()].append((arrival, with_time(line, shown - time)))
        for day, lines in self._lines.items():
            days[day].extend((0, line) for line in lines)
        return days


def _read(event: Event | bytes) -> tuple[int, int, bytes]:
    """Return an event's time, its arrival in ms (0 if it does not say) and its line."""
    parsed: Event = json.loads(event) if isinstance(event, bytes) else event
    properties = parsed["properties"]
    if not isinstance(properties.get("time"), int):
        msg = f"an event needs a whole number of seconds in properties.time: {parsed!r:.200}"
        raise ValueError(msg)  # noqa: TRY004 - what is wrong is the event, not the type of an argument
    line = event.rstrip(b"\n") if isinstance(event, bytes) else written(parsed)
    arrival = properties.get("mp_processing_time_ms")
    return properties["time"], arrival if isinstance(arrival, int) else 0, line + b"\n"


def _ended(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"


def _gathered(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines into pieces."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= PIECE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
    if piece:
        yield b"".join(piece)
