"""What is known of a table's chunks: values only. `duck.journal` reads and writes them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.selections import EventSelection

NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One committed chunk of a table. The chunks of a table do not overlap."""

    first: dt.date
    last: dt.date
    """Inclusive."""
    is_final: bool
    """Whether its dates were complete when they were fetched, so that `resume` need not ask for them again."""
    is_atomic: bool
    """Whether it can only be replaced as a whole: it has rows whose own time is out of its range of dates."""
    bytes: int = 0
    """Of its bodies, gzip; 0 if it was split off from another row, which has the bytes of both."""
    fetched_at: dt.datetime = NEVER
    """When all of it was last requested, aware, in UTC."""
    merged_at: dt.datetime | None = None
    """When the rows that Mixpanel had processed since were last requested and merged; `None` if never."""
    has_sure_time: bool = True
    """Whether these times are not in the future, as after a sync with a clock that was ahead."""

    @property
    def current_to(self) -> dt.datetime:
        """Up to when rows that Mixpanel processed are in the table."""
        return self.merged_at or self.fetched_at


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """How a chunk was fetched."""

    dates: DateChunk
    bytes: int
    """Of the bodies, as they came over the wire."""
    retries: int
    fetched_at: dt.datetime
    """When it was requested, aware, in UTC. Rows that Mixpanel processed later may be missing."""


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """What came of a chunk."""

    rows: int = 0
    duplicates: int = 0
    """Rows that were left out, because another has the same key."""
    rejected: int = 0
    """Lines that are not events."""
    first_rejected: RejectedLine | None = None
    span: tuple[dt.date, dt.date] | None = None
    """First and last date of the rows' own times; `None` without rows."""

    @property
    def failure(self) -> RejectedLine | None:
        """The first line, if lines came and none of them is an event. Such a chunk fails, and its lines are kept."""
        return None if self.rows else self.first_rejected


@dataclass(frozen=True, slots=True)
class HeldEvents:
    """What a table holds of some dates, to be compared with Mixpanel's own counts."""

    selection: EventSelection
    days: Mapping[str, int]
    """Rows of each day that is held, in order, of all dates."""
    names: tuple[str, ...]
    """Names of the events of these dates."""
