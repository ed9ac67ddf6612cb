"""`export_events`: all chunks of all projects, on the workers of a Dask cluster.

The scheduler gets values without a secret: a `ChunkJob`, and the name of what returns credentials. The limits are kept
where the data is, not here: a worker whose project may request nothing for a while returns its job, which is submitted
again later. So a lost worker, scheduler or coordinator changes no count.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import secrets
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

from mixpanel_async.api.hosts import check_region
from mixpanel_async.api.limits import RateLimits
from mixpanel_async.api.retry import RetryPolicy
from mixpanel_async.api.settings import check_settings
from mixpanel_async.api.transport import Timeouts
from mixpanel_async.api.waiting import Waits
from mixpanel_async.arguments import is_seconds
from mixpanel_async.dataset.layout import check_project_id
from mixpanel_async.dataset.object_folder import check_destination
from mixpanel_async.dates import date_range
from mixpanel_async.distributed.cluster import Cluster
from mixpanel_async.distributed.job import ChunkJob
from mixpanel_async.distributed.project_export import ProjectExport
from mixpanel_async.distributed.worker_watch import watch_workers
from mixpanel_async.distributed.workers_credentials import check_credentials
from mixpanel_async.errors import ConfigurationError
from mixpanel_async.export.plan import Chunking
from mixpanel_async.export.request import export_url
from mixpanel_async.progress import HookCalls, check_hook
from mixpanel_async.selections import EventSelection
from mixpanel_async.tasks import cancel_all, raise_first_cause

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable

    from mixpanel_async.arguments import Names
    from mixpanel_async.distributed.results import ProjectBatch
    from mixpanel_async.distributed.workers_credentials import CredentialsOf
    from mixpanel_async.types import ParallelFetchResult

    Results = dict[int, ParallelFetchResult]


def export_events(  # noqa: PLR0913 - each is one independent setting with a default
    client: Any,  # noqa: ANN401 - distributed is an extra
    projects: Iterable[int],
    *,
    from_date: str | dt.date,
    to_date: str | dt.date,
    destination: str | os.PathLike[str],
    events: Names | None = None,
    where: str | None = None,
    replace: bool = False,
    deduplicate: bool = True,
    chunk_days: int | Literal["auto"] = "auto",
    max_workers: int = 10,
    credentials: CredentialsOf | None = None,
    region: Literal["us", "eu", "in"] | None = None,
    base_url: str | None = None,
    limits: RateLimits = RateLimits(),  # noqa: B008 - frozen
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
    timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
    worker_timeout: float = 300.0,
    on_batch_complete: Callable[[ProjectBatch], object] | None = None,
) -> EventsExport:
    """Export the events of many projects into partitioned Parquet, on the workers of a Dask cluster.

    `await export_events(...)` returns a `ParallelFetchResult` for each project, by its id. `async for batch in
    export_events(...)` yields a `ProjectBatch` for each chunk that ends; then `results` has the same. Leaving that loop
    early, or a cancel, ends the export; use `contextlib.aclosing` for that to be done when the block ends. Workers
    finish the chunks that they have begun, which become valid: Dask stops no task that runs.

    The rows of a date are in `project_id=1/date=2026-01-31/part-….parquet`; `valid_files` lists the files to read.
    Dates that are there and were over when they were fetched are not requested again, so after a failure, a kill or a
    cancel the same call goes on. A chunk that fails does not stop the others, nor a project another one.

    Args:
        client: a `distributed.Client(asynchronous=True)`, which stays the caller's. The workers need this library.
        projects: the projects' ids.
        from_date: first date, inclusive.
        to_date: last date, inclusive.
        destination: a folder that all workers share, or the URL of one in an object store, such as `s3://bucket/events`,
            whose keys the workers' environment has.
        events: names of events; `None` for all.
        where: a filter expression of Mixpanel's.
        replace: request dates again that are there. The new file of a date takes the place of the old one.
        deduplicate: as in `MixpanelClient.fetch_events`.
        chunk_days: as there.
        max_workers: chunks of one project at once. A worker does as many at once as it has threads.
        credentials: a function that returns a project's credentials, on the worker; `None` reads the environment
            there: `MP_USERNAME` and `MP_SECRET`, or `MP_OAUTH_TOKEN`.
        region: of all projects; `None` reads `MP_REGION` on the workers.
        base_url: as in `MixpanelClient`.
        limits: of each project, for all workers together, and for all exports to this destination.
        retry: how often a request is tried, and how long to wait in between.
        timeouts: how long to wait in silence, in seconds.
        worker_timeout: for how many seconds to wait for a worker if the cluster has none, from the beginning or because
            all were lost. After 10 s the log warns. Give more if your workers start slowly.
        on_batch_complete: called with a `ProjectBatch` for each chunk that ends, as in `MixpanelClient.fetch_events`.

    Raises, before anything is sent:
        ValueError, ConfigurationError: an argument is of a wrong type or out of its range.

    Raises, when it runs:
        ExportError: the scheduler was lost, or no worker was there for `worker_timeout` seconds. What is valid stays.
    """
    if getattr(client, "asynchronous", None) is not True:
        raise ConfigurationError("client must be a distributed.Client(asynchronous=True), made on this event loop.")
    check_credentials(credentials)
    check_settings(limits, retry, timeouts)
    if region is not None:
        check_region(region)
    export_url("us", base_url)  # raises for a URL with a password, which tasks would show
    check_hook("on_batch_complete", on_batch_complete)
    if not is_seconds(worker_timeout) or worker_timeout == 0:
        raise ConfigurationError(f"worker_timeout must be a number of seconds above 0, not {worker_timeout!r}.")
    chunking = Chunking.of(chunk_days, max_workers, None, parallel=True, stream=False)
    first, last = date_range(from_date, to_date)
    job = ChunkJob(
        project_id=0, dates=(first.isoformat(), last.isoformat()), destination=check_destination(destination),
        run=secrets.token_hex(8), selection=EventSelection.of(events, where), replace=replace,
        deduplicate=deduplicate, region=region, base_url=base_url, limits=limits, retry=retry, timeouts=timeouts,
    )  # fmt: skip
    return EventsExport(
        client, _checked(projects), job, chunking, credentials=credentials, worker_timeout=worker_timeout,
        hook=on_batch_complete,
    )  # fmt: skip


class EventsExport:
    """One call of `export_events`: await it, or iterate over it, once."""

    def __init__(  # noqa: PLR0913 - what a call is made of
        self,
        client: Any,  # noqa: ANN401 - as above
        projects: tuple[int, ...],
        job: ChunkJob,
        chunking: Chunking,
        *,
        credentials: CredentialsOf | None,
        worker_timeout: float,
        hook: Callable[[ProjectBatch], object] | None,
    ) -> None:
        self.results: Results = {}
        """The result of each project, when all of its chunks have ended."""
        self._cluster = Cluster(client, job.run)
        self._projects = projects
        self._job = job
        self._chunking = chunking
        self._credentials = credentials
        self._worker_timeout = worker_timeout
        self._hooks = HookCalls(hook)
        self._batches: asyncio.Queue[ProjectBatch | None] = asyncio.Queue()
        self._waits = Waits(time.monotonic, lambda: dt.datetime.now().astimezone(), "chunk")

    def __await__(self) -> Generator[Any, None, Results]:
        return self._finish().__await__()

    async def __aiter__(self) -> AsyncGenerator[ProjectBatch, None]:
        running = asyncio.create_task(self._run())
        try:
            while (batch := await self._batches.get()) is not None:
                yield batch
            await running
        finally:
            await cancel_all([running])

    async def _finish(self) -> Results:
        async with aclosing(self.__aiter__()) as batches:
            async for _ in batches:
                pass
        return self.results

    async def _run(self) -> None:
        try:
            with raise_first_cause():
                async with self._hooks.running(), asyncio.TaskGroup() as watch:
                    watching = watch.create_task(watch_workers(self._cluster, self._worker_timeout))
                    async with asyncio.TaskGroup() as group:
                        for project_id in self._projects:
                            group.create_task(self._export(project_id))
                    watching.cancel()
            self.results = {project_id: self.results[project_id] for project_id in self._projects}
        finally:
            self._batches.put_nowait(None)

    async def _export(self, project_id: int) -> None:
        job = dataclasses.replace(self._job, project_id=project_id)
        project = ProjectExport(self._cluster, job, self._credentials, self._waits, self._ended)
        self.results[project_id] = await project.run(self._chunking)

    def _ended(self, batch: ProjectBatch) -> None:
        self._hooks.notify(batch)
        self._batches.put_nowait(batch)


def _checked(projects: Iterable[int]) -> tuple[int, ...]:
    found = (projects,) if isinstance(projects, (int, str)) else tuple(projects)
    for project_id in found:
        check_project_id(project_id)
    return tuple(dict.fromkeys(found))
