"""Downloads a chunk's bodies into spools, and requests them again until they are whole.

A retry repeats all work on a chunk, decoding included, because only decoding shows whether the bodies are whole.
Back-pressure: `max_workers` limits the open requests, and one `MemoryBudget` limits the bytes of all bodies in memory.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

from mixpanel_async.api.responses import raise_for_response
from mixpanel_async.api.source import Attempts
from mixpanel_async.dates import halves
from mixpanel_async.errors import ConnectionLostError, DecodeError, ExportError
from mixpanel_async.export.request import export_parameters
from mixpanel_async.export.spool import MemoryBudget, Spool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AsyncExitStack

    from mixpanel_async.api.source import Source
    from mixpanel_async.api.transport import Response
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.selections import EventSelection

logger = logging.getLogger("mixpanel_async")

T = TypeVar("T")

UNFRAMED = (
    "%s to %s: the response's headers gave neither its length nor an end mark. It is taken as whole, but a connection "
    "that was closed early between two lines would look the same."
)


class Downloads:
    """The downloads of one call."""

    def __init__(self, source: Source, selection: EventSelection, *, max_workers: int) -> None:
        self._memory = MemoryBudget()
        self._source = source
        self._selection = selection
        self._workers = asyncio.Semaphore(max_workers)
        self._fatal: ExportError | None = None

    async def with_retries(self, chunk: DateChunk, attempt: Callable[[list[DateChunk], int], Awaitable[T]]) -> T:
        """Attempt a chunk until it succeeds or the retry policy ends it.

        From the second failure on, a chunk that may be too large for its requests is requested in halves.

        Args:
            chunk: its dates.
            attempt: gets the dates of each request, and its own number, from 1.

        Raises:
            ExportError: of the last attempt; it names the dates.
            DecodeError: raised by an attempt, and not retried; it names the dates.
        """
        attempts, requests = Attempts(self._source, " to ".join(chunk)), [chunk]
        while True:
            try:
                return await attempt(requests, attempts.number)
            except DecodeError as error:
                error.from_date, error.to_date = chunk
                error.args = (f"{attempts.name}: {error}",)
                raise
            except ExportError as error:
                if not error.attempts:  # else it is fatal, and another chunk met it first
                    error.from_date, error.to_date = chunk
                smaller = self._halved(requests) if error.may_be_too_large and attempts.number > 1 else requests
                await attempts.failed(error, may_exceed=smaller != requests)
                requests = smaller

    async def fetch_bodies(self, requests: Sequence[DateChunk], stack: AsyncExitStack) -> tuple[list[Spool], bool]:
        """Fetch one body per request. The spools stay open as long as `stack`.

        Also return whether the HTTP framing marked the end of every body.

        Raises:
            ExportError: Mixpanel's response is not a body, or the connection broke.
            StoreError: the disk is full.
        """
        spools, all_framed = [], True
        for dates in requests:
            spools.append(await stack.enter_async_context(Spool(self._memory)))
            all_framed &= await self._fetch_body(dates, spools[-1])
        return spools, all_framed

    async def _fetch_body(self, dates: DateChunk, spool: Spool) -> bool:
        source = self._source
        parameters = export_parameters(dates, self._selection)
        async with self._workers, source.limiter.slot():
            if self._fatal is not None:
                raise self._fatal  # this chunk would meet the same error, so it costs no request
            try:
                async with source.transport.get(source.url, parameters, source.credentials) as response:
                    return await _receive(response, spool)
            except ExportError as error:
                if error.fatal:
                    self._fatal = error
                raise

    def _halved(self, requests: list[DateChunk]) -> list[DateChunk]:
        if self._selection.limit is not None:
            return requests  # a limit belongs to one request
        return [half for request in requests for half in halves(request)]


async def _receive(response: Response, spool: Spool) -> bool:
    """Check a response and spool its body; return whether the framing marks the body's end."""
    await raise_for_response(response)
    async for data in response.iter_bytes():
        await spool.write(data)
    if not (spool.size or response.has_end_mark):
        raise ConnectionLostError("The connection was closed before the first byte of the response's body")
    return response.has_end_mark
