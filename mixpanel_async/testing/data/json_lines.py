r"""Lines of JSON in Mixpanel's format: compact, UTF-8, each line ends with ``\n``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_TIME_FIRST = re.compile(rb'(\{"event":"(?:[^"\\]|\\.)*","properties":\{"time":)(-?[0-9]+)(?=[,}])')
_ANY_TIME = re.compile(rb'"time"\s*:\s*(-?[0-9]+)')


def parse_object(line: bytes) -> dict[str, Any] | None:
    """Parse a line; None if it is not a JSON object."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def dump_json(value: object) -> bytes:
    """Encode a value as compact UTF-8 JSON. Only text with a lone surrogate is written with escapes."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def change_time(line: bytes, change: Callable[[int], int]) -> bytes:
    """Return an event's line with its ``time`` replaced by what ``change`` returns for it.

    All other bytes stay. A line without an integer ``time`` is returned unchanged.
    """
    if found := _TIME_FIRST.match(line):
        return b"%b%d%b" % (found[1], change(int(found[2])), line[found.end() :])
    event = parse_object(line)
    properties = event.get("properties") if event else None
    if not isinstance(properties, dict) or type(properties.get("time")) is not int:
        return line
    properties["time"] = change(properties["time"])
    for found in _ANY_TIME.finditer(line):  # a nested object may have a time, too
        changed = b"%b%d%b" % (line[: found.start(1)], properties["time"], line[found.end(1) :])
        if parse_object(changed) == event:
            return changed
    return dump_json(event) + b"\n"
