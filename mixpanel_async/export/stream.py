"""A stream: events given to the caller in the order of their dates, nothing stored.

    have    a task a chunk: the bodies are downloaded into spools and proven whole, or asked for again. Nothing of
            them was given yet, so nothing can be given twice.
    give    the head of the line: its bodies are parsed and given, a part at a time. When the caller takes no more,
            nothing goes on: a chunk is asked for only when it is one of the next `max_workers`.

The parser runs on the event loop, in parts of some 0.3 ms with a turn for the others between two of them. A thread
that makes objects holds the loop up for 5 ms at a time (CPython's lock), and was half as fast.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from mixpanel_async.errors import DecodeError, ExportError
from mixpanel_async.export.body import Body
from mixpanel_async.export.download import ON_TRUST, Downloads
from mixpanel_async.export.order import StreamOrder, chunks_of
from mixpanel_async.export.request import ExportQuery
from mixpanel_async.export.spool import Budget
from mixpanel_async.tasks import end, has_failed, result_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable

    from mixpanel_async.api.source import Source
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.decode.parts import Part

logger = logging.getLogger("mixpanel_async")

T_co = TypeVar("T_co", covariant=True)

EXCERPT = 80
"""Bytes of a line that an error shows."""


class Reader(Protocol[T_co]):
    """Makes of one body's lines what the caller gets."""

    def read(self, part: Part) -> Iterable[T_co]:
        """What a part gives."""
        ...

    def end(self) -> Iterable[T_co]:
        """What is left when there are no more."""
        ...


@dataclass(frozen=True, slots=True)
class Proven:
    """A chunk's bodies, which are whole, and what keeps them open."""

    bodies: list[Body]
    open: AsyncExitStack


class Stream(Generic[T_co]):
    """One call's events on their way to the caller."""

    def __init__(
        self,
        order: StreamOrder,
        reader: Callable[[Callable[[RejectedLine], None]], Reader[T_co]],
        on_rejected: Callable[[DecodeError], None] | None,
        spawn: Callable[[Coroutine[object, object, Proven]], asyncio.Task[Proven]],
    ) -> None:
        """`reader` makes one for a body, told whom to tell of lines that are no events; `spawn` starts a download."""
        self._order = order
        self._reader = reader
        self._on_rejected = on_rejected
        self._spawn = spawn
        self._text = Budget()
        self._proof = asyncio.Lock()  # one at a time, so that no turn of the event loop is long

    async def run(self, source: Callable[[], Source]) -> AsyncGenerator[T_co, None]:
        """Give all events, in the order of their chunks.

        Raises:
            ExportError: a chunk could not be had; all of the dates before it were given, nothing of it was.
            DecodeError: a line is no event; all before it were given.
            StoreError: no room for a chunk's bodies.
        """
        async with aclosing(self._bodies(source())) as bodies:
            async for body in bodies:
                reader = self._reader(partial(self._rejected, body.dates))
                async with aclosing(body.parts()) as parts:
                    async for part in parts:
                        for given in reader.read(part):
                            yield given
                for given in reader.end():
                    yield given

    async def _bodies(self, source: Source) -> AsyncGenerator[Body, None]:
        """Each chunk's bodies when its turn comes, open until the next chunk's."""
        selection = self._order.selection
        query = ExportQuery("", "", selection.events, selection.where, selection.limit)
        downloads = Downloads(source, query, max_workers=self._order.max_workers)
        chunks = deque(chunks_of(self._order, [], [], source.limiter.per_hour))
        line: deque[tuple[DateChunk, asyncio.Task[Proven]]] = deque()
        try:
            while chunks or line:
                while chunks and len(line) < self._order.max_workers and not any(has_failed(task) for _, task in line):
                    chunk = chunks.popleft()
                    having = downloads.persist(chunk, partial(self._attempt, downloads, chunk))
                    line.append((chunk, self._spawn(having)))
                proven = await _outcome(*line[0])
                line.popleft()
                async with proven.open:
                    for body in proven.bodies:
                        yield body
        finally:
            await _end([task for _, task in line])

    async def _attempt(self, downloads: Downloads, chunk: DateChunk, requests: list[DateChunk], _: int) -> Proven:
        async with AsyncExitStack() as stack:
            spools, marked = await downloads.bodies(requests, stack)
            bodies = [
                stack.enter_context(Body(dates, spool, self._text))
                for dates, spool in zip(requests, spools, strict=True)
            ]
            async with self._proof:
                for body in bodies:
                    await body.prove()
            if not marked:
                logger.warning(ON_TRUST, *chunk)
            return Proven(bodies, stack.pop_all())

    def _rejected(self, dates: DateChunk, line: RejectedLine) -> None:
        first, last = dates
        error = DecodeError(
            f"{first} to {last}, line {line.line_number}: {line.reason}. It begins {line.line[:EXCERPT]!r}",
            from_date=first, to_date=last, line_number=line.line_number, line=line.line,
        )  # fmt: skip
        if self._on_rejected is None:
            error.add_note("Pass on_rejected=... to be told of such lines and go on without them.")
            raise error
        self._on_rejected(error)


async def _outcome(chunk: DateChunk, task: asyncio.Task[Proven]) -> Proven:
    """What became of the chunk at the head of the line."""
    try:
        return await result_of(task)
    except ExportError as error:
        error.from_date, error.to_date = chunk  # another chunk may have met it first
        error.add_note(f"All events before {chunk[0]} were given, and none from then on.")
        raise


async def _end(tasks: list[asyncio.Task[Proven]]) -> None:
    """End the tasks, and let go of what they have."""
    given, cancelled = await end(tasks)
    async with AsyncExitStack() as stack:  # lets go of all, also where it is cancelled meanwhile
        for proven in given:
            stack.push_async_exit(proven.open)
    if cancelled is not None:
        raise cancelled
