"""Verification: a table's counts of events beside Mixpanel's own, a day each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

LINES = 31
"""Days that are printed at most. If there are more, only those that differ are."""

_REASONS = (
    "Good reasons for a difference:",
    "- Events came late: fetch these days again with append=True, and compare again.",
    "- Events are hidden in Mixpanel's Lexicon: exports have them, counts do not.",
    "- The table was fetched with deduplicate=False: Mixpanel counts a repeated event",
    "  once (same event, distinct id, time and $insert_id).",
    "- Identities were merged or events deleted: exports and counts show that later",
    "  or earlier than each other.",
)


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many events a day has, in the table and at Mixpanel."""

    date: str
    """`YYYY-MM-DD`, in the project's days."""
    ours: int
    """Rows of the table that belong to this day; see `CoveredDay.rows`."""
    mixpanels: int
    """What Mixpanel's query API counts: hidden events are left out, and repeated ones are counted once."""

    @property
    def is_equal(self) -> bool:
        """Whether both are the same."""
        return self.ours == self.mixpanels


@dataclass(frozen=True, slots=True)
class Verification:
    """A table's counts of events beside Mixpanel's own. It prints as a small table."""

    table: str
    days: tuple[DayCount, ...]
    """The days that were compared, in order."""

    @property
    def differing(self) -> tuple[DayCount, ...]:
        """The days on which the two counts differ."""
        return tuple(day for day in self.days if not day.is_equal)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order, tuples as lists; then the dates of `differing`."""
        days = list(map(asdict, self.days))
        return {"table": self.table, "days": days, "differing": [day.date for day in self.differing]}

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(verification: Verification) -> Iterator[str]:
    days, differing = verification.days, verification.differing
    told = f"{len(differing):,} differ" if differing else "all are equal"
    yield f"Table {verification.table}: {_days(len(days))} compared with Mixpanel, {told}"
    shown = days if len(days) <= LINES else differing
    if shown:
        yield f"{'date':<10}{'ours':>16}{'Mixpanel':>16}{'difference':>14}"
    for day in shown[:LINES]:
        difference = "" if day.is_equal else f"{day.ours - day.mixpanels:+,}"
        yield f"{day.date:<10}{day.ours:>16,}{day.mixpanels:>16,}{difference:>14}".rstrip()
    if len(shown) > LINES:
        yield f"and {_days(len(shown) - LINES)} more that differ"
    if differing:
        yield from _REASONS


def _days(count: int) -> str:
    return f"{count:,} day{'' if count == 1 else 's'}"
