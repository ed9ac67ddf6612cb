"""For streams: from small blocks to Python dicts.

msgspec parses a small block in one call. It keeps integers of any size, where other fast parsers make floats of those
beyond 64 bits. A block that it refuses, or in which a value might differ from what `event.parse_event` reads, is
parsed line by line.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from mixpanel_async.decode.event import END_TIME, END_TIME_MS, FIRST_TIME
from mixpanel_async.decode.proven_blocks import Line
from mixpanel_async.decode.slow_parser import SlowParser
from mixpanel_async.decode.strict_json import mend_surrogates, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.decode.proven_blocks import SmallBlock
    from mixpanel_async.decode.slow_parser import EventLine

    EventDict = dict[str, Any]

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

NEEDS_SLOW_PARSER = (msgspec.MsgspecError, ValueError, LookupError, TypeError, RecursionError)
"""What a fast parser raises at a block that only the slow parser can read."""


_parse_lines = msgspec.json.Decoder(Line).decode_lines
_parse_objects = msgspec.json.Decoder().decode_lines
_from_timestamp, _UTC = dt.datetime.fromtimestamp, dt.UTC

_INEXACT_TIME = (1 << 33) * 1000
"""Milliseconds (in the year 2242) from which on a float of seconds is not exact to a microsecond."""


class DictReader:
    """Reads one body's events as dicts: Mixpanel's own objects with `raw`, else with the columns of a table."""

    def __init__(self, reject: Callable[[RejectedLine], None], *, raw: bool) -> None:
        """`reject` is called for each line that is not an event, in order."""
        self._slow = SlowParser(reject)
        self._raw = raw

    def read(self, block: SmallBlock) -> Iterable[EventDict]:
        """Read the next small block."""
        if not self._slow.is_waiting and (events := self._read_fast(block)) is not None:
            self._slow.skip(block.lines)
            return events
        return map(_raw_dict if self._raw else _event_dict, self._slow.parse(block.text))

    def end(self) -> Iterable[EventDict]:
        """End the body."""
        self._slow.end()
        return ()

    def _read_fast(self, block: SmallBlock) -> list[EventDict] | None:
        """Return all events of a block; `None` where it needs the slow parser."""
        if not block.looks_ordinary:  # the fast parser takes two values on one line, and one on two
            return None
        try:
            events = _raw_dicts(_parse_objects(block.text)) if self._raw else _event_dicts(_parse_lines(block.text))
        except NEEDS_SLOW_PARSER:
            return None
        return events if len(events) == block.lines else None


def plain_id_text(value: object) -> str | None:
    """Return an id as `event.id_text` does, of the value that a parser made of it.

    Raises:
        TypeError: only its JSON text tells how it was spelled (`1.50`, `-0`, `{"a": 1}`).
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value:
        return str(value)
    raise TypeError


def _raw_dicts(events: list[EventDict]) -> list[EventDict]:
    """Return the same objects.

    Raises:
        TypeError: one is not an event, or its time may be unusable.
    """
    for event in events:
        time = event["properties"]["time"]
        if type(time) is not int or not FIRST_TIME <= time < END_TIME_MS or type(event["event"]) is not str:
            raise TypeError
    return events


def _event_dicts(lines: list[Line]) -> list[EventDict]:
    """Return events with the columns of a table, in one loop: a function call per event would cost a tenth of the time.

    Raises:
        TypeError: one has an unusual time or id.
    """
    events = []
    for line in lines:
        properties = line.properties
        time, distinct_id, insert_id = properties["time"], properties.get("distinct_id"), properties.get("$insert_id")
        if type(time) is not int or not FIRST_TIME <= time < _INEXACT_TIME:
            raise TypeError
        events.append(
            {
                "event_name": line.event,
                "event_time": _from_timestamp(time / 1000 if time >= END_TIME else time, _UTC),
                "distinct_id": distinct_id if type(distinct_id) is str else plain_id_text(distinct_id),
                "insert_id": insert_id if type(insert_id) is str else plain_id_text(insert_id),
                "properties": properties,
            }
        )
    return events


def _event_dict(line: EventLine) -> EventDict:
    event = line.event
    return {
        "event_name": event.name,
        "event_time": EPOCH + dt.timedelta(microseconds=event.micros),
        "distinct_id": event.distinct_id,
        "insert_id": event.insert_id,
        "properties": parse(event.properties),
    }


def _raw_dict(line: EventLine) -> EventDict:
    return parse(mend_surrogates(line.line.decode()).encode())  # type: ignore[no-any-return] # an object
