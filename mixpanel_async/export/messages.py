"""What travels in the writer's queue. `None` ends the writer."""

from __future__ import annotations

from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import datetime as dt
    from collections.abc import Sequence

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.event_batches import EventBatch
    from mixpanel_async.decode.repeated_ids import IdSet
    from mixpanel_async.export.results import Outcome


@dataclass(frozen=True, slots=True)
class HoldRepeated:
    """The first message of a long chunk: insert ids that occur more than once in it."""

    chunk: DateChunk
    insert_ids: IdSet


@dataclass(frozen=True, slots=True)
class LoadBatches:
    """Decoded events of one chunk, in the order of its body."""

    chunk: DateChunk
    batches: Sequence[EventBatch]


@dataclass(frozen=True, slots=True)
class EndChunk:
    """The last message of an attempt: commit the chunk, or roll it back."""

    chunk: DateChunk
    whole: bool
    """Whether the end of each body is proven. Only then the chunk is committed."""
    bytes: int
    """Of the bodies, as they came over the wire."""
    attempts: int
    requested_at: dt.datetime
    """When the first of the bodies was requested, aware, in UTC."""
    acknowledge: asyncio.Future[Outcome]
    """Set after the commit or the rollback, never before."""
    context: Context = field(default_factory=copy_context)
    """Of the chunk's task: the commit runs in it, so that its span belongs to the chunk's."""


Message = HoldRepeated | LoadBatches | EndChunk | None
