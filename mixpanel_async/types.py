"""The frozen results that callers receive.

Each has a `to_dict` with its fields as keys, in order, ready for `json.dumps`; a value that breaks a rule is a
`ValueError` from the constructor, so a result that exists is a result that adds up.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def _require(rule: bool, text: str) -> None:  # noqa: FBT001 - a rule is a truth value
    if not rule:
        raise ValueError(text)


def _plain(result: DataclassInstance) -> dict[str, Any]:
    """The fields in order, as JSON has them: tuples as lists, times as ISO 8601."""
    return {field.name: _as_json(getattr(result, field.name)) for field in fields(result)}


def _as_json(value: object) -> object:
    if isinstance(value, tuple):
        return [_as_json(each) for each in value]
    return value.isoformat() if isinstance(value, dt.datetime) else value


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
        return _plain(self)


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
        return _plain(self)


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
    fetched_at: dt.datetime
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
        return {**_plain(self), "has_failures": self.has_failures}


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What a fetch in one request and one transaction committed."""

    table: str
    rows: int
    type: Literal["events", "profiles"]
    duration_seconds: float
    date_range: tuple[str, str] | None
    """Both inclusive; `None` for profiles, which have no dates."""
    fetched_at: dt.datetime
    """When the run ended, aware, in UTC."""

    def __post_init__(self) -> None:
        """Hold the rules."""
        _require(self.rows >= 0, "rows must not be negative")
        _require(self.type in ("events", "profiles"), "type must be 'events' or 'profiles'")

    def to_dict(self) -> dict[str, Any]:
        """The fields, in order; the range as a list, the time as ISO 8601."""
        return _plain(self)


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
        return _plain(self)


@dataclass(frozen=True, slots=True)
class ParallelProfileFetchResult:
    """What a parallel fetch of profiles stored, and which pages it did not get."""

    table: str
    total_rows: int
    successful_pages: int
    failed_pages: int
    failed_page_indices: tuple[int, ...]
    duration_seconds: float
    fetched_at: dt.datetime

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
        return {**_plain(self), "has_failures": self.has_failures}
