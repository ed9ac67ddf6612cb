"""A fetch: a task a chunk, from the question to the acknowledged commit.

What bounds what: `max_workers` the requests that are open, the number of cores the chunks that are decoded and
written, `ON_THE_WAY` more than both the chunks that wait in a spool between the two, and the queue's length the
blocks in memory. So a slow disk holds back the network, and a slow answer holds no transaction.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixpanel_async.api.export import ExportQuery, judge
from mixpanel_async.errors import ConnectionLostError, DecodeError, ExportError, MixpanelError, RateLimitError
from mixpanel_async.pipeline.dates import halves
from mixpanel_async.pipeline.decode import decode, groups, opening
from mixpanel_async.pipeline.messages import ChunkEnd, EventBatch
from mixpanel_async.pipeline.spool import Budget, Spool
from mixpanel_async.pipeline.threads import CORES, Cores
from mixpanel_async.pipeline.writer import Writer
from mixpanel_async.types import BatchProgress, BatchResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.api.limits import Limiter
    from mixpanel_async.api.retry import RetryPolicy
    from mixpanel_async.api.transport import Answer, Transport
    from mixpanel_async.pipeline.dates import DateChunk
    from mixpanel_async.pipeline.hooks import HookCalls
    from mixpanel_async.pipeline.messages import Message
    from mixpanel_async.store.events import ChunkTransaction

logger = logging.getLogger("mixpanel_async")

WRITING = CORES
"""Chunks that are decoded and inserted at the same time: each of them is held in memory."""
QUEUE_GROUPS = 1
"""Groups of decoded blocks that wait for the writer, for all chunks together."""
ON_THE_WAY = CORES
EXCERPT = 4096
"""Bytes of an error's body that are read."""

_ON_TRUST = (
    "%s to %s: the answer's headers told neither its length nor its end. It is stored as whole, but if its "
    "connection was closed early between two lines, that could not be seen."
)


@dataclass(frozen=True, slots=True)
class Source:
    """Mixpanel, as one client sees it."""

    url: str
    credentials: Credentials
    transport: Transport
    limiter: Limiter
    retry: RetryPolicy


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a chunk ended, and the error that ended it."""

    result: BatchResult
    error: MixpanelError | None = None


class Fetch:
    """One call's chunks on their way into one table."""

    def __init__(
        self,
        source: Source,
        query: ExportQuery,
        transaction: Callable[[DateChunk], ChunkTransaction],
        hooks: HookCalls[BatchProgress],
        *,
        max_workers: int,
    ) -> None:
        self._source = source
        self._query = query
        self._hooks = hooks
        self._workers = asyncio.Semaphore(max_workers)
        self._cores = Cores()
        self._writing = asyncio.Semaphore(WRITING)
        self._on_the_way = asyncio.Semaphore(max_workers + ON_THE_WAY)
        self._ended: ExportError | None = None
        self._memory = Budget()
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
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._writer.run())
                async with asyncio.TaskGroup() as inner:
                    tasks = [
                        inner.create_task(self._fetch(chunk, index, len(chunks))) for index, chunk in enumerate(chunks)
                    ]
                await self._queue.put(None)
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        return [task.result() for task in tasks]

    async def _fetch(self, chunk: DateChunk, index: int, total: int) -> Outcome:
        async with self._on_the_way:
            try:
                outcome = Outcome(await self._until_committed(chunk))
            except (ExportError, DecodeError) as error:
                if isinstance(error, ExportError) and error.ends_the_run:
                    raise
                outcome = Outcome(BatchResult(*chunk, rows=0, success=False, error=str(error)), error)
        done = outcome.result
        self._hooks.tell(BatchProgress(*chunk, index, total, done.rows, done.success, done.error))
        return outcome

    async def _until_committed(self, chunk: DateChunk) -> BatchResult:
        """Attempt the chunk, in smaller and smaller requests if it may be too large for one."""
        policy, attempt, requests = self._source.retry, 1, [chunk]
        while True:
            try:
                return await self._attempt(chunk, requests, attempt)
            except DecodeError as error:
                error.args = (f"{chunk[0]} to {chunk[1]}: {error}",)
                raise
            except ExportError as error:
                smaller = self._halved(requests) if error.may_be_too_large and attempt > 1 else requests
                if not error.passing or (attempt >= policy.attempts and smaller == requests):
                    raise _located(error, chunk, attempt) from None
                await self._wait(chunk, attempt, error)
                attempt, requests = attempt + 1, smaller

    async def _wait(self, chunk: DateChunk, attempt: int, error: ExportError) -> None:
        limited = isinstance(error, RateLimitError)
        wait = self._source.retry.wait(attempt, getattr(error, "retry_after", None), limited=limited)
        logger.info("%s to %s: %s. Attempt %d follows in %.1f s.", *chunk, error, attempt + 1, wait)
        if limited:
            self._source.limiter.pause(wait)  # for all: the limit is the project's, not the chunk's
        else:
            await asyncio.sleep(wait)

    def _halved(self, requests: list[DateChunk]) -> list[DateChunk]:
        if self._query.limit is not None:
            return requests  # a limit is one request's
        return [half for request in requests for half in halves(request)]

    async def _attempt(self, chunk: DateChunk, requests: list[DateChunk], attempt: int) -> BatchResult:
        """Have all of the chunk's bodies, then write them in its one transaction."""
        with ExitStack() as stack:
            spools, marked = [], True
            for dates in requests:
                spools.append(stack.enter_context(Spool(self._memory)))
                async with self._workers:
                    marked &= await self._download(dates, spools[-1])
            async with self._writing:
                result = await self._write(chunk, spools, attempt)
        if not marked:
            logger.warning(_ON_TRUST, *chunk)
        return result

    async def _download(self, chunk: DateChunk, spool: Spool) -> bool:
        """Have one body; gives whether its framing told where it ends."""
        source = self._source
        parameters = replace(self._query, from_date=chunk[0], to_date=chunk[1]).parameters()
        async with source.limiter.slot():
            if self._ended is not None:
                raise self._ended  # what another chunk met this one would meet too: it costs no request
            try:
                async with source.transport.get(source.url, parameters, source.credentials) as answer:
                    return await _receive(answer, spool)
            except ExportError as error:
                if error.ends_the_run:
                    self._ended = error
                raise

    async def _write(self, chunk: DateChunk, spools: list[Spool], attempt: int) -> BatchResult:
        size = sum(spool.size for spool in spools)
        try:
            for spool in spools:
                decoded = groups(decode(spool.pieces()))
                while (blocks := await self._cores.finish(next, decoded, None)) is not None:
                    await self._queue.put(EventBatch(chunk, blocks))
        except MixpanelError:
            await self._end(ChunkEnd(chunk, whole=False, bytes=size, attempts=attempt, acknowledge=_promise()))
            raise
        return await self._end(ChunkEnd(chunk, whole=True, bytes=size, attempts=attempt, acknowledge=_promise()))

    async def _end(self, end: ChunkEnd) -> BatchResult:
        await self._queue.put(end)
        return await end.acknowledge


def _promise() -> asyncio.Future[BatchResult]:
    return asyncio.get_running_loop().create_future()


async def _receive(answer: Answer, spool: Spool) -> bool:
    """Judge an answer, and keep its body if it is one."""
    excerpt = b"" if answer.status == 200 else opening(await answer.excerpt(EXCERPT))
    if (error := judge(answer.status, answer.headers, excerpt, now=time.time())) is not None:
        raise error
    async for piece in answer.pieces():
        await spool.write(piece)
    if not (spool.size or answer.has_end_mark):
        raise ConnectionLostError("The connection was closed before the answer's first byte")
    return answer.has_end_mark


def _located(error: ExportError, chunk: DateChunk, attempts: int) -> ExportError:
    """The error, knowing which dates it is about and how often they were asked for."""
    if error.attempts:
        return error  # it ended the run, and other chunks met it too
    error.from_date, error.to_date = chunk
    error.attempts = attempts
    tries = f" (after {attempts} attempts)" if attempts > 1 else ""
    error.args = (f"{chunk[0]} to {chunk[1]}: {error}{tries}",)
    return error


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first cause in a group: what a caller can catch by name."""
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
