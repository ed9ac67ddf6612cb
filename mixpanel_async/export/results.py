"""What `fetch_events` returns, added up from how its chunks ended."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixpanel_async.errors import ExportError, MixpanelError
from mixpanel_async.terminal import without_span
from mixpanel_async.types import BatchResult, Failure, FetchResult, ParallelFetchResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixpanel_async.dates import DateChunk

    Range = tuple[dt.date, dt.date]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a chunk ended."""

    result: BatchResult
    error: MixpanelError | None = None
    """The error that ended its last attempt."""
    rejected_rows: int = 0
    """Its lines that are not events."""

    @classmethod
    def failed(cls, dates: DateChunk, error: MixpanelError, *, rejected_rows: int = 0) -> Outcome:
        """Return that of a chunk that an error ended; its result names the dates, so its error does not."""
        result = BatchResult(*dates, rows=0, success=False, error=without_span(str(error), *dates))
        return cls(result, error, rejected_rows)

    def without_copies(self, copies: Mapping[dt.date, int]) -> Outcome:
        """Return the same without rows that the table shows as another chunk's; see `duck.copies.drop`."""
        if not self.result.success:  # the copies are of rows that it had before
            return self
        first, last = self.result.from_date, self.result.to_date
        dropped = sum(count for day, count in copies.items() if first <= day.isoformat() <= last)
        rows = max(0, self.result.rows - dropped)  # a merge did not count copies that were there before
        return replace(self, result=replace(self.result, rows=rows)) if dropped else self


def parallel_result(table: str, dates: Range, outcomes: Sequence[Outcome], started: float) -> ParallelFetchResult:
    """Return the result of a parallel fetch that began at `started` (`time.monotonic`).

    Raises:
        ExportError: every chunk failed.
    """
    failed = [outcome for outcome in outcomes if not outcome.result.success]
    if failed and len(failed) == len(outcomes):
        first = failed[0].error
        which = "The chunk failed" if len(failed) == 1 else f"All {len(failed)} chunks failed. The first"
        error = ExportError(f"{which}: {first}")
        if isinstance(first, ExportError):
            error.status, error.attempts = first.status, first.attempts
        error.from_date, error.to_date = _as_text(dates)
        error.failures = tuple(map(_failure, failed))
        raise error from first
    return ParallelFetchResult(
        table=table,
        total_rows=sum(outcome.result.rows for outcome in outcomes),
        successful_batches=len(outcomes) - len(failed),
        failed_batches=len(failed),
        failed_date_ranges=tuple((each.result.from_date, each.result.to_date) for each in failed),
        duration_seconds=time.monotonic() - started,
        fetched_at=dt.datetime.now(dt.UTC),
        failures=tuple(map(_failure, failed)),
        rejected_rows=sum(outcome.rejected_rows for outcome in outcomes),
    )


def single_result(table: str, dates: Range, outcomes: Sequence[Outcome], started: float) -> FetchResult:
    """Return the result of a fetch in one transaction.

    Raises:
        ExportError: the error that ended it.
    """
    for outcome in outcomes:
        if isinstance(outcome.error, ExportError):
            raise outcome.error
        if outcome.error is not None:  # no line is an event
            error = ExportError(str(outcome.error), status=200)
            error.from_date, error.to_date = _as_text(dates)
            raise error from outcome.error
    return FetchResult(
        table=table,
        rows=sum(outcome.result.rows for outcome in outcomes),
        type="events",
        duration_seconds=time.monotonic() - started,
        date_range=_as_text(dates),
        fetched_at=dt.datetime.now(dt.UTC),
        rejected_rows=sum(outcome.rejected_rows for outcome in outcomes),
    )


def _failure(outcome: Outcome) -> Failure:
    result = outcome.result
    return Failure(result.from_date, result.to_date, getattr(outcome.error, "attempts", 1), result.error or "")


def _as_text(dates: Range) -> tuple[str, str]:
    return dates[0].isoformat(), dates[1].isoformat()
