"""`fetch_profiles`: one task per page, from its request to the commit that keeps it; then all pages become the table.

Back-pressure: `max_workers` limits the pages that are requested or in memory, and one page at a time is written. So a
slow disk holds the network back, and only a few pages are in memory, however many there are.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixpanel_async import clock, telemetry
from mixpanel_async.api.source import Attempts
from mixpanel_async.duck.profiles_table import KeptPage, ProfilesTable
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.engage.page import profiles_batch
from mixpanel_async.engage.paging import EmptyPageError, Paging, Session
from mixpanel_async.engage.request import SessionExpiredError, session_parameters
from mixpanel_async.engage.results import ProfileOutcome
from mixpanel_async.engage.sessions import PageKey, ProfileSessions
from mixpanel_async.errors import ExportError, QueryError, StoreError
from mixpanel_async.meter import FetchMeter
from mixpanel_async.progress import HookCalls
from mixpanel_async.tasks import check_workers, raise_first_cause
from mixpanel_async.threads import finish_in_thread
from mixpanel_async.types import ProfileBatchProgress

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from arro3.core import RecordBatch

    from mixpanel_async.api.source import Source
    from mixpanel_async.duck.profiles_table import Mode
    from mixpanel_async.holding import HeldDatabase
    from mixpanel_async.meter import Progress
    from mixpanel_async.selections import ProfileSelection

    PageHook = Callable[[ProfileBatchProgress], object]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProfileFetch:
    """What a call fetches into which table; `of` checks the arguments of `fetch_profiles`."""

    table: str
    selection: ProfileSelection
    append: bool
    resume: bool
    parallel: bool
    max_workers: int
    seen_since: dt.datetime | None = None
    """Only profiles whose `$last_seen` is not before this, which has no zone: all that a sync has to merge."""
    is_sync: bool = False
    """Whether `sync_profiles` fetches, which never resumes a download."""

    @property
    def mode(self) -> Mode:
        """What the profiles do to the table."""
        if self.seen_since is not None:
            return "sync"
        return "append" if self.append else "replace"

    @classmethod
    def of(  # noqa: PLR0913 - the call's arguments
        cls,
        name: str,
        selection: ProfileSelection,
        *,
        append: bool,
        resume: bool,
        parallel: bool,
        max_workers: int,
    ) -> ProfileFetch:
        """Check the arguments; the selection is checked already. Raises ValueError."""
        check_workers(max_workers)
        return cls(check_table_name(name), selection, append, resume, parallel, max_workers if parallel else 1)


async def fetch_profiles(
    fetch: ProfileFetch, source: Source, hook: PageHook | None, progress: Progress, held: HeldDatabase
) -> ProfileOutcome:
    """Keep all pages, then replace the table.

    Raises:
        ExportError: a fatal one, which every other page would meet, too; any, if the fetch is not parallel.
        StoreError: the table cannot take the profiles, or DuckDB cannot write.
    """
    table = ProfilesTable(held.database, fetch.table, fetch.selection, fetch.mode, project=source.project)
    await held.run(table.check, create=True)
    telemetry.describe_call(table=fetch.table)
    logger.info("Table %r: profiles are requested (%s).", fetch.table, fetch.mode)
    try:
        hooks, meter = HookCalls(hook), FetchMeter(progress, fetch.table, chunks="pages")
        source = replace(source, meter=meter)
        async with hooks.running(), meter.running(source.limiter.waits, held.waits):
            outcome, sessions = await _fetch_pages(fetch, source, table, held, hooks, meter)
            if not outcome.errors:
                await held.run(_publish, table, outcome)
                rows, pages = outcome.rows, outcome.pages
                logger.info("Table %r: %d profiles of %d pages are committed.", fetch.table, rows, pages)
                outcome.warnings = sessions.report(repeated=outcome.fetched - outcome.rows)
        return outcome
    finally:
        with suppress(StoreError):  # the next fetch into this table does it, too
            await held.run(table.finish, wait=False)


def _publish(table: ProfilesTable, outcome: ProfileOutcome) -> None:
    """Make the pages the table, in one transaction."""
    with telemetry.commit() as commit:
        outcome.rows = table.publish()
        repeated = outcome.fetched - outcome.rows
        telemetry.committed(commit, "profiles", rows=outcome.rows, duplicates=repeated)


async def _fetch_pages(  # noqa: PLR0913, PLR0917 - what a download is made of
    fetch: ProfileFetch,
    source: Source,
    table: ProfilesTable,
    held: HeldDatabase,
    hooks: HookCalls[ProfileBatchProgress],
    meter: FetchMeter,
) -> tuple[ProfileOutcome, ProfileSessions]:
    """Resume the download that was broken off, or begin one; begin again if its session has expired."""
    workers = asyncio.Semaphore(_workers(fetch, source.limiter.concurrent))
    resumed = await held.run(table.resume) if fetch.resume else None
    attempts = Attempts(source, "All profiles, from the first page")
    while True:
        began, kept = resumed or (await held.run(table.begin, clock.utc_now()), [])
        sessions = ProfileSessions(source, session_parameters(fetch.selection, began, fetch.seen_since))
        pages = PageFetcher(fetch, sessions, table, held, hooks, meter, workers)
        try:
            return await pages.run(kept), sessions
        except QueryError as error:
            # In a resumed session any rejection may mean, in other words, that it has expired.
            has_expired = resumed is not None or isinstance(error, SessionExpiredError)
            await attempts.failed(error, retryable=has_expired)
            meter.begin_again()
        resumed = None


class PageFetcher:
    """One download's pages on their way to where they are kept."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a download is made of
        self,
        fetch: ProfileFetch,
        sessions: ProfileSessions,
        table: ProfilesTable,
        held: HeldDatabase,
        hooks: HookCalls[ProfileBatchProgress],
        meter: FetchMeter,
        workers: asyncio.Semaphore,
    ) -> None:
        self._call = fetch
        self._sessions = sessions
        self._table = table
        self._held = held
        self._hooks = hooks
        self._meter = meter
        self._workers = workers
        self._writing = asyncio.Lock()
        self._indices: dict[PageKey, int] = {}
        self._kept: dict[PageKey, int] = {}
        self._outcome = ProfileOutcome()
        self._fatal: ExportError | None = None

    async def run(self, kept: Sequence[KeptPage]) -> ProfileOutcome:
        """Fetch and keep all pages but those that are `kept`. If it is `parallel`, one that fails stops no other.

        Raises:
            SessionExpiredError: all pages must be fetched again.
            ExportError, StoreError: see `fetch_profiles`.
        """
        self._kept = {PageKey(page.part, page.page): page.rows for page in kept}
        for page in kept:
            if page.page == 0:
                self._sessions.opened[page.part] = Paging(Session(page.session_id, page.total, page.page_size))
        with raise_first_cause():
            async with asyncio.TaskGroup() as group:
                self._start(self._sessions.first_pages(), group)
        return self._outcome

    def _start(self, keys: list[PageKey], group: asyncio.TaskGroup) -> None:
        for key in keys:
            self._indices[key] = len(self._indices)
        self._meter.expect(self._total)
        for key in keys:
            group.create_task(self._fetch(key, group))

    async def _fetch(self, key: PageKey, group: asyncio.TaskGroup) -> None:
        kept = self._kept.get(key)
        try:
            rows = await self._fetch_and_keep(key) if kept is None else kept
        except EmptyPageError as error:
            if key.page == 0:
                self._failed(key, error)
            else:
                self._sessions.opened[key.part].ended_empty(key.page, error)
        except ExportError as error:
            self._failed(key, error)
        else:
            self._sessions.opened[key.part].ended(key.page, rows)
            self._start(self._sessions.next_pages(key.part), group)
            self._succeeded(key, rows, is_new=kept is None)
        self._settle_empty_pages(key.part)

    def _settle_empty_pages(self, part: int) -> None:
        """Decide about the empty pages of which it is known by now whether they are the end."""
        if (paging := self._sessions.opened.get(part)) is None:
            return  # its first page failed
        for number, error in paging.take_lost():
            self._failed(PageKey(part, number), error)
        for number in paging.take_end():
            self._succeeded(PageKey(part, number), 0, is_new=True)

    async def _fetch_and_keep(self, key: PageKey) -> int:
        """Fetch a page and keep it; return how many profiles it has."""
        async with self._workers:
            if self._fatal is not None:
                raise self._fatal  # this page would be useless, and costs no request
            profiles = await self._fetch_batch(key)
            session = self._sessions.opened[key.part].session
            page = KeptPage(*key, profiles.num_rows, session.id, session.total, session.page_size)
            async with self._writing:
                await self._check_new(key, profiles)
                await self._held.run(self._table.keep, page, profiles)
            return page.rows

    async def _fetch_batch(self, key: PageKey) -> RecordBatch:
        return await finish_in_thread(profiles_batch, await self._sessions.fetch_page(key))

    async def _check_new(self, key: PageKey, profiles: RecordBatch) -> None:
        """Raise ServerError for a page past the total whose profiles are all kept already."""
        error = self._sessions.error_if_repeated(key, profiles.num_rows)
        if error is not None and not await self._held.run(self._table.has_new, profiles):
            raise error

    def _succeeded(self, key: PageKey, rows: int, *, is_new: bool) -> None:
        self._outcome.pages += 1
        self._outcome.fetched += rows
        self._meter.ended(rows)
        if is_new:
            self._notify(key, rows)

    def _failed(self, key: PageKey, error: ExportError) -> None:
        """Go on without the page, or end the fetch by raising its error."""
        if error.fatal or not self._call.parallel:
            if self._outcome.pages and self._fatal is None and not self._call.is_sync:
                error.add_note(f"The {self._outcome.pages} pages that came are kept: see resume=True.")
            self._fatal = error
            raise error
        again = "the next sync fetches all of them" if self._call.is_sync else "resume=True fetches this one"
        logger.warning("%s. The other pages go on; %s again.", error, again)
        self._outcome.errors[self._indices[key]] = error
        if key.part in self._sessions.opened:
            self._sessions.opened[key.part].failed(key.page)
        self._meter.ended(0, has_failed=True)
        self._notify(key, 0, error)

    @property
    def _total(self) -> int:
        """Pages that were requested, and those by the totals that were not yet."""
        return len(self._indices) + self._sessions.unrequested

    def _notify(self, key: PageKey, rows: int, error: ExportError | None = None) -> None:
        index, message = self._indices[key], None if error is None else str(error)
        self._hooks.notify(ProfileBatchProgress(index, self._total, rows, success=error is None, error=message))


def _workers(fetch: ProfileFetch, most: int) -> int:
    if fetch.max_workers > most:
        logger.warning(
            "max_workers=%d: Mixpanel allows %d queries at once, so %d are used.", fetch.max_workers, most, most
        )
    return min(fetch.max_workers, most)
