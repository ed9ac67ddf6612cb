"""The plan of `sync_events`: from journal rows and the lookback to chunks. Pure: nothing is read or written."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixpanel_async.dates import ONE_DAY, ProjectDays
from mixpanel_async.export.plan import Plan, plan_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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

    def is_settled(self, row: JournalRow) -> bool:
        """Whether a journal row was requested when the `lookback_days` after its last date were over.

        Not a part of it: a row that was returned for one of its dates may have the time of another, so they are
        requested again together.
        """
        if not row.has_sure_time:
            return False
        over = self.days.last_complete(row.current_to if self.merges else row.fetched_at)
        return row.last <= over - self.lookback_days * ONE_DAY

    def takes_merge(self, row: JournalRow) -> bool:
        """Whether only its late rows are requested. A row that can only be replaced as a whole takes no merge."""
        return self.merges and row.has_sure_time and not row.is_atomic and not self.is_settled(row)

    def held(self, row: JournalRow) -> Range | None:
        """Return the dates of a journal row, unless they are requested whole."""
        return (row.first, row.last) if self.is_settled(row) or self.takes_merge(row) else None


def plan_sync(
    dates: Range, chunking: Chunking, journal: Sequence[JournalRow], budget: Budget, rules: SyncRules
) -> Plan:
    """Return the chunks to request, whole or to merge, in order. They may reach beyond `dates`, to the end of a journal
    row.
    """
    if dates[0] > dates[1]:
        return Plan([])
    inside = [row for row in journal if row.first <= dates[1] and row.last >= dates[0]]
    unsettled = [row for row in inside if not rules.is_settled(row)]
    first = min([dates[0], *(row.first for row in unsettled)])
    last = max([dates[1], *(row.last for row in unsettled)])
    chunks = plan_chunks((first, last), chunking, journal, budget, rules.held)
    merges = {
        (first.isoformat(), last.isoformat()): since
        for first, last, since in _joined(row for row in unsettled if rules.takes_merge(row))
    }
    return Plan(sorted([*chunks, *merges]), merges)


def _joined(rows: Iterable[JournalRow]) -> Iterator[tuple[dt.date, dt.date, dt.datetime]]:
    """Yield the dates of journal rows, and since when their late rows are requested. Neighbours are one request."""
    joined: tuple[dt.date, dt.date, dt.datetime] | None = None
    for row in rows:
        since = row.current_to - OVERLAP
        if joined is not None and joined[1] + ONE_DAY == row.first:
            joined = joined[0], row.last, min(joined[2], since)
            continue
        if joined is not None:
            yield joined
        joined = row.first, row.last, since
    if joined is not None:
        yield joined
