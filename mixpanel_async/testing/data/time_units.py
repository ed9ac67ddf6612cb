"""Units of an event's ``time``: sources yield milliseconds, and most clients of Mixpanel want seconds."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TypeVar

from mixpanel_async.testing.data.json_lines import change_time

Time = TypeVar("Time", int, float)

END_OF_SECONDS = 253_402_300_800
"""The year 10000, in seconds since 1970. A given time is in seconds below it, and in milliseconds from it on."""

_THIRTEEN_DIGITS = re.compile(rb'(\n\{"event":"[^"\\]*","properties":\{"time":[0-9]{10})[0-9]{3}(?=[,}])')


class UnchangedLines(bytes):
    """Lines that are sent as they are, whatever unit of ``time`` the request asks for."""

    __slots__ = ()


def to_milliseconds(time: Time) -> Time:
    """Return a given time in milliseconds."""
    return time * 1000 if abs(time) < END_OF_SECONDS else time


def cut_to_seconds(piece: bytes) -> bytes:
    """Return a source's lines with their ``time`` in seconds, rounded down."""
    if isinstance(piece, UnchangedLines):
        return piece
    parts = _THIRTEEN_DIGITS.split(b"\n" + piece)  # faster than `sub`
    if len(parts) == 1 + 2 * piece.count(b"\n"):
        return b"".join(parts)[1:]
    return b"".join([change_time(line, lambda time: time // 1000) for line in BytesIO(piece)])
