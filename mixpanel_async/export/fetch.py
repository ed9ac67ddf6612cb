"""A fetch: a task a chunk, from the question to the acknowledged commit.

What bounds what: `max_workers` the requests that are open, the number of cores the chunks that are decoded and
written, `ON_THE_WAY` more than both the chunks that wait in a spool between the two, and the queue's length the
blocks in memory. So a slow disk holds back the network, and a slow answer holds no transaction.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mixpanel_async.dates import days_in
from mixpanel_async.decode.arrow_blocks import decode, groups
from mixpanel_async.decode.repeated_ids import LONG, RepeatedIds
from mixpanel_async.errors import DecodeError, ExportError, MixpanelError
from mixpanel_async.export.download import ON_TRUST, Downloads
from mixpanel_async.export.messages import ChunkEnd, EventBatch, Repeats
from mixpanel_async.export.writer import Writer
from mixpanel_async.tasks import first_alone
from mixpanel_async.threads import CORES, Cores
from mixpanel_async.types import BatchProgress, BatchResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixpanel_async.api.source import Source
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.duck.events_table import ChunkTransaction
    from mixpanel_async.export.messages import Message
    from mixpanel_async.export.request import ExportQuery
    from mixpanel_async.export.spool import Spool
    from mixpanel_async.progress import HookCalls

logger = logging.getLogger("mixpanel_async")

WRITING = CORES
"""Chunks that are decoded and inserted at the same time: each of them is held in memory."""
QUEUE_GROUPS = 1
"""Groups of decoded blocks that wait for the writer, for all chunks together."""
ON_THE_WAY = CORES


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a chunk ended, and the error that ended it."""

    result: BatchResult
    error: MixpanelError | None = None


class Fetch:
    """One call's chunks on their way into one table."""

    def __init__(  # noqa: PLR0913 - each is one independent thing
        self,
        source: Source,
        query: ExportQuery,
        transaction: Callable[[DateChunk], ChunkTransaction],
        hooks: HookCalls[BatchProgress],
        *,
        max_workers: int,
        deduplicate: bool,
    ) -> None:
        self._deduplicate = deduplicate
        self._downloads = Downloads(source, query, max_workers=max_workers)
        self._hooks = hooks
        self._cores = Cores()
        self._writing = asyncio.Semaphore(WRITING)
        self._on_the_way = asyncio.Semaphore(max_workers + ON_THE_WAY)
        self._queue: asyncio.Queue[Message] = asyncio.Queue(QUEUE_GROUPS)
        self._writer = Writer(self._queue, transaction, self._cores)

    async def run(self, chunks: Sequence[DateChunk]) -> list[Outcome]:
        """Fetch all chunks; the outcomes are in the chunks' order.

        A chunk that fails does not stop the others. Cancelled, it waits for the threads that are writing, and
        leaves whole chunks only.

        Raises:
            ExportError: one that every other chunk would meet too.
            StoreError: DuckDB cannot write.
        """
        with first_alone():
            async with asyncio.TaskGroup() as group:
                group.create_task(self._writer.run())
                async with asyncio.TaskGroup() as inner:
                    tasks = [
                        inner.create_task(self._fetch(chunk, index, len(chunks))) for index, chunk in enumerate(chunks)
                    ]
                await self._queue.put(None)
        return [task.result() for task in tasks]

    async def _fetch(self, chunk: DateChunk, index: int, total: int) -> Outcome:
        async with self._on_the_way:
            try:
                outcome = Outcome(await self._downloads.persist(chunk, partial(self._attempt, chunk)))
            except (ExportError, DecodeError) as error:
                if isinstance(error, ExportError) and error.ends_the_run:
                    raise
                outcome = Outcome(BatchResult(*chunk, rows=0, success=False, error=str(error)), error)
        done = outcome.result
        self._hooks.tell(BatchProgress(*chunk, index, total, done.rows, done.success, done.error))
        return outcome

    async def _attempt(self, chunk: DateChunk, requests: list[DateChunk], attempt: int) -> BatchResult:
        """Have all of the chunk's bodies, then write them in its one transaction."""
        async with AsyncExitStack() as stack:
            spools, marked = await self._downloads.bodies(requests, stack)
            async with self._writing:
                result = await self._write(chunk, spools, attempt)
        if not marked:
            logger.warning(ON_TRUST, *chunk)
        return result

    async def _write(self, chunk: DateChunk, spools: list[Spool], attempt: int) -> BatchResult:
        size = sum(spool.size for spool in spools)
        try:
            if self._deduplicate and size >= LONG * days_in(chunk):
                await self._look_for_repeats(chunk, spools)
            for spool in spools:
                decoded = groups(decode(spool.pieces()))
                while (blocks := await self._cores.finish(next, decoded, None)) is not None:
                    await self._queue.put(EventBatch(chunk, blocks))
        except MixpanelError:
            await self._end(ChunkEnd(chunk, whole=False, bytes=size, attempts=attempt, acknowledge=_promise()))
            raise
        return await self._end(ChunkEnd(chunk, whole=True, bytes=size, attempts=attempt, acknowledge=_promise()))

    async def _look_for_repeats(self, chunk: DateChunk, spools: list[Spool]) -> None:
        repeated = RepeatedIds(spool.look() for spool in spools)
        while await self._cores.finish(repeated.read):
            pass
        await self._queue.put(Repeats(chunk, repeated.found))

    async def _end(self, end: ChunkEnd) -> BatchResult:
        await self._queue.put(end)
        return await end.acknowledge


def _promise() -> asyncio.Future[BatchResult]:
    return asyncio.get_running_loop().create_future()
