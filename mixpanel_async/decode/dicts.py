"""From parts of a body to Python's own objects.

msgspec reads a part in one call. It keeps integers of any size, where other fast parsers make floats of those beyond
64 bits. What it refuses, a patient eye reads line by line: a lone surrogate becomes U+FFFD, and a number that Python
has no int or float for becomes a Decimal.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from mixpanel_async.decode.event import FIRST_TIME, LAST_TIME, RejectedLine
from mixpanel_async.decode.slow_parser import OddLines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mixpanel_async.decode.parts import Part

    Event = dict[str, Any]

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

UNREADABLE = (msgspec.MsgspecError, ValueError, LookupError, TypeError, RecursionError)
"""What a parser raises at a part that only the patient reader can read."""


class _Line(msgspec.Struct, gc=False):
    event: str
    properties: dict[str, Any]


_read_lines = msgspec.json.Decoder(_Line).decode_lines
_read_objects = msgspec.json.Decoder().decode_lines


class PatientReader:
    """Reads the parts of one body that have an odd line, one line after the other."""

    def __init__(self, reject: Callable[[RejectedLine], None]) -> None:
        self._odd = OddLines()
        self._reject = reject

    @property
    def is_waiting(self) -> bool:
        """Whether the last line was broken, so that the next may complete it: the next part is for this reader."""
        return self._odd.broken is not None

    def skip(self, part: Part) -> None:
        """Count a part that was read elsewhere."""
        self._odd.count += part.lines

    def read(self, part: Part) -> Iterator[tuple[bytes, Event]]:
        """Read each event's properties as JSON, and the event, normalized. `reject` is called for each other line."""
        for line in self._odd.read(part.text):
            if isinstance(line, RejectedLine):
                self._reject(line)
                continue
            try:
                event = normalized(parse(line.event), parse(line.properties))
            except (RecursionError, ValueError, TypeError, OverflowError) as error:  # a second `time`, say
                text = b'{"event":%b,"properties":%b}' % (line.event, line.properties)
                self._reject(RejectedLine(line.line_number, f"no event: {error}", text))
            else:
                yield line.properties, event

    def end(self) -> None:
        """Say that there are no more parts: a broken line that waits for its neighbour is none."""
        if self._odd.broken is not None:
            self._reject(self._odd.broken)


class EventReader:
    """Reads one body's events: Mixpanel's own objects with `raw`, normalized ones without."""

    def __init__(self, reject: Callable[[RejectedLine], None], *, raw: bool) -> None:
        self._patient = PatientReader(reject)
        self._raw = raw

    def read(self, part: Part) -> Iterable[Event]:
        """Read the next part, in order; `reject` is called for a line that is no event when its turn comes."""
        if not self._patient.is_waiting and (events := self._read_at_once(part)) is not None:
            self._patient.skip(part)
            return events
        read = (event for _, event in self._patient.read(part))
        return map(_as_it_came, read) if self._raw else read

    def end(self) -> Iterable[Event]:
        """Say that there are no more parts."""
        self._patient.end()
        return ()

    def _read_at_once(self, part: Part) -> list[Event] | None:
        """All events of a part; `None` where a line of it needs a closer look."""
        try:
            events = _checked(_read_objects(part.text)) if self._raw else _all_normalized(_read_lines(part.text))
        except UNREADABLE:
            return None
        return events if len(events) == part.lines else None


def parse(text: bytes) -> Any:  # noqa: ANN401 - whatever the JSON holds
    """Parse a JSON text, and lose no number: one that Python has no int or float for becomes a Decimal."""
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return _PATIENT.decode(text.decode())


def text_of(value: object) -> str | None:
    """An id as the table has it: a text as it is, another value as JSON, `None` for null."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _checked(events: list[Event]) -> list[Event]:
    """The same; raises where one is none, or its time is no whole number of seconds in the years 1 to 9999."""
    for event in events:
        time = event["properties"]["time"]
        if type(time) is not int or not FIRST_TIME <= time < LAST_TIME or type(event["event"]) is not str:
            raise TypeError
    return events


def _all_normalized(lines: list[_Line]) -> list[Event]:
    """As above, normalized. All in one loop: a call an event would take a tenth of the time."""
    normalized = []
    for line in lines:
        properties = line.properties
        time, distinct_id, insert_id = properties["time"], properties.get("distinct_id"), properties.get("$insert_id")
        if type(time) is not int or not FIRST_TIME <= time < LAST_TIME:
            raise TypeError
        normalized.append(
            {
                "event_name": line.event,
                "event_time": _from_timestamp(time, _UTC),
                "distinct_id": distinct_id if type(distinct_id) is str else text_of(distinct_id),
                "insert_id": insert_id if type(insert_id) is str else text_of(insert_id),
                "properties": properties,
            }
        )
    return normalized


def _as_it_came(event: Event) -> Event:
    return {"event": event["event_name"], "properties": event["properties"]}


def normalized(name: str, properties: dict[str, Any]) -> Event:
    """Name an event's parts as a table's columns."""
    time = properties["time"]
    seconds = dt.timedelta(seconds=time) if isinstance(time, int) else dt.timedelta(seconds=float(time))
    return {
        "event_name": name,
        "event_time": EPOCH + seconds,
        "distinct_id": text_of(properties.get("distinct_id")),
        "insert_id": text_of(properties.get("$insert_id")),
        "properties": properties,
    }


def _int(text: str) -> int | Decimal:
    try:
        return int(text)
    except ValueError:  # more digits than Python turns into an int
        return Decimal(text)


def _float(text: str) -> float | Decimal:
    return number if math.isfinite(number := float(text)) else Decimal(text)


_PATIENT = json.JSONDecoder(parse_int=_int, parse_float=_float)
_from_timestamp, _UTC = dt.datetime.fromtimestamp, dt.UTC
