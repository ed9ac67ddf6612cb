"""What a caller gets: each chunk as it ends, and a result for each project."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mixpanel_async.types import BatchProgress, Failure, ParallelFetchResult

if TYPE_CHECKING:
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.distributed.job import ChunkReport


@dataclass(frozen=True, slots=True)
class ProjectBatch:
    """A chunk of a project has ended."""

    project_id: int
    batch: BatchProgress
    """Its index and their number are those of the project."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order, those of `batch` after the project's id."""
        return {"project_id": self.project_id, **self.batch.to_dict()}


@dataclass(slots=True)
class ProjectOutcome:
    """What is known of a project while its chunks end."""

    project_id: int
    started: float = field(default_factory=time.monotonic)
    rows: int = 0
    rejected: int = 0
    succeeded: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, dates: DateChunk, report: ChunkReport) -> None:
        """Add a chunk that has ended."""
        self.rejected += report.rejected
        if report.error is None:
            self.succeeded += 1
            self.rows += report.rows
        else:
            self.failures.append(Failure(*dates, report.attempts, report.error))

    def result(self) -> ParallelFetchResult:
        """Return the result, failures in the order of their dates."""
        failures = sorted(self.failures, key=lambda failure: failure.from_date)
        return ParallelFetchResult(
            table=f"project_id={self.project_id}",
            total_rows=self.rows,
            successful_batches=self.succeeded,
            failed_batches=len(failures),
            failed_date_ranges=tuple((each.from_date, each.to_date) for each in failures),
            duration_seconds=time.monotonic() - self.started,
            fetched_at=dt.datetime.now(dt.UTC),
            failures=tuple(failures),
            rejected_rows=self.rejected,
        )
