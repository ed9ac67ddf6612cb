"""Downloads a chunk's bodies into spools, each until it is whole.

A chunk begins as one request, or as several if a request for as many dates has turned out too large. What came whole is
kept, and only what failed is requested again: in halves, if it may have been too large. Only decoding shows whether a
body is whole, so a retry repeats the decoding of all bodies, but not their download. Back-pressure: `max_workers`
limits the open requests, and one `MemoryBudget` limits the bytes of all bodies in memory.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from mixpanel_async import clock
from mixpanel_async.api.responses import raise_for_response
from mixpanel_async.api.source import Attempts
from mixpanel_async.dates import halves
from mixpanel_async.decode.ending import BrokenEndError
from mixpanel_async.errors import ConnectionLostError, ExportError
from mixpanel_async.export.request import export_parameters
from mixpanel_async.export.request_days import RequestDays
from mixpanel_async.export.spool import MemoryBudget, Spool
from mixpanel_async.terminal import span

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
    from contextlib import AsyncExitStack

    from mixpanel_async.api.source import Source
    from mixpanel_async.api.transport import Response
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.export.plan import Chunking
    from mixpanel_async.selections import EventSelection

logger = logging.getLogger(__name__)

T = TypeVar("T")

_UNFRAMED = (
    "%s: the response's headers gave neither its length nor an end mark. It is taken as whole, but a connection "
    "that was closed early between two lines would look the same."
)


def warn_if_unframed(chunk: DateChunk, bodies: Sequence[Body]) -> None:
    """Log that the framing of one of a chunk's bodies did not mark its end."""
    if not all(body.has_end_mark for body in bodies):
        logger.warning(_UNFRAMED, span(*chunk))


class Body:
    """One request of a chunk, and its body once that has come."""

    def __init__(self, source: Source, chunk: DateChunk, dates: DateChunk, *, failed_before: int = 0) -> None:
        """`failed_before`: how many requests for more dates failed, of which this is a part."""
        name = span(*chunk) if dates == chunk else f"{span(*chunk)} (the request for {span(*dates)})"
        self.dates = dates
        self.spool: Spool | None = None
        self.has_end_mark = True
        """Whether the HTTP framing marked its end."""
        self.attempts = Attempts(source, name, failed_before=failed_before)
        self.requested_at = clock.utc_now()
        """When the attempt that runs was sent."""
        self._known_end: bytes | None = None

    @property
    def known_end(self) -> bytes | None:
        """The broken end of an earlier attempt, if this body is surely whole: then the same end is a bad line."""
        return self._known_end if self.has_end_mark else None

    @property
    def has_failed_before(self) -> bool:
        """Whether the attempt that runs is not the first at these dates."""
        return self.attempts.failures > 0

    @property
    def size(self) -> int:
        """Bytes that came."""
        return 0 if self.spool is None else self.spool.size

    @property
    def is_on_disk(self) -> bool:
        """Whether some of it is in a file."""
        return self.spool is not None and self.spool.is_on_disk

    def read(self, *, keep: bool) -> Iterator[bytes]:
        """Yield the bytes that came, in a thread; unless they are to `keep`, memory is freed on the way."""
        if self.spool is None:
            raise ValueError("this body has not come")
        return self.spool.peek() if keep else self.spool.read()

    @asynccontextmanager
    async def kept_if_whole(self) -> AsyncIterator[None]:
        """Decode the body in the block. If that raises an ExportError, the body is not whole, and is dropped."""
        try:
            yield
        except ExportError as error:
            if self.spool is not None:
                await self.spool.close()
                self.spool = None
            if isinstance(error, BrokenEndError) and self.has_end_mark:
                error.may_be_too_large |= self._known_end is not None  # two different ends: it is cut
                self._known_end = error.end
            raise


def _first_missing(bodies: Sequence[Body]) -> int | None:
    """Return the index of the first body that has not come, or was dropped."""
    return next((index for index, body in enumerate(bodies) if body.spool is None), None)


class Downloads:
    """The downloads of one call."""

    def __init__(
        self,
        source: Source,
        selection: EventSelection,
        chunking: Chunking,
        merges: Mapping[DateChunk, dt.datetime] = MappingProxyType({}),
    ) -> None:
        """`merges` are those of the `Plan`."""
        self._memory = MemoryBudget()
        self._source = source
        self._selection = selection
        self._merges = merges
        self._workers = asyncio.Semaphore(chunking.max_workers)
        self._days = RequestDays(adapts=chunking.is_auto)
        self._fatal: ExportError | None = None

    def expect(self, chunks: int) -> None:
        """Tell how many chunks the call has: each of them needs a request."""
        self._days.expect(chunks)

    async def with_retries(
        self, chunk: DateChunk, stack: AsyncExitStack, use: Callable[[list[Body], int], Awaitable[T]]
    ) -> T:
        """Download a chunk's bodies and use them, until that succeeds or the retry policy ends it.

        Args:
            chunk: its dates.
            stack: keeps the spools open.
            use: gets the bodies, all of them there, and which attempt at the chunk this is, from 1. It decodes each
                in its `kept_if_whole`.

        Raises:
            ExportError: of the last attempt at a request; it names the dates.
            StoreError: the disk is full.
        """
        bodies, attempt = [Body(self._source, chunk, chunk)], 1
        while True:
            try:
                while (index := _first_missing(bodies)) is not None:
                    await self._fetch(bodies, index, chunk, stack)
                return await use(bodies, attempt)
            except ExportError as error:
                if not error.attempts:  # else it is fatal, and another chunk met it first
                    error.from_date, error.to_date = chunk
                if (failed := _first_missing(bodies)) is None:
                    raise
                await self._after_failure(bodies, failed, chunk, error)
            attempt += 1

    async def _after_failure(self, bodies: list[Body], failed: int, chunk: DateChunk, error: ExportError) -> None:
        """Wait, and put what to request in the place of a body that failed. Raises the error at the end.

        Requests that pass meanwhile already know of it.
        """
        body = bodies[failed]
        may_halve = error.may_be_too_large and body.has_failed_before and self._selection.limit is None
        smaller = halves(body.dates) if may_halve else [body.dates]
        is_cut = len(smaller) > 1
        self._days.expect(len(smaller))
        if is_cut:
            self._days.broke_off(chunk, smaller + [other.dates for other in bodies if other is not body])
        await body.attempts.failed(error, may_exceed=is_cut)
        if is_cut:
            failures = body.attempts.failures
            bodies[failed : failed + 1] = [Body(self._source, chunk, half, failed_before=failures) for half in smaller]

    async def _fetch(self, bodies: list[Body], index: int, chunk: DateChunk, stack: AsyncExitStack) -> None:
        """Fetch one of a chunk's bodies, or its first part. Raises ExportError if the response is not one, or the
        connection broke.
        """
        source = self._source
        async with self._workers, source.limiter.slot():
            left = (await source.limiter.budget()).left
            if self._fatal is not None:
                raise self._fatal  # this chunk would meet the same error, so it costs no request
            self._days.sent()
            if not bodies[index].has_failed_before:
                bodies[index : index + 1] = self._parts(bodies[index], chunk, left)
            body = bodies[index]
            parameters = export_parameters(body.dates, self._selection_of(chunk))
            body.requested_at = clock.utc_now()
            try:
                resends = body.attempts.failures
                async with source.transport.get(
                    source.url, parameters, source.credentials, resends=resends
                ) as response:
                    await self._receive(response, body, stack)
            except ExportError as error:
                if error.fatal:
                    self._fatal = error
                raise

    def _parts(self, body: Body, chunk: DateChunk, left: int) -> list[Body]:
        """Return what to request instead of a body for which no request was sent yet. `left` is what the hour has."""
        parts = self._days.parts(body.dates, left)
        return [Body(self._source, chunk, part) for part in parts]

    def _selection_of(self, chunk: DateChunk) -> EventSelection:
        since = self._merges.get(chunk)
        return self._selection if since is None else self._selection.processed_since(since)

    async def _receive(self, response: Response, body: Body, stack: AsyncExitStack) -> None:
        """Check a response and spool its body."""
        await raise_for_response(response)
        spool = Spool(self._memory)
        stack.push_async_exit(spool)
        try:
            async for data in response.iter_bytes():
                await spool.write(data)
                self._source.received(len(data))
            if not (spool.size or response.has_end_mark):
                raise ConnectionLostError("The connection was closed before the first byte of the response's body")
        except ExportError:
            await spool.close()
            raise
        body.spool, body.has_end_mark = spool, response.has_end_mark
        self._days.came(body.dates, spool.size)
