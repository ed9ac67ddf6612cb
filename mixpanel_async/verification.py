"""Verification: a table's counts of events beside Mixpanel's own, a day each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mixpanel_async import html
from mixpanel_async.terminal import count

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

    def _repr_html_(self) -> str:
        shown = self.days if len(self.days) <= html.ROWS else self.differing
        rows = [(day.date, f"{day.ours:,}", f"{day.mixpanels:,}", _difference(day)) for day in shown]
        left_out = len(shown) - html.ROWS
        notes = [f"and {count(left_out, 'day')} more that differ"] if left_out > 0 else []
        if self.differing:
            notes.append(" ".join(line.strip() for line in _REASONS))
        if not rows:
            return html.pairs(_title(self), [])
        heads = ("date", "ours", "Mixpanel", "difference")
        return html.table(heads, rows, right=(1, 2, 3), title=_title(self), notes=notes)


def _title(verification: Verification) -> str:
    days, differing = verification.days, verification.differing
    equal = f"{len(differing):,} differ" if differing else "all are equal"
    return f"Table {verification.table}: {count(len(days), 'day')} compared with Mixpanel, {equal}"


def _difference(day: DayCount) -> str:
    return "" if day.is_equal else f"{day.ours - day.mixpanels:+,}"


def _lines(verification: Verification) -> Iterator[str]:
    days, differing = verification.days, verification.differing
    yield _title(verification)
    shown = days if len(days) <= LINES else differing
    if shown:
        yield f"{'date':<10}{'ours':>16}{'Mixpanel':>16}{'difference':>14}"
    for day in shown[:LINES]:
        yield f"{day.date:<10}{day.ours:>16,}{day.mixpanels:>16,}{_difference(day):>14}".rstrip()
    if len(shown) > LINES:
        yield f"and {count(len(shown) - LINES, 'day')} more that differ"
    if differing:
        yield from _REASONS
