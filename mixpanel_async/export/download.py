"""The bodies of a chunk: asked for, judged, spooled, and asked for again until they will do.

A retry covers the whole of a chunk, what is done with its bodies included, because only that tells whether they are
whole. What bounds what: `max_workers` the requests that are open, and one `Budget` the bytes of all bodies in memory.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from mixpanel_async.api.responses import judge
from mixpanel_async.dates import halves
from mixpanel_async.decode.arrow_blocks import opening
from mixpanel_async.errors import ConnectionLostError, DecodeError, ExportError
from mixpanel_async.export.spool import Budget, Spool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AsyncExitStack

    from mixpanel_async.api.source import Source
    from mixpanel_async.api.transport import Answer
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.export.request import ExportQuery

logger = logging.getLogger("mixpanel_async")

T = TypeVar("T")

EXCERPT = 4096
"""Bytes of an error's body that are read."""

ON_TRUST = (
    "%s to %s: the answer's headers told neither its length nor its end. It is taken as whole, but if its "
    "connection was closed early between two lines, that could not be seen."
)


class Downloads:
    """One call's downloads."""

    def __init__(self, source: Source, query: ExportQuery, *, max_workers: int) -> None:
        self._memory = Budget()
        self._source = source
        self._query = query
        self._workers = asyncio.Semaphore(max_workers)
        self._ended: ExportError | None = None

    async def persist(self, chunk: DateChunk, attempt: Callable[[list[DateChunk], int], Awaitable[T]]) -> T:
        """Attempt a chunk, in smaller and smaller requests if it may be too large for one, as often as the policy says.

        `attempt` gets the dates of its requests and its number, from 1.

        Raises:
            ExportError: what ended the last attempt; it names the dates.
            DecodeError: of the first attempt that raised it; it names the dates.
        """
        policy, number, requests = self._source.retry, 1, [chunk]
        while True:
            try:
                return await attempt(requests, number)
            except DecodeError as error:
                error.from_date, error.to_date = chunk
                error.args = (f"{chunk[0]} to {chunk[1]}: {error}",)
                raise
            except ExportError as error:
                smaller = self._halved(requests) if error.may_be_too_large and number > 1 else requests
                if not error.passing or (number >= policy.attempts and smaller == requests):
                    raise _located(error, chunk, number) from None
                await self._source.wait(" to ".join(chunk), number, error)
                number, requests = number + 1, smaller

    async def bodies(self, requests: Sequence[DateChunk], stack: AsyncExitStack) -> tuple[list[Spool], bool]:
        """Have a body a request; gives them, open as long as `stack`, and whether the framing told where each ends.

        Raises:
            ExportError: an answer that is none, or a connection that broke.
            StoreError: no room for them.
        """
        spools, marked = [], True
        for dates in requests:
            spools.append(await stack.enter_async_context(Spool(self._memory)))
            marked &= await self._body(dates, spools[-1])
        return spools, marked

    async def _body(self, dates: DateChunk, spool: Spool) -> bool:
        source = self._source
        parameters = replace(self._query, from_date=dates[0], to_date=dates[1]).parameters()
        async with self._workers, source.limiter.slot():
            if self._ended is not None:
                raise self._ended  # what another chunk met this one would meet too: it costs no request
            try:
                async with source.transport.get(source.url, parameters, source.credentials) as answer:
                    return await _receive(answer, spool)
            except ExportError as error:
                if error.ends_the_run:
                    self._ended = error
                raise

    def _halved(self, requests: list[DateChunk]) -> list[DateChunk]:
        if self._query.limit is not None:
            return requests  # a limit is one request's
        return [half for request in requests for half in halves(request)]


async def check(answer: Answer) -> None:
    """Raise what an answer's status and headers mean, unless that is a body worth reading."""
    excerpt = b"" if answer.status == 200 else opening(await answer.excerpt(EXCERPT))
    if (error := judge(answer.status, answer.headers, excerpt, now=time.time())) is not None:
        raise error


async def _receive(answer: Answer, spool: Spool) -> bool:
    """Judge an answer, and keep its body if it is one."""
    await check(answer)
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
