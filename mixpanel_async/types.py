"""The frozen results that callers receive.

Each has a `to_dict` with its fields as keys, in order, ready for `json.dumps`. The constructor raises `ValueError` if a
value breaks a rule.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from mixpanel_async import html, terminal

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def _require(rule: bool, text: str) -> None:  # noqa: FBT001 - a rule is a truth value
    if not rule:
        raise ValueError(text)


_NOT_IN_DICT = {"not in to_dict": True}
"""Marks a field that `to_dict` leaves out."""


def _plain(result: DataclassInstance) -> dict[str, Any]:
    """Return the fields in order, tuples as lists and times as ISO 8601, as JSON has them."""
    return {each.name: _as_json(getattr(result, each.name)) for each in fields(result) if not each.metadata}


def _as_json(value: object) -> object:
    if isinstance(value, tuple):
        return [_as_json(each) for each in value]
    return value.isoformat() if isinstance(value, dt.datetime) else value


@dataclass(frozen=True, slots=True)
class Failure:
    """One chunk that failed, and why."""

    from_date: str
    """First date of the chunk, `YYYY-MM-DD`, inclusive."""
    to_date: str
    """Last date of the chunk, inclusive."""
    attempts: int
    """How often it was tried; 0 if no request was made for it."""
    error: str
    """Why, without the dates: the message of the error that ended the last attempt."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """One chunk has ended: it is committed, or its last attempt failed."""

    from_date: str
    """First date of the chunk, `YYYY-MM-DD`, inclusive."""
    to_date: str
    """Last date of the chunk, inclusive."""
    batch_index: int
    """The chunk's index in the plan, from 0. Hooks are called in order of completion, not of this."""
    total_batches: int
    rows: int
    """Rows committed; 0 if the chunk failed."""
    success: bool
    error: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        _require(self.total_batches > 0, "total_batches must be positive")
        _require(0 <= self.batch_index < self.total_batches, "batch_index must be in [0, total_batches)")
        _require(self.rows >= 0, "rows must not be negative")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """How far a fetch is: of events in chunks, of profiles in pages, which are called chunks here, too.

    No number of a fetch of events ever falls. When a session of profiles expires, all pages are requested again, and
    chunks, rows and failed chunks begin at 0 again.
    """

    total_chunks: int
    """Of events: in the plan of the call; it does not change. Of profiles: pages by Mixpanel's total, and those that
    were requested past it, so it may grow.
    """
    chunks: int = 0
    """Chunks that are committed or have failed; pages that are kept or have failed."""
    rows: int = 0
    """Rows committed so far; profiles on pages that are kept. The result may have fewer: events that two chunks have,
    and profiles that came twice, are told apart at the end; and if a page failed, no profile is in the table.
    """
    bytes: int = 0
    """Bytes received so far, as they came over the wire; those of attempts that broke off count, too."""
    retries: int = 0
    """Requests that failed and were sent again, whole or in halves."""
    rejected_rows: int = 0
    """Lines that are not events, of the chunks that have ended."""
    waiting_until: dt.datetime | None = None
    """When requests go on that wait for more than 10 s, in local time (aware); `None` while none does."""
    waiting_for: str | None = None
    """What they wait for: `the limit of 60 exports an hour`, for example."""
    failed_chunks: int = 0
    """Of `chunks`, those that have failed."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order; the time as ISO 8601."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What a fetch or a sync with the same arguments would do now."""

    chunks: tuple[tuple[str, str], ...]
    """First and last date of each chunk, `YYYY-MM-DD`, both inclusive, in order."""
    requests: int
    """Requests that it sends if none fails."""
    requests_left: int
    """Of the hour's budget."""
    wait_seconds: float
    """How long, at least, the limits hold up the last request."""
    days: int
    """Dates that it requests."""
    settled_days: int
    """Dates of the range that the table holds and that it does not request."""
    expected_bytes: int | None
    """About how many bytes of gzip come, by what came for the same or near dates before; `None` if nothing did. Rows to
    merge are not counted.
    """

    def __str__(self) -> str:
        """Return it as a small table."""
        return terminal.pairs("", self._lines())

    def _repr_html_(self) -> str:
        return html.pairs("What a fetch would do", self._lines())

    def _lines(self) -> tuple[tuple[str, str], ...]:
        longest = max((_days(chunk) for chunk in self.chunks), default=0)
        span = (
            f", {self.chunks[0][0]} to {self.chunks[-1][1]}, up to {terminal.count(longest, 'day')} each"
            if self.chunks
            else ""
        )
        size = "not known" if self.expected_bytes is None else f"about {self.expected_bytes / 1e6:,.0f} MB of gzip"
        return (
            ("chunks", f"{len(self.chunks):,}{span}"),
            ("days", f"{self.days:,} to request, {self.settled_days:,} settled"),
            ("requests", f"{self.requests:,}; {self.requests_left:,} left of this hour"),
            ("wait", _duration(self.wait_seconds)),
            ("size", size),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order, chunks as lists."""
        return _plain(self)


def _days(chunk: tuple[str, str]) -> int:
    first, last = map(dt.date.fromisoformat, chunk)
    return (last - first).days + 1


def _duration(seconds: float) -> str:
    if seconds < 60:
        return "none" if seconds < 1 else f"at least {seconds:.0f} s"
    return f"at least {seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min for the limits"


@dataclass(frozen=True, slots=True)
class BatchResult:
    """How one chunk ended: what the writer acknowledges, and a call's result is added up from."""

    from_date: str
    to_date: str
    rows: int
    """Rows committed, without duplicates; 0 if the chunk failed."""
    success: bool
    error: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        _require(self.rows >= 0, "rows must not be negative")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class ParallelFetchResult:
    """What a parallel fetch committed, and which date ranges failed."""

    table: str
    total_rows: int
    """Rows committed by this call."""
    successful_batches: int
    failed_batches: int
    failed_date_ranges: tuple[tuple[str, str], ...]
    """The chunks that failed, both dates inclusive; the table's rows for these dates are as they were."""
    duration_seconds: float
    fetched_at: dt.datetime
    """When the call ended, aware, in UTC."""
    failures: tuple[Failure, ...] = field(default=(), metadata=_NOT_IN_DICT)
    """The chunks that failed, with the cause; not in `to_dict`."""
    rejected_rows: int = field(default=0, metadata=_NOT_IN_DICT)
    """Lines that are not events, kept in `_mixpanel_rejected`; not in `to_dict`."""

    def __post_init__(self) -> None:
        """Check the values."""
        _require(self.total_rows >= 0, "total_rows must not be negative")
        _require(self.successful_batches >= 0, "successful_batches must not be negative")
        _require(
            self.failed_batches == len(self.failed_date_ranges),
            "failed_batches must equal the number of failed_date_ranges",
        )

    @property
    def rows(self) -> int:
        """The same as `total_rows`, as `FetchResult` calls it."""
        return self.total_rows

    @property
    def has_failures(self) -> bool:
        """Whether any chunk failed."""
        return self.failed_batches > 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order, then `has_failures`; ranges as lists, the time as ISO 8601."""
        return {**_plain(self), "has_failures": self.has_failures}

    def __str__(self) -> str:
        return terminal.pairs(*self._parts())

    def _repr_html_(self) -> str:
        return html.pairs(*self._parts())

    def _parts(self) -> _Parts:
        causes = {(failure.from_date, failure.to_date): f": {failure.error}" for failure in self.failures}
        named = (
            ("events", f"{self.total_rows:,}"),
            ("chunks", f"{self.successful_batches:,} committed, {self.failed_batches:,} failed"),
            ("rejected lines", f"{self.rejected_rows:,}"),
            *_ended(self.duration_seconds, self.fetched_at),
        )
        failed = [f"Failed: {terminal.span(*dates)}{causes.get(dates, '')}" for dates in self.failed_date_ranges]
        return f"Table {self.table}", named, failed


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What a fetch in one transaction committed."""

    table: str
    rows: int
    type: Literal["events", "profiles"]
    duration_seconds: float
    date_range: tuple[str, str] | None
    """Both inclusive; `None` for profiles, which have no dates."""
    fetched_at: dt.datetime
    """When the call ended, aware, in UTC."""
    failures: tuple[Failure, ...] = field(default=(), metadata=_NOT_IN_DICT)
    """Always empty: a failure raises. As in `ParallelFetchResult`; not in `to_dict`."""
    rejected_rows: int = field(default=0, metadata=_NOT_IN_DICT)
    """Lines that are not events, kept in `_mixpanel_rejected`; not in `to_dict`."""
    warnings: tuple[str, ...] = field(default=(), metadata=_NOT_IN_DICT)
    """As in `ParallelProfileFetchResult`; always empty for events, and not in `to_dict`."""

    def __post_init__(self) -> None:
        """Check the values."""
        _require(self.rows >= 0, "rows must not be negative")
        _require(self.type in ("events", "profiles"), "type must be 'events' or 'profiles'")

    @property
    def total_rows(self) -> int:
        """The same as `rows`, as `ParallelFetchResult` calls it."""
        return self.rows

    @property
    def has_failures(self) -> bool:
        """Whether any chunk failed: never, because a failure raises."""
        return bool(self.failures)

    @property
    def failed_date_ranges(self) -> tuple[tuple[str, str], ...]:
        """The chunks that failed: none, because a failure raises."""
        return tuple((failure.from_date, failure.to_date) for failure in self.failures)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order; the range as a list, the time as ISO 8601."""
        return _plain(self)

    def __str__(self) -> str:
        return terminal.pairs(*self._parts())

    def _repr_html_(self) -> str:
        return html.pairs(*self._parts())

    def _parts(self) -> _Parts:
        dates = () if self.date_range is None else (("dates", terminal.span(*self.date_range)),)
        rejected = (("rejected lines", f"{self.rejected_rows:,}"),) if self.type == "events" else ()
        ended = _ended(self.duration_seconds, self.fetched_at)
        return f"Table {self.table}", ((self.type, f"{self.rows:,}"), *dates, *rejected, *ended), self.warnings


@dataclass(frozen=True, slots=True)
class ProfileBatchProgress:
    """One page of profiles has ended: it is kept, or its last attempt failed."""

    page_index: int
    total_pages: int
    """Pages by Mixpanel's total, and those that were requested past it; so it may grow."""
    rows: int
    success: bool
    error: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        _require(self.total_pages > 0, "total_pages must be positive")
        _require(0 <= self.page_index < self.total_pages, "page_index must be in [0, total_pages)")
        _require(self.rows >= 0, "rows must not be negative")
        _require(not (self.success and self.error is not None), "a page that succeeded has no error")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class ParallelProfileFetchResult:
    """What a parallel fetch of profiles stored, and which pages failed."""

    table: str
    total_rows: int
    successful_pages: int
    failed_pages: int
    failed_page_indices: tuple[int, ...]
    duration_seconds: float
    fetched_at: dt.datetime
    warnings: tuple[str, ...] = field(default=(), metadata=_NOT_IN_DICT)
    """What does not add up in what Mixpanel sent: a total, a page that is not full, a repeated profile; a sentence
    each. Not in `to_dict`.
    """
    page_errors: tuple[str, ...] = field(default=(), metadata=_NOT_IN_DICT)
    """Why each of `failed_page_indices` failed, in their order; each begins with its page. Not in `to_dict`."""

    def __post_init__(self) -> None:
        """Check the values."""
        counts = (self.total_rows, self.successful_pages, self.failed_pages)
        _require(min(counts) >= 0, "total_rows and the page counts must not be negative")
        _require(
            len(self.failed_page_indices) == self.failed_pages,
            "failed_pages must equal the number of failed_page_indices",
        )
        _require(
            len(self.page_errors) in {0, self.failed_pages}, "page_errors must have one error a failed page, or none"
        )

    @property
    def has_failures(self) -> bool:
        """Whether any page failed."""
        return self.failed_pages > 0

    def to_dict(self) -> dict[str, Any]:
        """The fields, in order, then `has_failures`; indices as a list, the time as ISO 8601."""
        return {**_plain(self), "has_failures": self.has_failures}

    def __str__(self) -> str:
        return terminal.pairs(*self._parts())

    def _repr_html_(self) -> str:
        return html.pairs(*self._parts())

    def _parts(self) -> _Parts:
        named = (
            ("profiles", f"{self.total_rows:,}"),
            ("pages", f"{self.successful_pages:,} fetched, {self.failed_pages:,} failed"),
            *_ended(self.duration_seconds, self.fetched_at),
        )
        causes = self.page_errors or [f"page {index}" for index in self.failed_page_indices]
        return f"Table {self.table}", named, [*self.warnings, *(f"Failed: {cause}" for cause in causes)]


_Parts = tuple[str, Sequence[tuple[str, str]], Sequence[str]]
"""What a result prints: a title, names with what they have, and notes."""


def _ended(duration_seconds: float, fetched_at: dt.datetime) -> tuple[tuple[str, str], ...]:
    ended = fetched_at.astimezone(dt.UTC)
    return ("took", f"{duration_seconds:,.1f} s"), ("ended", f"{ended:%Y-%m-%d %H:%M:%S} UTC")
