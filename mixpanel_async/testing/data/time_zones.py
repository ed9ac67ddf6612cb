"""Days as projects reckon them: in UTC, or by the clock on the wall in the project's time zone.

Projects made before 2023 show an event's time as the wall clock, read as if it were UTC (Mixpanel's docs).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Span:
    """A day's moments, in true seconds since 1970; ``zone`` None is UTC."""

    day: date
    zone: ZoneInfo | None = None

    @property
    def start(self) -> int:
        """The first second."""
        return self._midnight(self.day)

    @property
    def end(self) -> int:
        """The second after the last: 23, 24 or 25 hours after the first."""
        return self._midnight(self.day + timedelta(days=1))

    def _midnight(self, day: date) -> int:
        return int(datetime.combine(day, time(), self.zone or UTC).timestamp())

    def walls(self, moments: list[int]) -> list[int]:
        """Return what the clock on the wall shows at each of the day's moments, read as if it were UTC."""
        first, last = _offset(self.start, self.zone), _offset(self.end - 1, self.zone)
        if first == last:
            return [moment + first for moment in moments] if first else moments
        return [wall(moment, self.zone) for moment in moments]

    def skipped(self) -> int | None:
        """Return the first second of the wall clock that it skips on this day, if it goes forward."""
        low, high = self.start - 1, self.end - 1
        before, after = _offset(low, self.zone), _offset(high, self.zone)
        if after <= before:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset(middle, self.zone) == before else (low, middle)
        return high + before


def wall(moment: int, zone: ZoneInfo | None) -> int:
    """Return what the clock on the wall shows at a moment, read as if it were UTC."""
    return moment + _offset(moment, zone)


def _offset(moment: int, zone: ZoneInfo | None) -> int:
    """Return how far the wall clock is ahead of UTC, in seconds."""
    if zone is None:
        return 0
    ahead = datetime.fromtimestamp(moment, zone).utcoffset()
    return int(ahead.total_seconds()) if ahead else 0
