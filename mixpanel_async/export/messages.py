"""What travels in the writer's queue: a chunk's batches of decoded events, and its end. `None` ends the writer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.arrow_blocks import EventBlock
    from mixpanel_async.types import BatchResult


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Decoded events of one chunk, in the order of its body."""

    chunk: DateChunk
    blocks: Sequence[EventBlock]


@dataclass(frozen=True, slots=True)
class Repeats:
    """The first message of a long chunk: insert ids that come twice in it."""

    chunk: DateChunk
    insert_ids: set[str]


@dataclass(frozen=True, slots=True)
class ChunkEnd:
    """The last of an attempt's messages: commit the chunk, or roll it back as if it had never begun."""

    chunk: DateChunk
    whole: bool
    """Whether the end of the body is proven. Only then there is a commit."""
    bytes: int
    """Of the answer's body, as it came over the wire."""
    attempts: int
    acknowledge: asyncio.Future[BatchResult]
    """Set after the commit or the roll-back, never before."""


Message = Repeats | EventBatch | ChunkEnd | None
