"""What an event is, and why a line is not one. Tables, streams and record batches all keep to this definition.

A line is an event if it is

- UTF-8 and JSON as other parsers read it, too: no `NaN`, no trailing comma, at any depth of nesting;
- an object whose `event` is a text and whose `properties` is an object;
- and `properties.time` is a usable time since 1970, as a number or as a text that holds one, in the years 1 to 9999.
  Below 253402300800 (without its sign) it is in seconds, otherwise in milliseconds. It is rounded to a microsecond,
  half to even.

The number alone tells the unit, because a response may have either: that many seconds are the year 10000. Milliseconds
within eight years of 1970 are therefore read as seconds. Mixpanel has no such events.

The ids are texts. An id that is another JSON value is stored as the JSON text it came as (`12`, `1.50`, `{"a": 1}`),
and one that is missing or `null` is NULL. Of a name that occurs twice in an object the first counts.

`parse_event` is the definition. Fast parsers (`duck.parser` for tables, `dicts` and `record_batches` for streams)
accept a line only if `parse_event` surely accepts it with the same values, and leave all others to it;
`tests/decode/test_agreement.py` compares them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

from mixpanel_async.decode.strict_json import (
    ConstantError,
    is_json_but_for_constants,
    members,
    mend_surrogates,
    parse,
)

BOM = b"\xef\xbb\xbf"
"""A byte order mark. It may come before a line, and is not part of it."""

HEAD = b'{"event":'
"""How Mixpanel begins a line that is an event."""

FIRST_TIME = -62_135_596_800
"""Seconds since 1970 of the year 1, the first that Python and DuckDB both have."""
END_TIME = 253_402_300_800
"""Seconds since 1970 of the year 10000, which is too late. From this number on, a time is in milliseconds."""
END_TIME_MS = END_TIME * 1000
"""The same in milliseconds."""

_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_BLANKS = " \t\n\v\f\r"
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Event:
    """An event, as a table holds it."""

    name: str
    micros: int
    """Its time, in microseconds since 1970: UTC, or the project's wall clock for a project made before 2023."""
    distinct_id: str | None
    insert_id: str | None
    processed: int | None
    """`mp_processing_time_ms`: when Mixpanel processed it, in milliseconds since 1970."""
    properties: bytes
    """JSON text, as it came; only a lone surrogate (`"\\ud800"`), which UTF-8 cannot hold, became U+FFFD."""


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that is not an event, kept word for word."""

    line_number: int
    """From 1, in the body of its response."""
    reason: str
    line: bytes
    """Without the line break."""


class NotAnEventError(Exception):
    """Why a line is not an event."""

    def __init__(self, reason: str, *, is_json: bool = True, is_other_json: bool = False) -> None:
        super().__init__(reason)
        self.is_json = is_json
        """False for a line that is not JSON either: it may be part of an event that was cut apart or cut off."""
        self.is_other_json = is_other_json
        """Whether it is JSON that has neither `event` nor `properties`, so that it was never meant to be an event."""


def parse_event(line: bytes) -> Event:
    """Read a line without its line break.

    Raises:
        NotAnEventError: with the reason.
    """
    text, bad_byte = _decode_utf8(line)
    try:
        outer = members(mend_surrogates(text))
    except ConstantError as error:
        raise NotAnEventError(str(error), is_json=is_json_but_for_constants(text)) from None
    except ValueError as error:
        raise NotAnEventError(f"not JSON: {error}", is_json=False) from None
    if bad_byte is not None:
        raise NotAnEventError(f"not UTF-8 at byte {bad_byte}")
    if outer is None:
        raise NotAnEventError("not a JSON object", is_other_json=True)
    name, properties = outer.get("event", ""), outer.get("properties", "")
    if not name.startswith('"'):
        raise NotAnEventError("no event name", is_other_json=not (name or properties))
    if not properties.startswith("{"):
        raise NotAnEventError("no properties")
    inner = members(properties) or {}
    return Event(
        parse(name.encode()),
        _micros(inner.get("time")),
        id_text(inner.get("distinct_id")),
        id_text(inner.get("$insert_id")),
        _milliseconds(inner.get("mp_processing_time_ms")),
        properties.encode(),
    )


def is_event(line: bytes) -> bool:
    """Whether a line, without its line break, is an event."""
    try:
        parse_event(line)
    except NotAnEventError:
        return False
    return True


def id_text(value: str | None) -> str | None:
    """Return an id as text; `value` is the JSON text that it came as."""
    if value is None or value == "null":
        return None
    return parse(value.encode()) if value.startswith('"') else value


def _decode_utf8(line: bytes) -> tuple[str, int | None]:
    """Decode a line; also return the first byte that is not UTF-8, if there is one."""
    try:
        return line.decode("utf-8"), None
    except UnicodeDecodeError as error:
        return line.decode("utf-8", "replace"), error.start


def _micros(time: str | None) -> int:
    """Return a usable time in microseconds since 1970; `time` is the JSON text that it came as."""
    if time is None:
        raise NotAnEventError("no time")
    number = _number(time)
    if number is not None and number.adjusted() < 15:
        unit = 1_000_000 if abs(number) < END_TIME else 1000
        micros = int((number * unit).to_integral_value(ROUND_HALF_EVEN))
        if FIRST_TIME * 1_000_000 <= micros < END_TIME * 1_000_000:
            return micros
    raise NotAnEventError(f"no usable time: {time[:50]}")


def _milliseconds(time: str | None) -> int | None:
    number = None if time is None else _number(time)
    if number is None or number.adjusted() > 18:
        return None
    milliseconds = int(number.to_integral_value(ROUND_HALF_UP))
    return milliseconds if -_INT64 <= milliseconds < _INT64 else None


def _number(value: str) -> Decimal | None:
    """Read a JSON number, or a JSON text that holds a number; `None` for anything else."""
    text = str(parse(value.encode())).strip(_BLANKS) if value.startswith('"') else value
    if not _NUMBER.fullmatch(text):
        return None
    mantissa, _, exponent = text.lower().partition("e")
    if len(exponent) > 5:  # far too large, or nothing; Decimal has no such exponents
        return Decimal(0) if exponent.startswith("-") or not Decimal(mantissa) else None
    return Decimal(text)
