"""Coverage: which days a table of events holds, and what is known of each."""

from __future__ import annotations

import calendar
import datetime as dt
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from mixpanel_async import html
from mixpanel_async.dates import ONE_DAY, dates_between
from mixpanel_async.terminal import count, span

MONTHS = 24
"""Months that the calendar has at most: the last ones."""
LISTED = 6
"""Ranges that are listed below it at most."""

_SIGNS: Mapping[html.Mark, str] = {"held": "█", "partial": "▒", "rejected": "!", "gap": "·"}
_LEGEND = "   ".join(f"{sign} {html.MEANINGS[mark]}" for mark, sign in _SIGNS.items())
_DAYS = "1    5    10   15   20   25   30"


@dataclass(frozen=True, slots=True)
class CoveredDay:
    """A day that the table holds."""

    date: str
    """`YYYY-MM-DD`, in the project's days."""
    rows: int
    """Rows of the table that belong to this day. These are the rows with its date. A row whose own time lies outside
    the dates that Mixpanel returned it for belongs to the nearest of those dates instead."""
    rejected_rows: int | None
    """Lines of this day that are not events. `None` if its chunk has such lines and several days: nobody can tell
    which day they are of. `chunks` has their number. (If a later call split a longer chunk, its first part keeps the
    number of the whole, even if that part is a single day.)"""
    duplicates: int | None
    """Rows of this day that were left out, because the table has another one with the same key. `None` as above."""
    fetched_at: dt.datetime
    """Aware, in UTC."""
    is_complete: bool
    """Whether the day was over when it was fetched: in UTC and in the project's time zone, or everywhere if the call
    did not know the zone. Late events may have come since then.
    """


@dataclass(frozen=True, slots=True)
class CoveredChunk:
    """Days that were committed together. The journal counts rejected lines and duplicates for all of them."""

    from_date: str
    """First date, `YYYY-MM-DD`, inclusive."""
    to_date: str
    """Last date, inclusive."""
    rows: int
    """As the journal has them; the `rows` of its days add up to this."""
    rejected_rows: int
    """Lines that are not events; `_mixpanel_rejected` has them. When a chunk is split, because a later call fetches
    some of its days again, its first part keeps this number and `duplicates`."""
    duplicates: int
    fetched_at: dt.datetime
    """Aware, in UTC."""
    is_complete: bool
    """Whether all its days were over when it was fetched."""


@dataclass(frozen=True, slots=True)
class RejectedChunk:
    """A chunk that failed because no line of it was an event. What the table held for its dates is as before."""

    from_date: str
    """First date, `YYYY-MM-DD`, inclusive."""
    to_date: str
    """Last date, inclusive."""
    rejected_rows: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which days a table of events holds. It prints as a calendar, for a terminal of 80 columns."""

    table: str
    days: tuple[CoveredDay, ...]
    """The days that are held, in order. A day without events is held, too, once it was fetched."""
    gaps: tuple[tuple[str, str], ...]
    """The ranges between the first and the last day that are not held, both dates inclusive."""
    chunks: tuple[CoveredChunk, ...]
    """The committed chunks that the days are in, in order."""
    rejected_chunks: tuple[RejectedChunk, ...] = ()
    """Chunks of which no line was an event. A chunk that failed for another reason leaves no trace."""

    @classmethod
    def of(
        cls,
        table: str,
        chunks: Sequence[CoveredChunk],
        rows: Mapping[str, int],
        rejected_chunks: Sequence[RejectedChunk] = (),
    ) -> Coverage:
        """Make it of the chunks, in order, and of the rows of each of their dates."""
        days = tuple(day for chunk in chunks for day in _days_of(chunk, rows))
        return cls(table, days, tuple(_gaps_between(chunks)), tuple(chunks), tuple(rejected_chunks))

    @property
    def rows(self) -> int:
        """Rows of all days: of the whole table, unless somebody else changed it."""
        return sum(day.rows for day in self.days)

    @property
    def rejected_rows(self) -> int:
        """Lines that are not events, of all committed chunks."""
        return sum(chunk.rejected_rows for chunk in self.chunks)

    @property
    def duplicates(self) -> int:
        """Rows that were left out, of all committed chunks."""
        return sum(chunk.duplicates for chunk in self.chunks)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order; tuples as lists, times as ISO 8601."""
        return {
            "table": self.table,
            "days": list(map(_plain, self.days)),
            "gaps": list(map(list, self.gaps)),
            "chunks": list(map(_plain, self.chunks)),
            "rejected_chunks": list(map(_plain, self.rejected_chunks)),
        }

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        notes = [_totals(self), *_ranges(self)]
        if not self.days:
            return html.pairs(_title(self), [], notes)
        months = [(month, _html_days(days), f"{rows:,}") for month, days, rows in _shown_months(self)]
        left_out = [_left_out(every)] if len(every := _all_months(self)) > MONTHS else []
        return html.calendar(_title(self), months, [*left_out, *notes])


def _days_of(chunk: CoveredChunk, rows: Mapping[str, int]) -> Iterator[CoveredDay]:
    dates = dates_between(chunk.from_date, chunk.to_date)
    is_one = len(dates) == 1
    rejected = chunk.rejected_rows if is_one or not chunk.rejected_rows else None
    duplicates = chunk.duplicates if is_one or not chunk.duplicates else None
    for date in dates:
        yield CoveredDay(date, rows[date], rejected, duplicates, chunk.fetched_at, chunk.is_complete)


def _gaps_between(chunks: Sequence[CoveredChunk]) -> Iterator[tuple[str, str]]:
    for before, after in pairwise(chunks):
        first = dt.date.fromisoformat(before.to_date) + ONE_DAY
        last = dt.date.fromisoformat(after.from_date) - ONE_DAY
        if first <= last:
            yield first.isoformat(), last.isoformat()


def _plain(value: CoveredDay | CoveredChunk | RejectedChunk) -> dict[str, Any]:
    return {name: each.isoformat() if isinstance(each, dt.datetime) else each for name, each in asdict(value).items()}


# The calendar


def _lines(coverage: Coverage) -> Iterator[str]:
    yield _title(coverage)
    if coverage.days:
        yield from _calendar(coverage)
    yield _totals(coverage)
    for line in _ranges(coverage):
        yield from textwrap.wrap(line, 80, subsequent_indent="  ")


def _title(coverage: Coverage) -> str:
    if not coverage.days:
        return f"Table {coverage.table} holds no day yet."
    return f"Table {coverage.table}: {coverage.days[0].date} to {coverage.days[-1].date}"


def _calendar(coverage: Coverage) -> Iterator[str]:
    months = _all_months(coverage)
    if len(months) > MONTHS:
        yield f"({_left_out(months)})"
    yield f"{'':9}{_DAYS:<33}{'rows':>16}"
    for month, days, rows in _shown_months(coverage):
        marks = "".join(" " if date is None else _SIGNS[_mark(day)] for date, day in days)
        yield f"{month}  {marks:<33}{rows:>16,}"
    yield f"{'':9}{_LEGEND}"


_Shown = tuple[str | None, CoveredDay | None]
"""A date, and what is held of it."""


def _html_days(days: Sequence[_Shown]) -> list[html.Day | None]:
    return [None if date is None else html.Day(_mark(day), f"{date}: {_in_words(day)}") for date, day in days]


def _in_words(day: CoveredDay | None) -> str:
    """Return the text that the notebook's calendar shows when the mouse is over a day."""
    if day is None:
        return "not held"
    words = count(day.rows, "row")
    if day.rejected_rows is None:
        words += ", rejected lines on this or other days of its chunk"
    elif day.rejected_rows:
        words += f", {count(day.rejected_rows, 'rejected line')}"
    return words if day.is_complete else f"{words}, not over when fetched"


def _shown_months(coverage: Coverage) -> Iterator[tuple[str, list[_Shown], int]]:
    """Yield each month of the calendar, its dates (`None` if before the first or after the last day that is held) with
    what is held of them, and its rows.
    """
    held = {day.date: day for day in coverage.days}
    first, last = coverage.days[0].date, coverage.days[-1].date
    for month in _all_months(coverage)[-MONTHS:]:
        dates = [f"{month}-{number:02}" for number in range(1, _length(month) + 1)]
        days: list[_Shown] = [(date, held.get(date)) if first <= date <= last else (None, None) for date in dates]
        yield month, days, sum(day.rows for _, day in days if day is not None)


def _all_months(coverage: Coverage) -> list[str]:
    (year, month), end = map(int, coverage.days[0].date[:7].split("-")), coverage.days[-1].date[:7]
    names = []
    while (name := f"{year:04}-{month:02}") <= end:
        names.append(name)
        year, month = year + month // 12, month % 12 + 1
    return names


def _left_out(months: Sequence[str]) -> str:
    left_out = len(months) - MONTHS
    return f"{count(left_out, 'earlier month')} {'is' if left_out == 1 else 'are'} left out: from {months[0]} on"


def _length(month: str) -> int:
    return calendar.monthrange(*map(int, month.split("-")))[1]


def _mark(day: CoveredDay | None) -> html.Mark:
    if day is None:
        return "gap"
    if day.rejected_rows != 0:
        return "rejected"
    return "held" if day.is_complete else "partial"


def _totals(coverage: Coverage) -> str:
    counts = f"{count(len(coverage.days), 'day')}, {count(coverage.rows, 'row')}"
    if coverage.duplicates:
        counts += f", {count(coverage.duplicates, 'duplicate')} left out"
    if coverage.rejected_rows:
        counts += f", {count(coverage.rejected_rows, 'rejected line')}"
    return counts


def _ranges(coverage: Coverage) -> Iterator[str]:
    """Yield the gaps, and what failed, if any, in a line each."""
    failed = [(chunk.from_date, chunk.to_date) for chunk in coverage.rejected_chunks]
    for what, ranges in (("Gaps", coverage.gaps), ("Failed, because no line was an event", failed)):
        shown = [span(*dates) for dates in ranges[:LISTED]]
        if len(ranges) > LISTED:
            shown.append(f"and {len(ranges) - LISTED:,} more")
        if shown:
            yield f"{what}: {', '.join(shown)}"
