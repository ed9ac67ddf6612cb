"""Days and event times in a project's time zone.

Projects created before 2023 export an event's ``time`` as the local wall clock, encoded as if it were UTC (Mixpanel's
docs). This module calls that value wall time. All times are in milliseconds since 1970; a zone of None is UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class ProjectDay:
    """A calendar day in a project's time zone."""

    day: date
    zone: ZoneInfo | None = None

    @property
    def start(self) -> int:
        """The first millisecond of the day, in true UTC."""
        return self._midnight(self.day)

    @property
    def end(self) -> int:
        """The millisecond after the last, in true UTC: usually 23, 24 or 25 hours after the first."""
        return self._midnight(self.day + timedelta(days=1))

    def _midnight(self, day: date) -> int:
        return int(datetime.combine(day, time(), self.zone or UTC).timestamp()) * 1000

    def wall_times(self, moments: list[int]) -> list[int]:
        """Return the wall time of each of the day's moments, which are in true UTC."""
        first, last = _utc_offset(self.start, self.zone), _utc_offset(self.end - 1, self.zone)
        if first == last:
            return [moment + first for moment in moments] if first else moments
        return [wall_time(moment, self.zone) for moment in moments]

    def first_skipped_time(self) -> int | None:
        """Return the first wall time that does not exist on this day, because the clock goes forward.

        None if the clock does not go forward on this day.
        """
        low, high = self.start - 1, self.end - 1
        before, after = _utc_offset(low, self.zone), _utc_offset(high, self.zone)
        if after <= before:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _utc_offset(middle, self.zone) == before else (low, middle)
        return high + before


def wall_time(moment: int, zone: ZoneInfo | None) -> int:
    """Return the wall time of a moment in true UTC."""
    return moment + _utc_offset(moment, zone)


def _utc_offset(moment: int, zone: ZoneInfo | None) -> int:
    """Return how many milliseconds the zone's clock is ahead of UTC."""
    if zone is None:
        return 0
    offset = datetime.fromtimestamp(moment // 1000, zone).utcoffset()
    return int(offset.total_seconds()) * 1000 if offset else 0
