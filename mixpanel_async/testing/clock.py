"""FakeClock: the clock of the fake server."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day


class FakeClock:
    """A clock that stands still until it is moved.

    ``now`` is the server's present moment. It decides which day is "today" and which events have arrived.
    ``monotonic()`` measures the rate limits. It is real time plus every step that the clock was moved forward, so a
    test may either wait or move the clock.
    """

    __slots__ = ("_moved_by", "_now")

    def __init__(self, now: datetime | date | str = "2026-02-10") -> None:
        """Set the clock to a moment, or to noon UTC of a day (a date or an ISO date string).

        A moment without a time zone is UTC. Raises ValueError for a string that is not an ISO date or datetime.
        """
        self._now = _parse_moment(now)
        self._moved_by = 0.0

    @property
    def now(self) -> datetime:
        """The present moment, in UTC. It may be set; a later moment also moves ``monotonic()`` forward."""
        return self._now

    @now.setter
    def now(self, now: datetime | date | str) -> None:
        later = _parse_moment(now)
        self._moved_by += max(0.0, (later - self._now).total_seconds())
        self._now = later

    def advance(self, by: float | timedelta) -> None:
        """Move the clock forward by seconds or a timedelta; raises ValueError for a negative one."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if step < timedelta(0):
            msg = f"advance moves the clock forward only, not by {step}: set .now to move it back"
            raise ValueError(msg)
        self.now = self._now + step

    def monotonic(self) -> float:
        """Return seconds that never decrease: real time, plus every step that the clock was moved forward."""
        return time.monotonic() + self._moved_by


def _parse_moment(value: datetime | date | str) -> datetime:
    """Return a moment in UTC; a day is its noon."""
    if isinstance(value, str):
        is_day = len(value) <= len("2026-02-10")
        value = date.fromisoformat(value) if is_day else datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        value = datetime.combine(value, time_of_day(12), UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
