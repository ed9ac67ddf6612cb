"""One chunk of one project: from its request to valid files. Any process may do it: a Dask worker, a process pool, a
task of Airflow or Prefect.
"""

from __future__ import annotations

import asyncio
import math
import os
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mixpanel_async.api.hosts import choose_host
from mixpanel_async.api.limits import Limiter
from mixpanel_async.api.source import Source
from mixpanel_async.api.transport import Transport
from mixpanel_async.dataset.budget_folder import FolderRecord
from mixpanel_async.dataset.chunk_files import ChunkFiles
from mixpanel_async.dataset.manifests import Manifests
from mixpanel_async.dataset.object_folder import open_folder
from mixpanel_async.dates import date_range, dates_between, days_in
from mixpanel_async.distributed.job import ChunkReport
from mixpanel_async.distributed.workers_credentials import find_credentials
from mixpanel_async.duck.chunk_loader import ChunkLoader
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.parquet_sink import ParquetSink
from mixpanel_async.duck.workbench import Workbenches
from mixpanel_async.errors import ConfigurationError, ExportError, MixpanelError, SelectionMismatchError
from mixpanel_async.export.fetch import ChunkFetcher, EventFetch
from mixpanel_async.export.plan import Chunking, Plan
from mixpanel_async.export.request import export_url
from mixpanel_async.holding import HeldDatabase
from mixpanel_async.meter import FetchMeter
from mixpanel_async.progress import HookCalls
from mixpanel_async.terminal import span, without_span
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from typing import Self

    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.dataset.folder import Folder
    from mixpanel_async.dataset.manifest import Manifest
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.distributed.job import ChunkJob
    from mixpanel_async.distributed.workers_credentials import CredentialsOf
    from mixpanel_async.duck.workbench import Workbench

SHORT_WAIT = 10.0
"""Seconds that a worker waits for the limits; for a longer time it is given back."""
LOOK_AGAIN = 60.0
"""Seconds after which a process that waits for long looks again: somebody else may have fetched the chunk."""

_OF_THE_PROJECT = (ConfigurationError, SelectionMismatchError)
"""Errors that every chunk of the project would meet."""


def fetch_chunk_to_parquet(job: ChunkJob, credentials: CredentialsOf | None = None) -> ChunkReport:
    """Fetch one chunk of one project into Parquet files. It blocks, and can be pickled: for a process pool, or a task
    of Airflow or Prefect.

    The project's limits are waited for, however long that takes. Everything else is as with `fetch_chunk`.
    """
    return asyncio.run(fetch_chunk(job, credentials, most_wait=None))


async def fetch_chunk(
    job: ChunkJob, credentials: CredentialsOf | None = None, *, most_wait: float | None = SHORT_WAIT
) -> ChunkReport:
    """Fetch one chunk of one project into Parquet files, one for each date, and make them valid.

    A date is replaced at once; the dates of a chunk one after the other. If the process is killed, each date has its
    old file or its new one. Of two processes that fetch the same date, the newer request stays. Nothing is requested if
    the dates are there already (see `ChunkJob.replace`), or if another job of the same run has fetched them.

    Args:
        job: what to fetch, and where to.
        credentials: a function that returns the project's credentials, in this process; `None` reads the environment:
            `MP_USERNAME` and `MP_SECRET`, or `MP_OAUTH_TOKEN`.
        most_wait: seconds to wait for the project's limits before the first request; `None` for as long as it takes.
            If more would be needed, nothing is requested, and `ChunkReport.wait_seconds` says when to call again.

    Raises nothing of this library's own: the report has the error's message. A cancel leaves what a kill leaves.
    """
    try:
        return await _fetch_when_allowed(_Place.of(job, credentials), most_wait)
    except MixpanelError as error:
        is_fatal = error.fatal if isinstance(error, ExportError) else isinstance(error, _OF_THE_PROJECT)
        return ChunkReport(
            attempts=getattr(error, "attempts", 0), error=without_span(str(error), *job.dates), is_fatal=is_fatal
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """A job in the process that does it."""

    job: ChunkJob
    credentials: Credentials
    url: str
    folder: Folder

    @classmethod
    def of(cls, job: ChunkJob, credentials: CredentialsOf | None) -> Self:
        region, base_url = choose_host(job.region, job.base_url, os.environ)
        found = find_credentials(credentials, job.project_id)
        return cls(job, found, export_url(region, base_url), open_folder(job.destination))

    @property
    def manifests(self) -> Manifests:
        return Manifests(self.folder, self.job.project_id)


async def _fetch_when_allowed(place: _Place, most_wait: float | None) -> ChunkReport:
    limit = place.job.limits.of("exports")
    record = FolderRecord(place.folder, place.job.project_id)
    until = math.inf if most_wait is None else time.monotonic() + most_wait
    look_at = -math.inf
    while True:
        if (now := time.monotonic()) >= look_at:  # each look reads the manifests of all dates
            look_at = now + LOOK_AGAIN
            if (done := await finish_in_thread(_done_before, place)) is not None:
                return done
        async with record.running(limit.concurrent, limit.windows) as wait:
            if wait is None:
                return await _fetch(place, record)
        if time.monotonic() + wait.seconds > until:
            return ChunkReport(wait_seconds=wait.seconds, wait_reason=wait.reason)
        await asyncio.sleep(min(wait.seconds, LOOK_AGAIN))


def _done_before(place: _Place) -> ChunkReport | None:
    """Return what is there if the chunk need not be fetched; else check that it may be."""
    job, dates = place.job, dates_between(*place.job.dates)
    place.manifests.check_selection(job.selection, deduplicate=job.deduplicate)
    held = place.manifests.of(dates)
    is_done = len(held) == len(dates) and all(
        each.chunk.run == job.run or (each.is_final and not job.replace) for each in held.values()
    )
    return _report_of(held.values(), attempts=0) if is_done else None


async def _fetch(place: _Place, record: FolderRecord) -> ChunkReport:
    job, days = place.job, days_in(place.job.dates)
    chunking = Chunking(days, max_workers=1)
    fetch = EventFetch(
        "events", date_range(*job.dates), job.selection, chunking,
        append=False, resume=False, deduplicate=job.deduplicate, mended_by="the next export",
    )  # fmt: skip
    files: list[ChunkFiles] = []  # of each attempt; the last one is published
    async with _source(place, record) as source, _database_for_one_chunk() as held:
        benches = Workbenches(held.database)

        def loader(dates: DateChunk) -> ChunkLoader:
            files.append(
                ChunkFiles(
                    place.folder, job.project_id, dates, run=job.run, last_complete_day=fetch.last_complete_day()
                )
            )
            return _loader(held.database, benches, files[-1], dates, deduplicate=job.deduplicate)

        fetcher = ChunkFetcher(
            fetch, Plan([job.dates]), source, loader, held,
            hooks=HookCalls(None), meter=FetchMeter(None, "events", 1),
        )  # fmt: skip
        try:
            [outcome] = await fetcher.run()
        finally:
            benches.close()
    if outcome.error is not None:
        attempts = outcome.error.attempts if isinstance(outcome.error, ExportError) else 1
        return ChunkReport(rejected=outcome.rejected_rows, attempts=attempts, error=outcome.result.error)
    return _report_of(files[-1].published.values(), attempts=1)


def _loader(
    database: Database, benches: Workbenches, files: ChunkFiles, dates: DateChunk, *, deduplicate: bool
) -> ChunkLoader:
    def sink(bench: Workbench) -> ParquetSink:
        return ParquetSink(bench, files, dates)

    return ChunkLoader(
        benches, sink, span(*dates), make_room=database.make_room, deduplicate=deduplicate, on_commit=lambda: None
    )


@asynccontextmanager
async def _source(place: _Place, record: FolderRecord) -> AsyncIterator[Source]:
    job = place.job
    transport = Transport(None, job.timeouts)
    try:
        yield Source(place.url, place.credentials, transport, Limiter(job.limits.of("exports"), record), job.retry)
    finally:
        await transport.close()


@asynccontextmanager
async def _database_for_one_chunk() -> AsyncIterator[HeldDatabase]:
    """Yield a new database, which bounds the memory of the rows on their way, and is gone afterwards.

    Nobody may hold it for the whole block: an `open` after a long hold waits until nobody has it open.
    """
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="mixpanel-async-"))
        database = Database(Path(directory) / "chunk.duckdb")
        stack.push_async_callback(finish_in_thread, database.close)
        held = HeldDatabase(database, lock_timeout=0.0)
        stack.push_async_callback(held.let_go)
        await held.run(lambda: None, create=True)
        yield held


def _report_of(held: Iterable[Manifest], attempts: int) -> ChunkReport:
    """Report what is valid. A date may come from another chunk than the others."""
    manifests = list(held)
    chunks = {manifest.chunk.token: manifest.chunk for manifest in manifests}.values()
    return ChunkReport(
        rows=sum(manifest.rows for manifest in manifests),
        duplicates=sum(chunk.duplicates for chunk in chunks),
        rejected=sum(chunk.rejected for chunk in chunks),
        attempts=attempts and attempts + max((chunk.retries for chunk in chunks), default=0),
    )
