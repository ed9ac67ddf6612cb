"""Which chunks a project needs: planned on a worker, which can read the manifests, as a table's are by its journal."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from mixpanel_async.api.limits import Limiter
from mixpanel_async.dataset.budget_folder import FolderRecord
from mixpanel_async.dataset.manifests import Manifests
from mixpanel_async.dataset.object_folder import open_folder
from mixpanel_async.dates import ONE_DAY, DateChunk, date_range, dates_between
from mixpanel_async.errors import MixpanelError
from mixpanel_async.export.plan import Chunking, keep_final, keep_nothing, plan_chunks
from mixpanel_async.records import JournalRow
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mixpanel_async.dataset.manifest import Manifest
    from mixpanel_async.distributed.job import ChunkJob


@dataclass(frozen=True, slots=True)
class ProjectPlan:
    """What to request of a project, or why that cannot be known."""

    chunks: tuple[DateChunk, ...] = ()
    error: str | None = None


async def plan_project(job: ChunkJob, chunk_days: int | Literal["auto"], max_workers: int) -> ProjectPlan:
    """Return the chunks of a project; `job` has the whole range of dates. Nothing is requested of Mixpanel.

    Raises nothing of this library's own: the plan has the error's message.
    """
    try:
        folder = open_folder(job.destination)
        held = await finish_in_thread(_read_held, Manifests(folder, job.project_id), job)
        budget = await Limiter(job.limits.of("exports"), FolderRecord(folder, job.project_id)).budget()
    except MixpanelError as error:
        return ProjectPlan(error=str(error))
    keep = keep_nothing if job.replace else keep_final
    chunks = plan_chunks(date_range(*job.dates), Chunking(chunk_days, max_workers), journal_of(held), budget, keep)
    return ProjectPlan(tuple(chunks))


def _read_held(manifests: Manifests, job: ChunkJob) -> dict[str, Manifest]:
    """Return all manifests, those beyond the job's dates included: a chunk may have to be fetched as a whole."""
    manifests.check_selection(job.selection, deduplicate=job.deduplicate)
    return manifests.valid()


def journal_of(held: Mapping[str, Manifest]) -> list[JournalRow]:
    """Return what the manifests hold as rows of a journal, disjoint and in order."""
    atomic = list(_atomic_ranges(held))
    within = {date for dates in atomic for date in dates_between(*dates)}
    rows = [_row(held, dates, is_atomic=True) for dates in atomic]
    free = [manifest for date, manifest in held.items() if date not in within]
    rows += [_row(held, dates, is_atomic=False) for dates in _runs(free)]
    return sorted(rows, key=lambda row: row.first)


def _atomic_ranges(held: Mapping[str, Manifest]) -> Iterator[DateChunk]:
    """Yield the dates of chunks that can only be fetched as a whole; chunks that overlap are one."""
    found = {(each.chunk.from_date, each.chunk.to_date) for each in held.values() if each.chunk.is_atomic}
    joined: list[DateChunk] = []
    for first, last in sorted(found):
        if joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    yield from joined


def _runs(manifests: Sequence[Manifest]) -> Iterator[DateChunk]:
    """Yield ranges of dates without a gap which came in one chunk, and which are final or not."""

    def run(numbered: tuple[int, Manifest]) -> tuple[object, ...]:
        number, manifest = numbered
        return manifest.chunk.token, manifest.is_final, dt.date.fromisoformat(manifest.date) - number * ONE_DAY

    for _, group in groupby(enumerate(manifests), run):
        dates = [manifest.date for _, manifest in group]
        yield dates[0], dates[-1]


def _row(held: Mapping[str, Manifest], dates: DateChunk, *, is_atomic: bool) -> JournalRow:
    """Return the row of a range. It is not final if a date is missing, or if another chunk replaced a part of it."""
    wanted = dates_between(*dates)
    found = [held[date] for date in wanted if date in held]
    chunk = found[0].chunk
    is_whole = len(found) == len(wanted) and {each.chunk.token for each in found} == {chunk.token}
    chunk_days = len(dates_between(chunk.from_date, chunk.to_date))
    return JournalRow(
        *date_range(*dates), is_whole and all(each.is_final for each in found), is_atomic,
        bytes=chunk.bytes * len(wanted) // chunk_days, fetched_at=min(each.chunk.fetched_at for each in found),
    )  # fmt: skip
