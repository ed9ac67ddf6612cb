"""A fetch of profiles: a task a page, from the question to the commit that keeps it, and the table made of them.

What bounds what: `max_workers` the pages that are open or in memory, and one page at a time is written. So a slow disk
holds back the network, and memory is that of some pages, however many there are.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixpanel_async.duck.profiles_table import KeptPage, ProfilesTable
from mixpanel_async.engage.page import batch
from mixpanel_async.engage.request import SessionExpiredError
from mixpanel_async.engage.sessions import Download, Place, Session
from mixpanel_async.errors import ExportError, QueryError
from mixpanel_async.progress import HookCalls
from mixpanel_async.tasks import first_alone
from mixpanel_async.threads import finish_in_thread
from mixpanel_async.types import ProfileBatchProgress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mixpanel_async.api.source import Source
    from mixpanel_async.duck.connection import Database
    from mixpanel_async.export.order import ProfileOrder

logger = logging.getLogger("mixpanel_async")


@dataclass(slots=True)
class ProfileOutcome:
    """How a fetch ended."""

    rows: int = 0
    """In the table; 0 where it stayed as it was."""
    pages: int = 0
    """That are in."""
    errors: dict[int, ExportError] = field(default_factory=dict)
    """What each page's last attempt ended with, by its index."""


async def fill_profiles(
    order: ProfileOrder,
    source: Source,
    database: Database,
    hook: Callable[[ProfileBatchProgress], Awaitable[None] | None] | None,
) -> ProfileOutcome:
    """Have all pages kept, then replace the table.

    Raises:
        ExportError: one that every other page would meet too; any, if the order is not parallel.
        StoreError: of the table as it is, or because DuckDB cannot write.
    """
    table = ProfilesTable(database, order.table, order.selection.as_json(), append=order.append)
    try:
        await finish_in_thread(table.open)
        await finish_in_thread(table.check)
        hooks = HookCalls(hook)
        async with hooks.running():
            outcome = await _all_pages(order, source, table, hooks)
            if not outcome.errors:
                outcome.rows = await finish_in_thread(table.publish)
        return outcome
    finally:
        await finish_in_thread(table.close)


async def _all_pages(
    order: ProfileOrder, source: Source, table: ProfilesTable, hooks: HookCalls[ProfileBatchProgress]
) -> ProfileOutcome:
    """Go on with what was broken off, or begin; begin again where a session has expired, or cannot be gone on with."""
    workers = asyncio.Semaphore(_workers(order, source.limiter.concurrent))
    broken_off = await finish_in_thread(table.go_on) if order.resume else None
    attempt = 1
    while True:
        began, kept = broken_off or (await finish_in_thread(table.begin), [])
        download = Download(source, order.selection.parts(began))
        try:
            return await PageFetch(download, table, hooks, workers, parallel=order.parallel).run(kept)
        except QueryError as error:
            # of a session that is gone on with, any refusal may be that it is over, in other words
            is_over = broken_off is not None or isinstance(error, SessionExpiredError)
            if not is_over or attempt >= source.retry.attempts:
                raise
            await source.wait("All profiles, from the first page", attempt, error)
        attempt, broken_off = attempt + 1, None


class PageFetch:
    """One download's pages on their way to where they are kept."""

    def __init__(
        self,
        download: Download,
        table: ProfilesTable,
        hooks: HookCalls[ProfileBatchProgress],
        workers: asyncio.Semaphore,
        *,
        parallel: bool,
    ) -> None:
        self._download = download
        self._table = table
        self._hooks = hooks
        self._workers = workers
        self._parallel = parallel
        self._writing = asyncio.Lock()
        self._indices: dict[Place, int] = {}
        self._kept: dict[Place, int] = {}
        self._outcome = ProfileOutcome()
        self._ended: ExportError | None = None

    async def run(self, kept: Sequence[KeptPage]) -> ProfileOutcome:
        """Have all pages kept that are not yet. One that fails stops no other, if it is `parallel`.

        Raises:
            SessionExpiredError: all that is kept is worth nothing.
            ExportError, StoreError: see `fill_profiles`.
        """
        self._kept = {Place(page.part, page.page): page.rows for page in kept}
        for page in kept:
            if page.page == 0:
                self._download.sessions[page.part] = Session(page.session_id, page.total, page.page_size)
        with first_alone():
            async with asyncio.TaskGroup() as group:
                self._start(self._download.first(), group)
        return self._outcome

    def _start(self, places: list[Place], group: asyncio.TaskGroup) -> None:
        for place in places:
            self._indices[place] = len(self._indices)
        for place in places:
            group.create_task(self._fetch(place, group))

    async def _fetch(self, place: Place, group: asyncio.TaskGroup) -> None:
        rows, error = self._kept.get(place), None
        if is_news := rows is None:
            rows, error = await self._have(place)
        if error is None:
            self._outcome.pages += 1
            self._start(self._download.following(place, rows), group)
        else:
            self._outcome.errors[self._indices[place]] = error
        if is_news:
            told = None if error is None else str(error)
            index, total = self._indices[place], len(self._indices)
            self._hooks.tell(ProfileBatchProgress(index, total, rows, success=error is None, error=told))

    async def _have(self, place: Place) -> tuple[int, ExportError | None]:
        """Have a page and keep it: how many profiles are on it, and what it was given up for."""
        async with self._workers:
            if self._ended is not None:
                raise self._ended  # it would be of no use, and costs no request
            try:
                profiles = await self._download.page(place, batch)
            except ExportError as error:
                if error.ends_the_run or not self._parallel:
                    self._ended = error
                    if self._outcome.pages:
                        error.add_note(f"The {self._outcome.pages} pages that are in are kept: see resume=True.")
                    raise
                return 0, error
            session = self._download.sessions[place.part]
            page = KeptPage(*place, profiles.num_rows, session.id, session.total, session.page_size)
            async with self._writing:
                await finish_in_thread(self._table.keep, page, profiles)
            return page.rows, None


def _workers(order: ProfileOrder, most: int) -> int:
    if order.max_workers > most:
        logger.warning(
            "max_workers=%d: Mixpanel answers %d queries at once, so it is %d.", order.max_workers, most, most
        )
    return min(order.max_workers, most)
