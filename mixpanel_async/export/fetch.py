"""`fetch_events`: plan the chunks and prepare the table; then one task per chunk, from its request to its commit.

Back-pressure: `max_workers` limits the open requests. The number of cores limits the chunks that are decoded and
written. Between the two, chunks wait in spools; `CHUNKS_WAITING` limits them. The queue limits the batches in memory.
So a slow disk holds the network back, and a slow response holds no transaction.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from mixpanel_async import clock, telemetry
from mixpanel_async.dates import ProjectDays, date_range, days_in
from mixpanel_async.decode.event_batches import decode, grouped
from mixpanel_async.decode.repeated_ids import LONG_DAY, RepeatedIds
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.errors import ExportError, MixpanelError, StoreError
from mixpanel_async.export.download import Downloads, warn_if_unframed
from mixpanel_async.export.messages import EndChunk, HoldRepeated, LoadBatches
from mixpanel_async.export.plan import Chunking, Plan, keep_final, keep_nothing, plan_chunks
from mixpanel_async.export.results import Outcome
from mixpanel_async.export.sync_plan import plan_sync
from mixpanel_async.export.writer import Writer
from mixpanel_async.meter import FetchMeter
from mixpanel_async.progress import HookCalls
from mixpanel_async.selections import EventSelection
from mixpanel_async.tasks import raise_first_cause
from mixpanel_async.terminal import span
from mixpanel_async.threads import CORES, Cores
from mixpanel_async.types import BatchProgress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from mixpanel_async.api.limits import Budget
    from mixpanel_async.api.source import Source
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.duck.chunk_loader import ChunkLoader
    from mixpanel_async.export.download import Body
    from mixpanel_async.export.messages import Message
    from mixpanel_async.export.sync_plan import SyncRules
    from mixpanel_async.holding import HeldDatabase
    from mixpanel_async.meter import Progress
    from mixpanel_async.records import JournalRow

    BatchHook = Callable[[BatchProgress], object]

logger = logging.getLogger(__name__)

CHUNKS_AT_ONCE = CORES
"""Chunks that are decoded and inserted at the same time; each of them is held in memory."""
QUEUE_LENGTH = 1
"""Messages that wait for the writer, for all chunks together."""
CHUNKS_WAITING = CORES
"""Chunks that wait in a spool, above those that are downloaded."""


@dataclass(frozen=True, slots=True)
class EventFetch:
    """What a call of `fetch_events` fetches into which table; `of` checks the call's arguments."""

    table: str
    dates: tuple[dt.date, dt.date]
    selection: EventSelection
    chunking: Chunking
    append: bool
    resume: bool
    deduplicate: bool
    sync: SyncRules | None = None
    """What `sync_events` requests again; `None` for `fetch_events`."""
    days: ProjectDays = field(default_factory=ProjectDays)
    """The project's days, as far as they are known."""
    mended_by: str = "resume=True"
    """What fetches dates again that failed, for the log."""

    @classmethod
    def of(  # noqa: PLR0913 - the call's arguments
        cls,
        name: str,
        from_date: str | dt.date,
        to_date: str | dt.date,
        *,
        events: Iterable[str] | None = None,
        where: str | None = None,
        limit: int | None = None,
        append: bool = False,
        resume: bool = False,
        deduplicate: bool = True,
        parallel: bool = False,
        max_workers: int = 10,
        chunk_days: int | Literal["auto"] = "auto",
    ) -> EventFetch:
        """Check the arguments.

        Raises:
            ValueError: names the argument and what it must be.
        """
        dates, selection = date_range(from_date, to_date), EventSelection.of(events, where, limit)
        chunking = Chunking.of(chunk_days, max_workers, limit, parallel=parallel, stream=False)
        if append and resume:
            raise ValueError("append fetches the dates again, resume only those that are missing: pass one of them.")
        return cls(check_table_name(name), dates, selection, chunking, append, resume, deduplicate)

    def plan(self, journal: Sequence[JournalRow], budget: Budget) -> Plan:
        """Return what to request if the table holds this."""
        if self.sync is not None:
            return plan_sync(self.dates, self.chunking, journal, budget, self.sync)
        keep = keep_final if self.resume else keep_nothing
        return Plan(plan_chunks(self.dates, self.chunking, journal, budget, keep))

    def last_complete_day(self) -> dt.date | None:
        """Return the last date that need not be fetched again if it is fetched now; `None` if each must be.

        A limited response is never complete; a day that has not ended may still grow.
        """
        return None if self.selection.limit else self.days.last_complete(clock.utc_now())


async def fetch_events(
    fetch: EventFetch, source: Source, hook: BatchHook | None, progress: Progress, held: HeldDatabase
) -> list[Outcome]:
    """Fetch what the table lacks. A table that was created for it and stayed empty is dropped again.

    Raises, and leaves on a cancel, what `ChunkFetcher.run` does.
    """
    table = EventsTable(held.database, fetch.table, project=source.project, deduplicate=fetch.deduplicate)
    try:
        plan = await held.run(_prepare, fetch, table, await source.limiter.budget(), create=True)
        _tell(fetch, plan)
        loader = partial(table.loader, last_complete_day=fetch.last_complete_day(), merges=plan.merges)
        hooks, meter = HookCalls(hook), FetchMeter(progress, fetch.table, len(plan.chunks))
        source = replace(source, meter=meter)
        async with hooks.running(), meter.running(source.limiter.waits, held.waits):
            outcomes = await ChunkFetcher(fetch, plan, source, loader, held, hooks=hooks, meter=meter).run()
    except BaseException:
        await _finish(table, held, wait=False)
        raise
    copies = await _finish(table, held, wait=True)
    outcomes = [outcome.without_copies(copies) for outcome in outcomes]
    results = [outcome.result for outcome in outcomes]
    rows, whole = sum(result.rows for result in results), sum(result.success for result in results)
    logger.info("Table %r: %d rows in %d of %d chunks are committed.", fetch.table, rows, whole, len(results))
    return outcomes


def _tell(fetch: EventFetch, plan: Plan) -> None:
    """Tell, in the log and the call's span, what is requested."""
    first, last = map(str, fetch.dates)
    chunks = len(plan.chunks)
    telemetry.describe_call(table=fetch.table, from_date=first, to_date=last, chunks=chunks)
    logger.info("Table %r, %s: %d chunks are requested.", fetch.table, span(first, last), chunks)


def _prepare(fetch: EventFetch, table: EventsTable, budget: Budget) -> Plan:
    """Plan and prepare the table; return the plan."""
    table.check(fetch.selection, append=fetch.append, resume=fetch.resume)
    plan = fetch.plan(table.journal(), budget)
    table.prepare(fetch.selection, plan.chunks)
    return plan


async def _finish(table: EventsTable, held: HeldDatabase, *, wait: bool) -> dict[dt.date, int]:
    """Finish the table. If that fails, the next fetch into it does it: all that is committed stays."""
    if not table.is_prepared:
        return {}
    try:
        return await held.run(table.finish, wait=wait)
    except StoreError as error:
        level = logging.WARNING if wait else logging.INFO  # else the error that ended the call says more
        logger.log(level, "%s The next fetch into this table does it; until then, events may be there twice.", error)
        return {}


class ChunkFetcher:
    """One call's chunks on their way into a table, or wherever their loaders put them."""

    def __init__(  # noqa: PLR0913 - what a call is made of
        self,
        fetch: EventFetch,
        plan: Plan,
        source: Source,
        loader: Callable[[DateChunk], ChunkLoader],
        held: HeldDatabase,
        *,
        hooks: HookCalls[BatchProgress],
        meter: FetchMeter,
    ) -> None:
        """`loader` creates the loader of a chunk in the database that is `held`."""
        self._deduplicate = fetch.deduplicate
        self._plan = plan
        self._mended_by = fetch.mended_by
        self._downloads = Downloads(source, fetch.selection, fetch.chunking, plan.merges)
        self._held = held
        self._chunks_held = 0
        self._hooks = hooks
        self._meter = meter
        self._cores = Cores()
        self._writing = asyncio.Semaphore(CHUNKS_AT_ONCE)
        self._spooled = asyncio.Semaphore(fetch.chunking.max_workers + CHUNKS_WAITING)
        self._queue: asyncio.Queue[Message] = asyncio.Queue(QUEUE_LENGTH)
        self._writer = Writer(self._queue, loader, self._cores)

    async def run(self) -> list[Outcome]:
        """Fetch all chunks; the outcomes are in the chunks' order.

        A chunk that fails does not stop the others. When it is cancelled, this waits for the threads that write, and
        leaves whole chunks only.

        Raises:
            ExportError: a fatal one, which every other chunk would meet, too.
            StoreError: DuckDB cannot write.
        """
        chunks = self._plan.chunks
        self._downloads.expect(len(chunks))
        with self._closed_at_the_end(), raise_first_cause():
            async with asyncio.TaskGroup() as group:
                group.create_task(self._writer.run())
                async with asyncio.TaskGroup() as inner:
                    tasks = [
                        inner.create_task(self._fetch(chunk, index, len(chunks))) for index, chunk in enumerate(chunks)
                    ]
                await self._queue.put(None)
        return [task.result() for task in tasks]

    async def _fetch(self, chunk: DateChunk, index: int, total: int) -> Outcome:
        async with self._spooled, AsyncExitStack() as stack:
            trace = stack.enter_context(telemetry.chunk(chunk))
            try:
                outcome = await self._downloads.with_retries(chunk, stack, partial(self._write, chunk))
            except ExportError as error:
                if error.fatal:
                    raise
                outcome = Outcome.failed(chunk, error)
            if outcome.error is not None:
                trace.failed(outcome.error)
        if outcome.error is not None:
            logger.warning(
                "%s The other chunks go on; %s fetches these dates again.", _sentence(outcome.error), self._mended_by
            )
        result = outcome.result
        self._meter.ended(result.rows, rejected_rows=outcome.rejected_rows, has_failed=not result.success)
        self._hooks.notify(BatchProgress(*chunk, index, total, result.rows, result.success, result.error))
        return outcome

    async def _write(self, chunk: DateChunk, bodies: Sequence[Body], attempt: int) -> Outcome:
        """Write the chunk's bodies in its one transaction."""
        async with self._writing, self._database_open():
            try:
                if self._deduplicate and _size(bodies) >= LONG_DAY * days_in(chunk):
                    await self._find_repeated_ids(chunk, bodies)
                for body in bodies:
                    await self._load(chunk, body, keep=len(bodies) > 1)
            except MixpanelError:
                await self._end(chunk, bodies, attempt, whole=False)
                raise
            outcome = await self._end(chunk, bodies, attempt, whole=True)
        warn_if_unframed(chunk, bodies)
        return outcome

    @asynccontextmanager
    async def _database_open(self) -> AsyncIterator[None]:
        """Keep the database open for one chunk, whose transaction ends in the block. If the block is cancelled, it ends
        later, with the writer: then `run` closes the database.
        """
        await self._held.open()
        self._chunks_held += 1
        try:
            yield
        except MixpanelError:
            self._close_database()
            raise
        self._close_database()

    @contextmanager
    def _closed_at_the_end(self) -> Iterator[None]:
        """Close the database, after the block, for chunks that could not."""
        try:
            yield
        finally:
            while self._chunks_held:
                self._close_database()

    def _close_database(self) -> None:
        self._chunks_held -= 1
        self._held.close()

    async def _load(self, chunk: DateChunk, body: Body, *, keep: bool) -> None:
        groups = grouped(decode(body.read(keep=keep), body.known_end))
        async with body.kept_if_whole():
            while (batches := await self._cores.run(next, groups, None)) is not None:
                await self._queue.put(LoadBatches(chunk, batches))

    async def _find_repeated_ids(self, chunk: DateChunk, bodies: Sequence[Body]) -> None:
        repeated = RepeatedIds(body.read(keep=True) for body in bodies)
        while await self._cores.run(repeated.read):
            pass
        await self._queue.put(HoldRepeated(chunk, repeated.found()))

    async def _end(self, chunk: DateChunk, bodies: Sequence[Body], attempt: int, *, whole: bool) -> Outcome:
        acknowledge: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        requested_at = min(body.requested_at for body in bodies)
        await self._queue.put(EndChunk(chunk, whole, _size(bodies), attempt, requested_at, acknowledge))
        return await acknowledge


def _size(bodies: Iterable[Body]) -> int:
    return sum(body.size for body in bodies)


def _sentence(error: MixpanelError) -> str:
    return f"{str(error).removesuffix('.')}."
