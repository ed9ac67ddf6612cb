"""A chunk to fetch, and how that ended: values that travel between processes. They have no secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mixpanel_async.api.limits import RateLimits
from mixpanel_async.api.retry import RetryPolicy
from mixpanel_async.api.transport import Timeouts
from mixpanel_async.dates import DateChunk
from mixpanel_async.selections import EventSelection


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkJob:
    """What a process needs to know to fetch a chunk. It can be pickled, and has no secret."""

    project_id: int
    dates: DateChunk
    """First and last date, `YYYY-MM-DD`, both inclusive."""
    destination: str
    """A path that all processes see, or a URL such as `s3://bucket/folder`."""
    run: str
    """Names the call that this belongs to. A job that is done again in the same run requests nothing."""
    selection: EventSelection = field(default_factory=EventSelection)
    replace: bool = False
    """Request dates again that are there, and were over when they were fetched."""
    deduplicate: bool = True
    region: Literal["us", "eu", "in"] | None = None
    base_url: str | None = None
    limits: RateLimits = field(default_factory=RateLimits)
    """Of the project, for all processes together that export to this destination, whatever `shared` says."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """How a job ended: the chunk is valid, has failed, or waits for the limits."""

    rows: int = 0
    """Rows that are valid for its dates, also those that another run wrote."""
    duplicates: int = 0
    rejected: int = 0
    attempts: int = 0
    """0 if nothing was requested."""
    error: str | None = None
    """The message of the error that ended the last attempt."""
    is_fatal: bool = False
    """Whether every other chunk of the project would meet the same error."""
    wait_seconds: float = 0.0
    """More than 0: the limits allow no request now. Nothing was requested; do the job again after so long."""
    wait_reason: str = ""
    """What it waits for, in words that follow "Waiting for"."""

    @property
    def success(self) -> bool:
        """Whether the chunk's dates are valid."""
        return self.error is None and not self.wait_seconds
