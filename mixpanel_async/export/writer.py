"""The writer: the one task that reads the queue, and the chunks' transactions.

Each chunk that is being decoded has a `ChunkWriter`, which has a transaction of its own. Several chunks are written at
the same time, each in a thread; the steps of one chunk run one after the other. A step that has begun runs to its end
even if the call is cancelled, so a rollback never overtakes an insert. A chunk is committed only if its `EndChunk` says
that it is whole.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from mixpanel_async import clock, telemetry
from mixpanel_async.errors import DecodeError
from mixpanel_async.export.messages import EndChunk, HoldRepeated, LoadBatches
from mixpanel_async.export.results import Outcome
from mixpanel_async.records import ChunkRecord
from mixpanel_async.terminal import span
from mixpanel_async.threads import finish_in_thread
from mixpanel_async.types import BatchResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.decode.event_batches import EventBatch
    from mixpanel_async.decode.repeated_ids import IdSet
    from mixpanel_async.duck.chunk_loader import ChunkLoader
    from mixpanel_async.export.messages import Message
    from mixpanel_async.threads import Cores

logger = logging.getLogger(__name__)


class Writer:
    """Reads the queue to its end. When it fails or is cancelled, it first rolls every open chunk back."""

    def __init__(self, queue: asyncio.Queue[Message], loader: Callable[[DateChunk], ChunkLoader], cores: Cores) -> None:
        """`loader` creates the loader of a chunk."""
        self._queue = queue
        self._cores = cores
        self._loader = loader
        self._open: dict[DateChunk, ChunkWriter] = {}

    async def run(self) -> None:
        """Write until `None` comes.

        Raises:
            StoreError: DuckDB cannot write; nothing of an open chunk is left.
        """
        try:
            async with asyncio.TaskGroup() as steps:
                while (message := await self._queue.get()) is not None:
                    chunk = self._open.setdefault(message.chunk, ChunkWriter(message.chunk, self._loader))
                    await chunk.previous_step()
                    chunk.step = steps.create_task(self._write(chunk, message))
        finally:
            await finish_in_thread(self._roll_back)  # all in one step, so that a second cancel skips none

    def _roll_back(self) -> None:
        for chunk in self._open.values():
            chunk.roll_back()

    async def _write(self, chunk: ChunkWriter, message: HoldRepeated | LoadBatches | EndChunk) -> None:
        match message:
            case HoldRepeated(_, insert_ids):
                await self._cores.run(chunk.hold_for_duplicates, insert_ids)
            case LoadBatches(_, batches):
                await self._cores.run(chunk.load, batches)
            case EndChunk():
                outcome = await self._cores.run(message.context.run, chunk.end, message)
                del self._open[chunk.dates]  # another attempt gets a new one
                if not message.acknowledge.done():
                    message.acknowledge.set_result(outcome)


class ChunkWriter:
    """One chunk's transaction, opened by its first step. Its methods block: they run in threads, never two at a
    time.
    """

    def __init__(self, dates: DateChunk, loader: Callable[[DateChunk], ChunkLoader]) -> None:
        self.dates = dates
        self.step: asyncio.Task[None] | None = None
        self._open_loader = loader
        self._loader: ChunkLoader | None = None

    async def previous_step(self) -> None:
        """Wait for the step that runs, so that a slow disk holds the queue back."""
        if self.step is not None:
            await asyncio.wait({self.step})

    def hold_for_duplicates(self, insert_ids: IdSet) -> None:
        """See `ChunkLoader.hold_for_duplicates`."""
        self._begun_loader().hold_for_duplicates(insert_ids)

    def load(self, batches: Sequence[EventBatch]) -> None:
        """See `ChunkLoader.load`."""
        self._begun_loader().load(batches)

    def end(self, message: EndChunk) -> Outcome:
        """Commit or roll back, then return the outcome."""
        if not message.whole:
            self.roll_back()
            return Outcome(BatchResult(*self.dates, rows=0, success=False))
        record = ChunkRecord(self.dates, message.bytes, message.attempts - 1, message.requested_at)
        try:
            with telemetry.commit() as commit:
                counts = (loader := self._begun_loader()).commit(record)
                if counts.failure is None:
                    rows, duplicates, rejected = counts.rows, counts.duplicates, counts.rejected
                    telemetry.committed(commit, "events", rows=rows, duplicates=duplicates, rejected_rows=rejected)
                    telemetry.received(message.bytes)
        except BaseException:
            self.roll_back()
            raise
        if counts.failure is not None:
            error = self._no_event(counts.rejected, counts.failure, loader.rejected_in)
            return Outcome.failed(self.dates, error, rejected_rows=counts.rejected)
        if counts.rejected:
            logger.warning(
                "%s: %d lines are not events; they are kept in %s.",
                span(*self.dates),
                counts.rejected,
                loader.rejected_in,
            )
        seconds = (clock.utc_now() - message.requested_at).total_seconds()
        logger.info(
            "%s: %d rows are committed, %.1f s after the request; %d bytes came, in attempt %d.",
            span(*self.dates), counts.rows, seconds, message.bytes, message.attempts,
        )  # fmt: skip
        return Outcome(BatchResult(*self.dates, rows=counts.rows, success=True), rejected_rows=counts.rejected)

    def _no_event(self, rejected: int, first: RejectedLine, kept_in: str) -> DecodeError:
        """Return the error of a chunk of which no line is an event."""
        return DecodeError(
            f"{span(*self.dates)}: none of {rejected} lines is an event; they are kept in {kept_in}. "
            f"The first: {first.reason}.",
            from_date=self.dates[0], to_date=self.dates[1], line_number=first.line_number, line=first.line,
        )  # fmt: skip

    def roll_back(self) -> None:
        """Undo everything; do nothing if nothing was begun, or the transaction is over."""
        if self._loader is not None:
            self._loader.roll_back()

    def _begun_loader(self) -> ChunkLoader:
        if self._loader is None:
            self._loader = self._open_loader(self.dates)
            self._loader.begin()
        return self._loader
