"""All chunks of one project, on a cluster."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from mixpanel_async.distributed.chunk import fetch_chunk
from mixpanel_async.distributed.cluster import TaskFailedError
from mixpanel_async.distributed.job import ChunkReport
from mixpanel_async.distributed.project_plan import plan_project
from mixpanel_async.distributed.results import ProjectBatch, ProjectOutcome
from mixpanel_async.types import BatchProgress

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixpanel_async.api.waiting import Waits
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.distributed.cluster import Cluster
    from mixpanel_async.distributed.job import ChunkJob
    from mixpanel_async.distributed.workers_credentials import CredentialsOf
    from mixpanel_async.export.plan import Chunking
    from mixpanel_async.types import ParallelFetchResult

LOOK_AGAIN = 60.0
"""Seconds after which a chunk that waits for longer is tried again: another export may have become ready."""


class ProjectExport:
    """One project's chunks. A worker that gets one while the limits allow no request returns it at once; it is
    submitted again when they do.
    """

    def __init__(
        self,
        cluster: Cluster,
        job: ChunkJob,
        credentials: CredentialsOf | None,
        waits: Waits,
        ended: Callable[[ProjectBatch], object],
    ) -> None:
        """`job` has the whole range of dates. `ended` is called for each chunk."""
        self._cluster = cluster
        self._job = job
        self._credentials = credentials
        self._waits = waits
        self._tell = ended
        self._outcome = ProjectOutcome(job.project_id)
        self._unsent: deque[tuple[int, DateChunk]] = deque()
        self._total = 1
        self._fatal: ChunkReport | None = None
        self._waits_until = 0.0
        self._reason = ""

    async def run(self, chunking: Chunking) -> ParallelFetchResult:
        """Plan and fetch. A failure is in the result. Raises ExportError if the scheduler was lost."""
        name = str(self._job.project_id)
        try:
            plan = await self._cluster.run(
                plan_project, f"{name}-plan", self._job, chunking.chunk_days or "auto", chunking.max_workers
            )
        except TaskFailedError as error:
            self._ended(0, self._job.dates, ChunkReport(error=str(error)))
            return self._outcome.result()
        if plan.error is not None:
            self._ended(0, self._job.dates, ChunkReport(error=plan.error))
            return self._outcome.result()
        self._unsent.extend(enumerate(plan.chunks))
        self._total = len(plan.chunks)
        async with asyncio.TaskGroup() as group:
            at_once = min(chunking.max_workers, self._job.limits.concurrent)  # more would wait on the workers
            for _ in range(min(at_once, self._total)):
                group.create_task(self._fetch_chunks())
        return self._outcome.result()

    async def _fetch_chunks(self) -> None:
        while self._unsent:
            index, dates = self._unsent.popleft()
            self._ended(index, dates, await self._fetch(dates))

    async def _fetch(self, dates: DateChunk) -> ChunkReport:
        job = replace(self._job, dates=dates)
        while True:
            await self._wait()
            if self._fatal is not None:  # this chunk would meet the same error, so it costs no request
                return replace(self._fatal, attempts=0, rejected=0)
            try:
                report = await self._cluster.run(fetch_chunk, f"{job.project_id}-{dates[0]}", job, self._credentials)
            except TaskFailedError as error:
                return ChunkReport(error=str(error))
            if not report.wait_seconds:
                return report
            self._reason = report.wait_reason
            self._waits_until = max(self._waits_until, time.monotonic() + report.wait_seconds)

    async def _wait(self) -> None:
        """Wait for the limits, if a worker said that they allow no request."""
        if (left := self._waits_until - time.monotonic()) <= 0:
            return
        with self._waits.request(), self._waits.telling() as tell:
            tell(left, self._reason)
            await asyncio.sleep(min(left, LOOK_AGAIN))

    def _ended(self, index: int, dates: DateChunk, report: ChunkReport) -> None:
        if report.is_fatal:
            self._fatal = report
        self._outcome.add(dates, report)
        progress = BatchProgress(*dates, index, self._total, report.rows, report.success, report.error)
        self._tell(ProjectBatch(self._job.project_id, progress))
