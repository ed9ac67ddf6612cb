"""`stream_events`: events yielded to the caller in the order of their dates, nothing stored.

    download    One task per chunk: its bodies are spooled and proven whole, or requested again. Nothing of them was
                yielded yet, so nothing can be yielded twice.
    yield       The bodies of the first chunk are parsed and yielded, one small block at a time. When the caller stops
                reading, everything stops: a chunk is requested only if it is one of the next `max_workers`.

The parser runs on the event loop. It needs some 0.3 ms for a block, and other tasks run between two blocks. In a thread
it would hold the loop up for 5 ms at a time (CPython's lock), and it was half as fast.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections import deque
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from mixpanel_async import telemetry
from mixpanel_async.dates import date_range
from mixpanel_async.errors import DecodeError, ExportError
from mixpanel_async.export.download import Downloads, warn_if_unframed
from mixpanel_async.export.no_event import warn_of_no_event
from mixpanel_async.export.plan import Chunking, plan_chunks
from mixpanel_async.export.spool import MemoryBudget
from mixpanel_async.export.stream_body import StreamBody
from mixpanel_async.selections import EventSelection
from mixpanel_async.tasks import cancel_all, has_failed, result_of
from mixpanel_async.terminal import span

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence

    from mixpanel_async.api.source import Source
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.decode.proven_blocks import SmallBlock
    from mixpanel_async.export.download import Body
    from mixpanel_async.telemetry import Span

logger = logging.getLogger(__name__)

T_co = TypeVar("T_co", covariant=True)

TEXT_SIZE = 64 << 20
"""Bytes of text that is kept in memory after its proof; other bodies are gunzipped once more."""
EXCERPT = 80
"""Bytes of a line that an error shows."""


@dataclass(frozen=True, slots=True)
class StreamedEvents:
    """What a call of `stream_events` streams; `of` checks the call's arguments."""

    dates: tuple[dt.date, dt.date]
    selection: EventSelection
    chunking: Chunking

    @classmethod
    def of(  # noqa: PLR0913 - the call's arguments
        cls,
        from_date: str | dt.date,
        to_date: str | dt.date,
        *,
        events: Iterable[str] | None = None,
        where: str | None = None,
        limit: int | None = None,
        parallel: bool = False,
        max_workers: int = 10,
        chunk_days: int | Literal["auto"] = "auto",
    ) -> StreamedEvents:
        """Check the arguments.

        Raises:
            ValueError: names the argument and what it must be.
        """
        dates, selection = date_range(from_date, to_date), EventSelection.of(events, where, limit)
        return cls(dates, selection, Chunking.of(chunk_days, max_workers, limit, parallel=parallel, stream=True))


class Reader(Protocol[T_co]):
    """Turns the lines of one body into what the caller gets."""

    def read(self, block: SmallBlock) -> Iterable[T_co]:
        """Read the next block."""
        ...

    def end(self) -> Iterable[T_co]:
        """End the body; return what is left."""
        ...


@dataclass(frozen=True, slots=True)
class ProvenChunk:
    """A chunk's bodies, which are whole, and what keeps them open."""

    bodies: list[StreamBody]
    open: AsyncExitStack


class EventStream(Generic[T_co]):
    """One call's events on their way to the caller."""

    def __init__(
        self,
        streamed: StreamedEvents,
        reader: Callable[[Callable[[RejectedLine], None]], Reader[T_co]],
        on_rejected: Callable[[DecodeError], object] | None,
        spawn: Callable[[Coroutine[object, object, ProvenChunk]], asyncio.Task[ProvenChunk]],
        check_last: Callable[[dt.date], Awaitable[object]],
    ) -> None:
        """`reader` creates a body's reader, and gets what it calls for rejected lines; `spawn` starts a download.
        `check_last` raises ValueError if the last date has not begun.
        """
        self._streamed = streamed
        self._reader = reader
        self._on_rejected = on_rejected
        self._spawn = spawn
        self._check_last = check_last
        self._text = MemoryBudget(TEXT_SIZE)
        self._has_rejected = False
        self._proving = asyncio.Lock()  # one chunk at a time, so that the event loop is never held up for long

    async def run(
        self, get_source: Callable[[], Source], name: str, *, if_empty: Iterable[T_co] = ()
    ) -> AsyncGenerator[T_co, None]:
        """Yield all events in the order of their chunks. If there is no event, yield `if_empty`. `name` is the call's,
        for logs and spans.

        Raises:
            ValueError: the last date has not begun in the project.
            ExportError: a chunk failed; all events of the dates before it were yielded, none of its own.
            DecodeError: a line is not an event; all before it were yielded.
            StoreError: the disk is full.
            RuntimeError: the client was closed.
        """
        read: T_co | None = None
        source = get_source()
        with telemetry.call(name, is_current=False) as call:
            with call.current():
                await self._check_last(self._streamed.dates[1])
            async with aclosing(self._bodies(source, call)) as bodies:
                async for body in bodies:
                    reader = self._reader(partial(self._reject, body.dates))
                    async with aclosing(body.blocks()) as blocks:
                        async for block in blocks:
                            get_source()  # raises if the client was closed meanwhile
                            for read in reader.read(block):
                                yield read
                    for read in reader.end():
                        yield read
        if read is None:
            if not self._has_rejected:
                warn_of_no_event(self._streamed.selection, self._streamed.dates)
            for read in if_empty:
                yield read

    async def _bodies(self, source: Source, call: Span) -> AsyncGenerator[StreamBody, None]:
        """Yield each chunk's bodies in turn; they are open until the next chunk's."""
        streamed, workers = self._streamed, self._streamed.chunking.max_workers
        downloads = Downloads(source, streamed.selection, streamed.chunking)
        budget = await source.limiter.budget()
        chunks = deque(plan_chunks(streamed.dates, streamed.chunking, [], budget))
        downloads.expect(len(chunks))
        self._tell(call, len(chunks))
        downloading: deque[tuple[DateChunk, asyncio.Task[ProvenChunk]]] = deque()
        try:
            while chunks or downloading:
                while chunks and len(downloading) < workers and not any(has_failed(task) for _, task in downloading):
                    chunk = chunks.popleft()
                    with call.current():
                        downloading.append((chunk, self._spawn(self._download(downloads, chunk))))
                proven = await _result_of_chunk(*downloading[0])
                downloading.popleft()
                async with proven.open:
                    for body in proven.bodies:
                        yield body
        finally:
            await _cancel_downloads([task for _, task in downloading])

    def _tell(self, call: Span, chunks: int) -> None:
        """Tell, in the log and the call's span, what is requested."""
        first, last = map(str, self._streamed.dates)
        call.set(from_date=first, to_date=last, chunks=chunks)
        logger.info("Stream of %s: %d chunks are requested.", span(first, last), chunks)

    async def _download(self, downloads: Downloads, chunk: DateChunk) -> ProvenChunk:
        with telemetry.chunk(chunk):
            async with AsyncExitStack() as stack:
                bodies, texts = await downloads.with_retries(chunk, stack, partial(self._prove, chunk))
                stack.push_async_exit(texts)
                return ProvenChunk(bodies, stack.pop_all())

    async def _prove(self, chunk: DateChunk, bodies: Sequence[Body], _: int) -> tuple[list[StreamBody], AsyncExitStack]:
        """Prove a chunk's bodies; also return what keeps their text."""
        async with AsyncExitStack() as stack:
            proven = [stack.enter_context(StreamBody(body, self._text)) for body in bodies]
            async with self._proving:
                for each, body in zip(proven, bodies, strict=True):
                    async with body.kept_if_whole():
                        await each.prove()
            warn_if_unframed(chunk, bodies)
            telemetry.received(sum(body.size for body in bodies))
            return proven, stack.pop_all()

    def _reject(self, dates: DateChunk, line: RejectedLine) -> None:
        self._has_rejected = True
        error = DecodeError(
            f"{span(*dates)}, line {line.line_number}: {line.reason}. It begins {line.line[:EXCERPT]!r}",
            from_date=dates[0], to_date=dates[1], line_number=line.line_number, line=line.line,
        )  # fmt: skip
        if self._on_rejected is None:
            error.add_note("Pass on_rejected=... to get such lines and continue without them.")
            raise error
        self._on_rejected(error)


async def _result_of_chunk(chunk: DateChunk, task: asyncio.Task[ProvenChunk]) -> ProvenChunk:
    """Return the bodies of the first chunk in line, or raise its error."""
    try:
        return await result_of(task)
    except ExportError as error:
        error.from_date, error.to_date = chunk  # a fatal error may come from another chunk
        error.add_note(f"All events before {chunk[0]} were yielded, and none from then on.")
        raise


async def _cancel_downloads(tasks: list[asyncio.Task[ProvenChunk]]) -> None:
    """Cancel the tasks, and close what they have."""
    proven, cancelled = await cancel_all(tasks)
    async with AsyncExitStack() as stack:  # closes all, even if it is cancelled meanwhile
        for each in proven:
            stack.push_async_exit(each.open)
    if cancelled is not None:
        raise cancelled
