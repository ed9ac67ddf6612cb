"""What a call gives its caller, added up from how its chunks ended."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

from mixpanel_async.errors import ExportError
from mixpanel_async.types import FetchResult, ParallelFetchResult, ParallelProfileFetchResult

if TYPE_CHECKING:
    from mixpanel_async.engage.fetch import ProfileOutcome
    from mixpanel_async.export.fetch import Outcome
    from mixpanel_async.export.order import Order, ProfileOrder


def parallel_result(order: Order, outcomes: list[Outcome], started: float) -> ParallelFetchResult:
    """Add up a parallel fetch; raise ExportError where every chunk failed. `started` is of `time.monotonic`."""
    failed = [outcome for outcome in outcomes if not outcome.result.success]
    if failed and len(failed) == len(outcomes):
        first = failed[0].error
        error = ExportError(f"All {len(failed)} chunks failed. The first: {first}")
        if isinstance(first, ExportError):
            error.status, error.attempts = first.status, first.attempts
        error.from_date, error.to_date = order.first.isoformat(), order.last.isoformat()
        raise error from first
    return ParallelFetchResult(
        table=order.table,
        total_rows=sum(outcome.result.rows for outcome in outcomes),
        successful_batches=len(outcomes) - len(failed),
        failed_batches=len(failed),
        failed_date_ranges=tuple((each.result.from_date, each.result.to_date) for each in failed),
        duration_seconds=time.monotonic() - started,
        fetched_at=dt.datetime.now(dt.UTC),
    )


def single_result(order: Order, outcomes: list[Outcome], started: float) -> FetchResult:
    """Give what one request brought, or raise what ended it."""
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return FetchResult(
        table=order.table,
        rows=sum(outcome.result.rows for outcome in outcomes),
        type="events",
        duration_seconds=time.monotonic() - started,
        date_range=(order.first.isoformat(), order.last.isoformat()),
        fetched_at=dt.datetime.now(dt.UTC),
    )


def parallel_profiles_result(
    order: ProfileOrder, outcome: ProfileOutcome, started: float
) -> ParallelProfileFetchResult:
    """Tell of a parallel fetch of profiles; raise ExportError where every page failed."""
    failed = outcome.errors
    if failed and not outcome.pages:
        first = failed[min(failed)]
        error = ExportError(f"All {len(failed)} pages failed. The first: {first}", status=first.status)
        error.attempts = first.attempts
        raise error from first
    return ParallelProfileFetchResult(
        table=order.table,
        total_rows=outcome.rows,
        successful_pages=outcome.pages,
        failed_pages=len(failed),
        failed_page_indices=tuple(sorted(failed)),
        duration_seconds=time.monotonic() - started,
        fetched_at=dt.datetime.now(dt.UTC),
    )


def profiles_result(order: ProfileOrder, outcome: ProfileOutcome, started: float) -> FetchResult:
    """Tell of a fetch of profiles, page after page."""
    return FetchResult(
        table=order.table,
        rows=outcome.rows,
        type="profiles",
        duration_seconds=time.monotonic() - started,
        date_range=None,
        fetched_at=dt.datetime.now(dt.UTC),
    )
