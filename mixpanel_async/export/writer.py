"""The writer: the one task that reads the queue, and the transactions it feeds.

A chunk that is being decoded has a lane here: a transaction on a cursor of its own. Two lanes insert at the same
time, each in a thread; within a lane one step follows the other. Every step runs to its end, whoever is cancelled,
so a roll-back never overtakes an insert. A lane is committed only by a `ChunkEnd` that says its body is whole.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from typing import TYPE_CHECKING

from mixpanel_async.decode.arrow_blocks import batch
from mixpanel_async.decode.event import NoEventError, RejectedLine, read_line
from mixpanel_async.duck.journal import ChunkRecord
from mixpanel_async.export.messages import ChunkEnd, EventBatch, Repeats
from mixpanel_async.threads import finish_in_thread
from mixpanel_async.types import BatchResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.arrow_blocks import EventBlock
    from mixpanel_async.duck.dedup import RefusedRow
    from mixpanel_async.duck.events_table import ChunkTransaction
    from mixpanel_async.export.messages import Message
    from mixpanel_async.threads import Cores

logger = logging.getLogger("mixpanel_async")


class Writer:
    """Reads the queue to its end. When it fails or is cancelled, every open lane is rolled back before it is gone."""

    def __init__(
        self, queue: asyncio.Queue[Message], transaction: Callable[[DateChunk], ChunkTransaction], cores: Cores
    ) -> None:
        self._queue = queue
        self._cores = cores
        self._transaction = transaction
        self._lanes: dict[DateChunk, _Lane] = {}

    async def run(self) -> None:
        """Write until `None` comes.

        Raises:
            StoreError: DuckDB cannot write; nothing of an open chunk is left.
        """
        try:
            async with asyncio.TaskGroup() as steps:
                while (message := await self._queue.get()) is not None:
                    lane = self._lanes.setdefault(message.chunk, _Lane(message.chunk, self._transaction))
                    await lane.idle()
                    lane.step = steps.create_task(self._follow(lane, message))
        finally:
            await finish_in_thread(self._roll_back)  # all in one step, so that a second cancel skips none

    def _roll_back(self) -> None:
        for lane in self._lanes.values():
            lane.roll_back()

    async def _follow(self, lane: _Lane, message: Repeats | EventBatch | ChunkEnd) -> None:
        match message:
            case Repeats(_, insert_ids):
                await self._cores.finish(lane.await_copies, insert_ids)
            case EventBatch(_, blocks):
                await self._cores.finish(lane.insert, blocks)
            case ChunkEnd():
                result = await self._cores.finish(lane.end, message)
                del self._lanes[lane.chunk]  # an attempt that follows gets a fresh one
                if not message.acknowledge.done():
                    message.acknowledge.set_result(result)


class _Lane:
    """One chunk's transaction, opened with its first step. Its methods block: one thread at a time."""

    def __init__(self, chunk: DateChunk, transaction: Callable[[DateChunk], ChunkTransaction]) -> None:
        self.chunk = chunk
        self.step: asyncio.Task[None] | None = None
        self._make = transaction
        self._open: ChunkTransaction | None = None
        self._rejected = 0

    async def idle(self) -> None:
        """Wait for the step that runs: what makes a slow disk hold back the queue."""
        if self.step is not None:
            await asyncio.wait({self.step})

    def await_copies(self, insert_ids: set[str]) -> None:
        """Hold rows of these ids back until the end: their copies are still to come."""
        self._begun().await_copies(insert_ids)

    def insert(self, blocks: Sequence[EventBlock]) -> None:
        """Insert blocks; judge one by one the lines that DuckDB did not take."""
        transaction, rejected = self._begun(), [line for block in blocks for line in block.rejected]
        if batches := [block.events for block in blocks if block.events is not None]:
            rejected += self._judge(transaction, transaction.insert(batches))
        if rejected:
            transaction.reject(rejected)
            self._rejected += len(rejected)

    def end(self, message: ChunkEnd) -> BatchResult:
        """Commit or roll back, and say what is true then."""
        if not message.whole:
            self.roll_back()
            return BatchResult(*self.chunk, rows=0, success=False)
        record = ChunkRecord(self.chunk, message.bytes, message.attempts - 1, dt.datetime.now(dt.UTC))
        try:
            committed = self._begun().commit(record)
        except BaseException:
            self.roll_back()
            raise
        if self._rejected:
            logger.warning(
                "%s to %s: %d lines are no events; they are kept in _mixpanel_rejected.",
                *self.chunk,
                self._rejected,
            )
        return BatchResult(*self.chunk, rows=committed.rows, success=True)

    def roll_back(self) -> None:
        """Leave nothing; nothing to do where nothing was begun, or all is over."""
        if self._open is not None:
            self._open.roll_back()

    def _begun(self) -> ChunkTransaction:
        if self._open is None:
            self._open = self._make(self.chunk)
            self._open.begin()
        return self._open

    def _judge(self, transaction: ChunkTransaction, refused: list[RefusedRow]) -> list[RejectedLine]:
        events, numbers, rejected = [], [], []
        for row in refused:
            line = b'{"event":%b,"properties":%b}' % (row.event, row.properties)
            try:
                events.append(read_line(line))
                numbers.append(row.line)
            except NoEventError as error:
                rejected.append(RejectedLine(row.line, str(error), line))
        if events:
            transaction.insert_judged(batch(events, numbers))
        return rejected
