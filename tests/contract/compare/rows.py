"""The rows that a peer left, counted, and compared with those that it should have left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Key = tuple[str, int, str, str]
"""The event's name, its time in seconds, the distinct id and the insert id; a missing id is an empty one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How many rows are missing, are there once more than they should, and are no row of the fake's."""

    missing: int
    doubled: int
    foreign: int


def key_of(event: Mapping[str, Any], *, per_second: int = 1) -> Key:
    """Return the key of an event as Mixpanel sends it."""
    properties = event["properties"]
    ids = (str(properties.get(name) or "") for name in ("distinct_id", "$insert_id"))
    return (event["event"], int(properties["time"]) // per_second, *ids)


def difference(expected: Counter[Key], got: Iterable[Key]) -> Difference:
    """Compare rows, in any order."""
    found = Counter(got)
    missing, extra = expected - found, found - expected
    doubled = sum(count for key, count in extra.items() if key in expected)
    return Difference(missing.total(), doubled, extra.total() - doubled)
