"""What a single line of an export is: an event, or not, and why not.

The decoder lets whole blocks of ordinary lines pass by their shape, and DuckDB's parser judges their JSON; here is
the judge for the few lines that one of the two did not take. It is strict where DuckDB is lenient (`NaN`, trailing
commas), because others will read the table too, and patient where JSON parsers are not (big numbers, a lone
surrogate), because nothing may be lost.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NoReturn

BOM = b"\xef\xbb\xbf"
"""What may stand before the first line, and is no part of it."""

FIRST_TIME = -62_135_596_800
"""Epoch seconds of the year 1, the first that Python and DuckDB both know."""
LAST_TIME = 253_402_300_800
"""Epoch seconds of the year 10000, which is too late. Milliseconds taken for seconds land far beyond it."""

_ESCAPE = re.compile(
    r"\\(?:u([dD][89aAbB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
_NUMBER = re.compile(r'"?(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"?', re.ASCII)
_BLANKS = (" ", "\t", "\r")


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that is no event, kept word for word."""

    line_number: int
    """From 1, in the body of its chunk's answer."""
    reason: str
    line: bytes
    """Without the line break."""


class NoEventError(Exception):
    """Why a line is no event; `broken` where it is no JSON either, so that a neighbour may complete it."""

    def __init__(self, reason: str, *, broken: bool = False) -> None:
        super().__init__(reason)
        self.broken = broken


def read_line(line: bytes) -> tuple[bytes, bytes]:
    r"""Give the JSON text of the event's name and of its properties, as they came.

    Only a lone surrogate (`"\ud800"`), which no UTF-8 can hold, is changed: to U+FFFD.

    Raises:
        NoEventError: with the reason.
    """
    text, bad_byte = _text(line)
    try:
        parts = _members(mend_surrogates(text))
    except ValueError as error:
        raise NoEventError(f"not JSON: {error}", broken=True) from None
    except _ConstantError as error:
        raise NoEventError(str(error), broken=not _is_whole(text)) from None
    except RecursionError:
        raise NoEventError("nested too deeply") from None
    if bad_byte is not None:
        raise NoEventError(f"not UTF-8 at byte {bad_byte}")
    if parts is None:
        raise NoEventError("not a JSON object")
    return _event(parts), _properties(parts)


def mend_surrogates(text: str) -> str:
    r"""JSON with U+FFFD in place of each lone surrogate (`"\ud800"`), which no UTF-8 can hold."""
    return _ESCAPE.sub(_mend_surrogate, text) if "\\u" in text else text


def join_lines(first: bytes, second: bytes) -> tuple[bytes, bytes] | None:
    """The event of two lines that a raw line break inside a text cut apart; `None` where they make none."""
    for joint in (rb"\n", b""):
        try:
            return read_line(first + joint + second)
        except NoEventError:
            continue
    return None


def _text(line: bytes) -> tuple[str, int | None]:
    """The line as text, and where it stops being UTF-8, if it does."""
    try:
        return line.decode("utf-8"), None
    except UnicodeDecodeError as error:
        return line.decode("utf-8", "replace"), error.start


def _members(text: str) -> dict[str, str] | None:
    """The members of a line's object, each value as the JSON text it came as; the first of a repeated name."""
    at = _after_blanks(text, 0)
    if text[at : at + 1] != "{":
        _JSON.decode(text)
        return None
    members: dict[str, str] = {}
    at = _after_blanks(text, at + 1)
    while text[at : at + 1] == '"':
        name, at = _JSON.raw_decode(text, at)
        at = _after_blanks(text, at)
        if text[at : at + 1] != ":":
            raise ValueError(f"a colon is missing at character {at}")
        start = _after_blanks(text, at + 1)
        _, end = _JSON.raw_decode(text, start)
        members.setdefault(name, text[start:end])  # as DuckDB reads it
        at = _after_blanks(text, end)
        if text[at : at + 1] != ",":
            break
        at = _after_blanks(text, at + 1)
        if text[at : at + 1] != '"':
            raise ValueError(f"a name is missing at character {at}")
    if text[at : at + 1] != "}":
        raise ValueError(f"the object does not end at character {at}")
    if _after_blanks(text, at + 1) != len(text):
        raise ValueError(f"more follows the object at character {at + 1}")
    return members


def _is_whole(text: str) -> bool:
    """Whether it would be JSON, were it not for its constants."""
    try:
        _LENIENT.decode(text.strip())
    except ValueError:
        return False
    return True


def _event(members: dict[str, str]) -> bytes:
    name = members.get("event", "")
    if not name.startswith('"'):
        raise NoEventError("no event name")
    return name.encode()


def _properties(members: dict[str, str]) -> bytes:
    properties = members.get("properties", "")
    if not properties.startswith("{"):
        raise NoEventError("no properties")
    time = (_members(properties) or {}).get("time", "null")
    if not _usable(time):
        raise NoEventError(f"no usable time: {time[:40]}")
    return properties.encode()


def _usable(time: str) -> bool:
    """Whether DuckDB makes a timestamp of it: a number, or a text that is one, of seconds in the years 1 to 9999.

    `float` alone would take the digits of other scripts and blanks that DuckDB does not.
    """
    number = _NUMBER.fullmatch(time)
    return number is not None and FIRST_TIME <= float(number[1]) < LAST_TIME


def _mend_surrogate(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape[3] else escape[0]


def _after_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in _BLANKS:
        at += 1
    return at


class _ConstantError(Exception):
    """`NaN` or `Infinity`, which JSON does not have."""


def _no_constant(name: str) -> NoReturn:
    raise _ConstantError(f"{name} is no JSON")


# Numbers stay text: a number of 5000 digits is no error, and none is rounded.
_JSON: json.JSONDecoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_constant)
_LENIENT = json.JSONDecoder(parse_int=str, parse_float=str)
