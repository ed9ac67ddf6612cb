"""The frozen results that callers receive.

Each has a `to_dict` with its fields as keys, in order, ready for `json.dumps`; a value that breaks a rule is a
`ValueError` from the constructor, so a result that exists is a result that adds up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime


def _require(rule: bool, text: str) -> None:  # noqa: FBT001 - a rule is a truth value
    if not rule:
        raise ValueError(text)


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """One chunk is done: committed, or given up after its last attempt."""

    from_date: str
    """First date of the chunk, `YYYY-MM-DD`, inclusive."""
    to_date: str
    """Last date of the chunk, inclusive."""
    batch_index: int
    """The chunk's place in the plan, from 0; calls come in order of completion, not of this."""
    total_batches: int
    rows: int
    """Rows committed, 0 where the chunk failed."""
    success: bool
    error: str | None = None

    def __post_init__(self) -> None:
        """Hold the rules."""
        _require(self.total_batches > 0, "total_batches must be positive")
        _require(0 <= self.batch_index < self.total_batches, "batch_index must be in [0, total_batches)")
        _require(self.rows >= 0, "rows must not be negative")

    def to_dict(self) -> dict[str, Any]:
        """The fields, in order."""
        return {
            "from_date": self.from_date,
            "to_date": self.to_date,
            "batch_index": self.batch_index,
            "total_batches": self.total_batches,
            "rows": self.rows,
            "success": self.success,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class BatchResult:
    """How one chunk ended: what the writer acknowledges, and what a run's result is added up from."""

    from_date: str
    to_date: str
    rows: int
    """Rows committed, after duplicates were dropped; 0 where the chunk failed."""
    success: bool
    error: str | None = None

    def __post_init__(self) -> None:
        """Hold the rule."""
        _require(self.rows >= 0, "rows must not be negative")

    def to_dict(self) -> dict[str, Any]:
        """The fields, in order."""
        return {
            "from_date": self.from_date,
            "to_date": self.to_date,
            "rows": self.rows,
            "success": self.success,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class ParallelFetchResult:
    """What a parallel fetch committed, and which date ranges it did not."""

    table: str
    total_rows: int
    """Rows committed by this run."""
    successful_batches: int
    failed_batches: int
    failed_date_ranges: tuple[tuple[str, str], ...]
    """The chunks to fetch again, both dates inclusive; the table's rows for these dates are untouched."""
    duration_seconds: float
    fetched_at: datetime
    """When the run ended, aware, in UTC."""

    def __post_init__(self) -> None:
        """Hold the rules."""
        _require(self.total_rows >= 0, "total_rows must not be negative")
        _require(self.successful_batches >= 0, "successful_batches must not be negative")
        _require(
            self.failed_batches == len(self.failed_date_ranges),
            "failed_batches must equal the number of failed_date_ranges",
        )

    @property
    def has_failures(self) -> bool:
        """Whether any chunk was given up."""
        return self.failed_batches > 0

    def to_dict(self) -> dict[str, Any]:
        """The fields, in order, then `has_failures`; ranges as lists, the time as ISO 8601."""
        return {
            "table": self.table,
            "total_rows": self.total_rows,
            "successful_batches": self.successful_batches,
            "failed_batches": self.failed_batches,
            "failed_date_ranges": [list(dates) for dates in self.failed_date_ranges],
            "duration_seconds": self.duration_seconds,
            "fetched_at": self.fetched_at.isoformat(),
            "has_failures": self.has_failures,
        }


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What a fetch in one request and one transaction committed."""

    table: str
    rows: int
    type: Literal["events", "profiles"]
    duration_seconds: float
    date_range: tuple[str, str] | None
    """Both inclusive; `None` for profiles, which have no dates."""
    fetched_at: datetime
    """When the run ended, aware, in UTC."""

    def __post_init__(self) -> None:
        """Hold the rules."""
        _require(self.rows >= 0, "rows must not be negative")
        _require(self.type in ("events", "profiles"), "type must be 'events' or 'profiles'")

    def to_dict(self) -> dict[str, Any]:
        """The fields, in order; the range as a list, the time as ISO 8601."""
        return {
            "table": self.table,
            "rows": self.rows,
            "type": self.type,
            "duration_seconds": self.duration_seconds,
            "date_range": None if self.date_range is None else list(self.date_range),
            "fetched_at": self.fetched_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class ProfileBatchProgress:
    """One page of profiles is in, or was given up."""

    page_index: int
    total_pages: int
    rows: int
    success: bool
    error: str | None = None

    def __post_init__(self) -> None:
        """Hold the rules."""
        _require(self.total_pages > 0, "total_pages must be positive")
        _require(0 <= self.page_index < self.total_pages, "page_index must be in [0, total_pages)")
        _require(self.rows >= 0, "rows must not be negative")
        _require(not (self.success and self.error is not None), "a page that succeeded has no error")

    def to_dict(self) -> dict[str, Any]:
        """The fields, in order."""
        return {
            "page_index": self.page_index,
            "total_pages": self.total_pages,
            "rows": self.rows,
            "success": self.success,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class ParallelProfileFetchResult:
    """What a parallel fetch of profiles stored, and which pages it did not get."""

    table: str
    total_rows: int
    successful_pages: int
    failed_pages: int
    failed_page_indices: tuple[int, ...]
    duration_seconds: float
    fetched_at: datetime

    def __post_init__(self) -> None:
        """Hold the rules."""
        counts = (self.total_rows, self.successful_pages, self.failed_pages)
        _require(min(counts) >= 0, "total_rows and the page counts must not be negative")
        _require(
            len(self.failed_page_indices) == self.failed_pages,
            "failed_pages must equal the number of failed_page_indices",
        )

    @property
    def has_failures(self) -> bool:
        """Whether any page was given up."""
        return self.failed_pages > 0

    def to_dict(self) -> dict[str, Any]:
        """The fields, in order, then `has_failures`; indices as a list, the time as ISO 8601."""
        return {
            "table": self.table,
            "total_rows": self.total_rows,
            "successful_pages": self.successful_pages,
            "failed_pages": self.failed_pages,
            "failed_page_indices": list(self.failed_page_indices),
            "duration_seconds": self.duration_seconds,
            "fetched_at": self.fetched_at.isoformat(),
            "has_failures": self.has_failures,
        }
