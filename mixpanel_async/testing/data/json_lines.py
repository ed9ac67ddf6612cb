"""Lines of JSON, as Mixpanel writes them."""

from __future__ import annotations

import json
import re
from typing import Any

_TIME_FIRST = re.compile(rb'(\{"event":"(?:[^"\\]|\\.)*","properties":\{"time":)(-?[0-9]+)(?=[,}])')


def with_time(line: bytes, later: int = 0, *, times: int = 1) -> bytes:
    """Write a line with a ``time`` that is multiplied, then later; one without a whole time stays as it is."""
    if later == 0 and times == 1:
        return line
    if found := _TIME_FIRST.match(line):
        return b"%b%d%b" % (found[1], int(found[2]) * times + later, line[found.end() :])
    event = parsed(line)
    properties = event.get("properties") if event else None
    if not isinstance(properties, dict) or not isinstance(properties.get("time"), int):
        return line
    properties["time"] = properties["time"] * times + later
    return written(event) + b"\n"


def parsed(line: bytes) -> dict[str, Any] | None:
    """Read a line; None for what is no object."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def written(value: object) -> bytes:
    """Write JSON as Mixpanel does: compact, UTF-8; with escapes only where a lone surrogate needs them."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
