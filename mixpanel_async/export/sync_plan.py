"""The plan of `sync_events`: from journal rows and the lookback to chunks. Pure: nothing is read or written."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixpanel_async.dates import ONE_DAY, ProjectDays
from mixpanel_async.export.plan import Plan, plan_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mixpanel_async.api.limits import Budget
    from mixpanel_async.export.plan import Chunking, Range
    from mixpanel_async.records import JournalRow

OVERLAP = dt.timedelta(hours=2)
"""How long before the last request the rows of a merge begin. Rows have come into exports up to 45 minutes after
Mixpanel had processed them (probes by its staff), and the clock of this machine may be wrong.
"""


@dataclass(frozen=True, slots=True)
class SyncRules:
    """Which dates a sync requests again."""

    lookback_days: int
    """Rows that arrive up to so many days after their date are found."""
    merges: bool
    """Whether only rows that Mixpanel processed since the last sync are requested; else whole dates."""
    days: ProjectDays

    def settled(self, row: JournalRow) -> Range | None:
        """Return the dates of a journal row that were requested when `lookback_days` after them were over."""
        if not row.is_final:
            return None
        over = self.days.last_complete(row.current_to if self.merges else row.fetched_at)
        last = min(row.last, over - self.lookback_days * ONE_DAY)
        return (row.first, last) if row.first <= last else None

    def held(self, row: JournalRow) -> Range | None:
        """Return the dates of a journal row that are not requested whole: settled ones, and those to merge into.

        A row that can only be replaced as a whole takes no merge.
        """
        return self.settled(row) if row.is_atomic or not self.merges else (row.first, row.last)


def plan_sync(
    dates: Range, chunking: Chunking, journal: Sequence[JournalRow], budget: Budget, rules: SyncRules
) -> Plan:
    """Return the chunks to request, whole or to merge, in order."""
    chunks = plan_chunks(dates, chunking, journal, budget, rules.held)
    merges = {(first.isoformat(), last.isoformat()): since for first, last, since in _merges(dates, journal, rules)}
    return Plan(sorted([*chunks, *merges]), merges)


def _merges(
    dates: Range, journal: Sequence[JournalRow], rules: SyncRules
) -> Iterator[tuple[dt.date, dt.date, dt.datetime]]:
    """Yield ranges of dates to merge into, and since when rows are requested. Neighbours are one request."""
    joined: tuple[dt.date, dt.date, dt.datetime] | None = None
    for row in journal:
        if (unsettled := _unsettled(dates, row, rules)) is None:
            continue
        (first, last), since = unsettled, row.current_to - OVERLAP
        if joined is not None and joined[1] + ONE_DAY == first:
            joined = joined[0], last, min(joined[2], since)
            continue
        if joined is not None:
            yield joined
        joined = first, last, since
    if joined is not None:
        yield joined


def _unsettled(dates: Range, row: JournalRow, rules: SyncRules) -> Range | None:
    """Return the dates of a journal row to merge into."""
    if not rules.merges or row.is_atomic:
        return None
    settled = rules.settled(row)
    first = max(dates[0], settled[1] + ONE_DAY if settled else row.first)
    last = min(dates[1], row.last)
    return (first, last) if first <= last else None
