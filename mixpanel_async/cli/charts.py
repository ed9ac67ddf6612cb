"""Numbers as text."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LEVELS = "▁▂▃▄▅▆▇█"
WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
WEEK = dt.timedelta(weeks=1)


def weeks(rows: Mapping[dt.date, int], columns: int = 80) -> Iterator[str]:
    """Yield a heading, and a line for each week from the first day's to the last's.

    A block stands for a day, as high as its rows are beside the fullest day's; a day that is not in `rows` has
    none. At the end of a line stand the week's rows. A line has 48 characters, or 32 in a terminal of fewer `columns`
    than that, or 18 without the days.
    """
    if columns >= 48:
        wide, between, digits = 2, " ", 14
    elif columns >= 32:
        wide, between, digits = 1, "", 11
    else:
        wide, between, digits = 0, "", 8
    space = "  " if wide else ""
    yield f"{'week of':<10}{space}{between.join(day[:wide] for day in WEEKDAYS)}{space}{'rows':>{digits}}"
    if not rows:
        return
    monday, most = min(rows) - dt.timedelta(days=min(rows).weekday()), max(rows.values())
    while monday <= max(rows):
        days = [rows.get(monday + dt.timedelta(days=day)) for day in range(7)]
        blocks = between.join(wide * _block(count, most) for count in days)
        yield f"{monday}{space}{blocks}{space}{sum(filter(None, days)):>{digits},}"
        monday += WEEK


def _block(count: int | None, most: int) -> str:
    if not count:
        return " "
    return LEVELS[(len(LEVELS) * count - 1) // most]
