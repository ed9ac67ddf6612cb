"""Dates, as callers and Mixpanel write them, and the chunks that a range of them is cut into."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass

DateChunk = tuple[str, str]
"""First and last date of a chunk, `YYYY-MM-DD`, both inclusive, as Mixpanel takes them."""

ONE_DAY = dt.timedelta(days=1)

_ANYWHERE = tuple(dt.timezone(dt.timedelta(hours=hours)) for hours in (-12, 14))
"""The time zones in which days end last and first."""


def as_date(value: str | dt.date, name: str) -> dt.date:
    """Read a date argument.

    Raises:
        ValueError: names the argument and the form it must have, or says that there is no such day.
    """
    if isinstance(value, dt.date) and value == value:  # noqa: PLR0124 - the NaT of pandas, a datetime, equals nothing
        if isinstance(value, dt.datetime):
            raise ValueError(f"{name} must be a date, not a time of day: pass {value.date().isoformat()!r}.")
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value, re.ASCII):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{name}: there is no day {value!r}: {_what_there_is(value)}.") from None
    raise ValueError(f"{name} must be a date as 'YYYY-MM-DD', not {value!r}.")


def date_range(from_date: str | dt.date, to_date: str | dt.date) -> tuple[dt.date, dt.date]:
    """Read both ends of a range, both inclusive.

    Raises:
        ValueError: an end is not a date, or the range is the wrong way round.
    """
    first, last = as_date(from_date, "from_date"), as_date(to_date, "to_date")
    if first > last:
        raise ValueError(f"from_date {first} is after to_date {last}: swap them.")
    return first, last


def optional_date_range(
    from_date: str | dt.date | None, to_date: str | dt.date | None
) -> tuple[dt.date | None, dt.date | None]:
    """Read both ends of a range, both inclusive; an end that is `None` stays.

    Raises:
        ValueError: an end is not a date, or the range is the wrong way round.
    """
    if from_date is not None and to_date is not None:
        return date_range(from_date, to_date)
    first = None if from_date is None else as_date(from_date, "from_date")
    return first, None if to_date is None else as_date(to_date, "to_date")


def split_date_range(from_date: str | dt.date, to_date: str | dt.date, chunk_days: int = 7) -> list[DateChunk]:
    """Cut a range into chunks of `chunk_days` dates: whole, disjoint, in order; the last may be shorter.

    >>> split_date_range("2024-01-01", "2024-01-10", 7)
    [('2024-01-01', '2024-01-07'), ('2024-01-08', '2024-01-10')]

    Raises:
        ValueError: an end is not a date, the range is the wrong way round, or `chunk_days` is below 1.
    """
    first, last = date_range(from_date, to_date)
    check_chunk_days(chunk_days)
    if isinstance(chunk_days, str):
        raise ValueError("chunk_days must be a number here: only a fetch knows what 'auto' means.")  # noqa: TRY004
    days = (last - first).days + 1
    starts = range(0, days, chunk_days)
    return [_chunk(first, start, min(start + chunk_days, days) - 1) for start in starts]


def dates_between(from_date: str, to_date: str) -> list[str]:
    """Return all dates from one to the other, both inclusive, `YYYY-MM-DD`."""
    return [first for first, _ in split_date_range(from_date, to_date, 1)]


def ranges_of(dates: Iterable[str]) -> list[DateChunk]:
    """Return the first and last dates of each run without a gap, of dates that are sorted."""
    ranges: list[DateChunk] = []
    for date in dates:
        if ranges and days_in((ranges[-1][1], date)) == 2:
            ranges[-1] = ranges[-1][0], date
        else:
            ranges.append((date, date))
    return ranges


def days_in(chunk: DateChunk) -> int:
    """Return how many dates a chunk has."""
    first, last = date_range(*chunk)
    return (last - first).days + 1


def halves(chunk: DateChunk) -> list[DateChunk]:
    """Cut a chunk in two; return one of a single date as it is."""
    first, last = date_range(*chunk)
    days = days_in(chunk)
    return split_date_range(first, last, -(-days // 2))


def check_chunk_days(chunk_days: int | str) -> None:
    """Check the argument. Raises ValueError, which says the rule."""
    if chunk_days == "auto":
        return
    if isinstance(chunk_days, bool) or not isinstance(chunk_days, int) or chunk_days < 1:
        raise ValueError(f"chunk_days must be a whole number of days, 1 or more, or 'auto', not {chunk_days!r}.")


@dataclass(frozen=True, slots=True)
class ProjectDays:
    """When a project's days begin and end.

    Mixpanel counts days in UTC for projects made since 2023, and in the project's time zone for older ones (its docs).
    Its API tells the zone, but not when the project was made. So with a zone both are considered, and without one every
    place on Earth.
    """

    zone: dt.tzinfo | None = None
    """The project's time zone; `None` if it is not known."""

    def earliest(self, moment: dt.datetime) -> dt.date:
        """Return the earliest date that it may be in the project at a moment (aware)."""
        return min(self._dates(moment))

    def latest(self, moment: dt.datetime) -> dt.date:
        """Return the latest date that it may be in the project at a moment (aware)."""
        return max(self._dates(moment))

    def last_complete(self, moment: dt.datetime) -> dt.date:
        """Return the last date that has surely ended at a moment (aware)."""
        return self.earliest(moment) - ONE_DAY

    def _dates(self, moment: dt.datetime) -> list[dt.date]:
        zones = _ANYWHERE if self.zone is None else (dt.UTC, self.zone)
        return [moment.astimezone(zone).date() for zone in zones]


def _what_there_is(day: str) -> str:
    """Say why `YYYY-MM-DD` is not a day."""
    year, month, _ = map(int, day.split("-"))
    if year == 0:
        return "years begin with 0001"
    if not 1 <= month <= 12:
        return "months are 01 to 12"
    return f"{calendar.month_name[month]} {year} has {calendar.monthrange(year, month)[1]} days"


def _chunk(first: dt.date, start: int, end: int) -> DateChunk:
    return (first + start * ONE_DAY).isoformat(), (first + end * ONE_DAY).isoformat()
