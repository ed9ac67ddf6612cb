r"""Lines of JSON in Mixpanel's format: compact, UTF-8, each line ends with ``\n``."""

from __future__ import annotations

import json
import re
from typing import Any

_TIME_FIRST = re.compile(rb'(\{"event":"(?:[^"\\]|\\.)*","properties":\{"time":)(-?[0-9]+)(?=[,}])')


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


def change_time(line: bytes, *, factor: int = 1, add: int = 0) -> bytes:
    """Return an event's line with its ``time`` multiplied by ``factor``, plus ``add``.

    A line without an integer ``time`` is returned unchanged.
    """
    if add == 0 and factor == 1:
        return line
    if found := _TIME_FIRST.match(line):
        return b"%b%d%b" % (found[1], int(found[2]) * factor + add, line[found.end() :])
    event = parse_object(line)
    properties = event.get("properties") if event else None
    if not isinstance(properties, dict) or not isinstance(properties.get("time"), int):
        return line
    properties["time"] = properties["time"] * factor + add
    return dump_json(event) + b"\n"
