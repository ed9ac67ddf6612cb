"""How heavy a table's dates are: bytes of gzip a day, from its journal. Pure."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixpanel_async.records import JournalRow

MOST_BYTES = 128 << 20
"""Gzip that one request should bring at most. A body that breaks off is downloaded again from its first byte."""
NEAREST = 7
"""Journal rows on each side that tell what a date weighs that the journal does not have. If each is a day, they are a
week, so that no weekend stands for a whole week.
"""


class Weights:
    """Bytes a day. A date in the journal has its row's mean. Any other has the heaviest of the nearest rows, because a
    chunk that is too small costs less than one that is too large.

    A row that was split off from another has no bytes, so it is not in the journal here, and the other seems heavier
    than it is.
    """

    def __init__(self, journal: Sequence[JournalRow]) -> None:
        """`journal` is in the order of the dates."""
        known = [(row.first.toordinal(), row.last.toordinal(), row.bytes) for row in journal if row.bytes]
        means = [-(-size // (last - first + 1)) for first, last, size in known]
        self._starts: list[int] = []
        self._bytes: list[int] = []
        end = 0
        for index, (first, last, _) in enumerate(known):
            self._add(end, max(means[max(0, index - NEAREST) : index + NEAREST]))
            self._add(first, means[index])
            end = last + 1
        self._add(end, max(means[-NEAREST:], default=0))

    def _add(self, start: int, size: int) -> None:
        """From the date with the ordinal `start` on, each weighs `size`."""
        self._starts.append(start)
        self._bytes.append(size)

    def bytes_of(self, first: int, last: int) -> int:
        """Return about how many bytes the dates with these ordinals have together, both inclusive; 0 if the journal
        knows no bytes.
        """
        total, day = 0, first
        while day <= last:
            index = bisect_right(self._starts, day) - 1
            end = min(last, *(start - 1 for start in self._starts[index + 1 : index + 2]), last)
            total += self._bytes[index] * (end - day + 1)
            day = end + 1
        return total

    def days_within(self, first: int, most_days: int) -> int:
        """Return how many dates, from the one with the ordinal `first`, one request may have: 1 to `most_days`."""
        days, room = 0, MOST_BYTES
        index = bisect_right(self._starts, first) - 1
        while days < most_days:
            following = self._starts[index + 1 : index + 2]
            run = min(following[0] - first, most_days) - days if following else most_days - days
            fitting = min(run, room // self._bytes[index]) if self._bytes[index] else run
            days, room = days + fitting, room - fitting * self._bytes[index]
            if fitting < run:
                break
            index += 1
        return max(1, days)
