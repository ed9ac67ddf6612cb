"""What `fetch_profiles` returns, added up from how its pages ended."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field

from mixpanel_async.errors import ExportError
from mixpanel_async.types import FetchResult, ParallelProfileFetchResult


@dataclass(slots=True)
class ProfileOutcome:
    """How a fetch ended."""

    rows: int = 0
    """In the table; 0 if it stayed as it was."""
    pages: int = 0
    """Pages that were kept."""
    fetched: int = 0
    """Rows of these pages, with those that repeat a profile."""
    warnings: tuple[str, ...] = ()
    """What does not add up in a download that is complete."""
    errors: dict[int, ExportError] = field(default_factory=dict)
    """The error of each failed page, by its index."""


def parallel_profiles_result(table: str, outcome: ProfileOutcome, started: float) -> ParallelProfileFetchResult:
    """Return the result of a parallel fetch that began at `started` (`time.monotonic`).

    Raises:
        ExportError: every page failed.
    """
    failed = outcome.errors
    if failed and not outcome.pages:
        first = failed[min(failed)]
        error = ExportError(f"All {len(failed)} pages failed. The first: {first}", status=first.status)
        error.attempts = first.attempts
        raise error from first
    return ParallelProfileFetchResult(
        table=table,
        total_rows=outcome.rows,
        successful_pages=outcome.pages,
        failed_pages=len(failed),
        failed_page_indices=tuple(sorted(failed)),
        page_errors=tuple(str(failed[index]) for index in sorted(failed)),
        duration_seconds=time.monotonic() - started,
        fetched_at=dt.datetime.now(dt.UTC),
        warnings=outcome.warnings,
    )


def profiles_result(table: str, outcome: ProfileOutcome, started: float) -> FetchResult:
    """Return the result of a fetch of one page after the other."""
    return FetchResult(
        table=table,
        rows=outcome.rows,
        type="profiles",
        duration_seconds=time.monotonic() - started,
        date_range=None,
        fetched_at=dt.datetime.now(dt.UTC),
        warnings=outcome.warnings,
    )
