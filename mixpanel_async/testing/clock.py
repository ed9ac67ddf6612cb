"""The clock that the fake server tells the time by."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day


class FakeClock:
    """A clock that stands still until it is moved.

    ``now`` is what the fake server takes for the present moment: it decides which day is "today" and
    which events have arrived. ``monotonic()`` is what rate limits are measured with: real time that runs
    on by itself, plus every step the clock was moved forward, so that a test may either wait or leap.
    """

    __slots__ = ("_leapt", "_now")

    def __init__(self, now: datetime | date | str = "2026-02-10") -> None:
        """Set the clock to ``now``: a moment, or a day (a date or an ISO string), which means its noon UTC.

        A moment without a time zone is UTC. Raises ValueError for a string that is no ISO date or time.
        """
        self._now = _moment(now)
        self._leapt = 0.0

    @property
    def now(self) -> datetime:
        """The present moment, in UTC. Setting it to a later moment leaps the rate limits forward too."""
        return self._now

    @now.setter
    def now(self, now: datetime | date | str) -> None:
        later = _moment(now)
        self._leapt += max(0.0, (later - self._now).total_seconds())
        self._now = later

    def advance(self, by: float | timedelta) -> None:
        """Move the clock forward by a number of seconds or a timedelta; raises ValueError for less than 0."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if step < timedelta(0):
            msg = "a clock only advances; set .now to go back"
            raise ValueError(msg)
        self.now = self._now + step

    def monotonic(self) -> float:
        """Seconds that never go back: real ones, plus those the clock was moved forward by."""
        return time.monotonic() + self._leapt


def _moment(value: datetime | date | str) -> datetime:
    """Read a moment; a day alone is its noon."""
    if isinstance(value, str):
        day_alone = len(value) <= len("2026-02-10")
        value = date.fromisoformat(value) if day_alone else datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        value = datetime.combine(value, time_of_day(12), UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
