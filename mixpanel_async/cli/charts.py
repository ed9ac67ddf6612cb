"""Numbers as text."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LEVELS = "▁▂▃▄▅▆▇█"
WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
WEEK = dt.timedelta(weeks=1)


def weeks(rows: Mapping[dt.date, int]) -> Iterator[str]:
    """Yield a heading, and a line for each week from the first day's to the last's.

    A block stands for a day, as high as its rows are beside the fullest day's; a day that is not in `rows` has
    none. At the end of a line stand the week's rows. No line is longer than 50 characters.
    """
    yield f"week of     {' '.join(WEEKDAYS)}  {'rows':>14}"
    if not rows:
        return
    monday, most = min(rows) - dt.timedelta(days=min(rows).weekday()), max(rows.values())
    while monday <= max(rows):
        days = [rows.get(monday + dt.timedelta(days=day)) for day in range(7)]
        blocks = " ".join(2 * _block(count, most) for count in days)
        yield f"{monday}  {blocks}  {sum(filter(None, days)):>14,}"
        monday += WEEK


def _block(count: int | None, most: int) -> str:
    if not count:
        return " "
    return LEVELS[(len(LEVELS) * count - 1) // most]
