"""MixpanelClient: its methods. Each checks its arguments, then calls export/, engage/ or lookups/."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from mixpanel_async import telemetry
from mixpanel_async.api.credentials import Credentials, credentials_from, not_credentials
from mixpanel_async.api.hosts import choose_host
from mixpanel_async.api.limits import RateLimits
from mixpanel_async.api.query import query_url
from mixpanel_async.api.retry import RetryPolicy
from mixpanel_async.api.settings import check_settings
from mixpanel_async.api.shared_budget import shared_budget
from mixpanel_async.api.transport import Timeouts, check_session
from mixpanel_async.arguments import check_flags, is_seconds
from mixpanel_async.core import ClientCore
from mixpanel_async.dates import optional_date_range
from mixpanel_async.decode.dicts import DictReader
from mixpanel_async.decode.record_batches import RecordBatchReader, empty_batch
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.engage.fetch import ProfileFetch, fetch_profiles
from mixpanel_async.engage.results import parallel_profiles_result, profiles_result
from mixpanel_async.engage.stream import ProfileStream
from mixpanel_async.engage.sync import ProfileSync, sync_profiles
from mixpanel_async.errors import ConfigurationError
from mixpanel_async.export.fetch import EventFetch, fetch_events
from mixpanel_async.export.no_event import warn_of_no_event
from mixpanel_async.export.preview import call_of, plan_events
from mixpanel_async.export.request import export_url
from mixpanel_async.export.results import parallel_result, single_result
from mixpanel_async.export.stream import EventStream, StreamedEvents
from mixpanel_async.export.sync import EventSync, sync_events
from mixpanel_async.extras import need_pyarrow
from mixpanel_async.lookups.fetch import fetch_and_save, fetch_lookup
from mixpanel_async.lookups.namespace import Lookups
from mixpanel_async.lookups.project import Calendar, KnownCalendar
from mixpanel_async.progress import check_hook, check_progress
from mixpanel_async.selections import ProfileSelection
from mixpanel_async.store import Store
from mixpanel_async.verify.compare import verify_events

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncGenerator, Callable
    from types import TracebackType
    from typing import Self, Unpack

    import aiohttp
    import duckdb
    import pyarrow as pa

    from mixpanel_async.arguments import EventOptions, Names, PlanOptions, ProfileArguments, StreamOptions, SyncOptions
    from mixpanel_async.catalog import Project
    from mixpanel_async.dates import ProjectDays
    from mixpanel_async.engage.fetch import PageHook
    from mixpanel_async.errors import DecodeError
    from mixpanel_async.export.fetch import BatchHook
    from mixpanel_async.lookups.request import LookupRequest
    from mixpanel_async.meter import ProgressHook
    from mixpanel_async.types import FetchPlan, FetchResult, ParallelFetchResult, ParallelProfileFetchResult
    from mixpanel_async.verification import Verification

    RejectedHook = Callable[[DecodeError], object]

T = TypeVar("T")


class MixpanelClient:
    """An asyncio client that exports Mixpanel's raw events and profiles into DuckDB.

    Use it as `async with MixpanelClient(...) as client`, or call `close` at the end. It belongs to the event loop of
    its first call. One client serves many calls at the same time; they share its rate limits and its database.

    Args:
        credentials: `ServiceAccount`, `ProjectSecret` or `OAuthToken`. `None` reads the environment: `MP_USERNAME`,
            `MP_SECRET` and `MP_PROJECT_ID` (or `MP_OAUTH_TOKEN` and `MP_PROJECT_ID`, or `MP_PROJECT_SECRET`).
        database: a path, `":memory:"`, or an open `duckdb` connection, which the caller closes. A `~` in a path is the
            home directory. Only the client can use a `":memory:"` database: to query rows that are in memory, pass a
            connection. On a connection, tables are created in its default database and schema, whatever it `USE`s, and
            a read-only one is refused. A file is open only while something is read or written, so that
            others can `duckdb.connect` it, also while a fetch downloads or waits.
        region: where the project's data is stored: `us`, `eu` or `in`. `None` reads `MP_REGION`, or else is `us`.
        base_url: scheme and host for every request instead of Mixpanel's: a test server, a proxy. `None` reads
            `MP_BASE_URL`.
        limits: requests at once, for all calls of this client together; and a second, a minute and an hour, for all
            clients of the project on this machine. They are counted in a small file in `MP_STATE_DIR` (by default the
            user's state directory), unless `RateLimits(shared=False)` or a `base_url` on this machine is given.
        retry: how often a request is tried, and how long to wait in between.
        timeouts: how long to wait in silence, in seconds.
        lock_timeout: for how many seconds to wait for a database file that another process holds.
        session: the caller's own `aiohttp.ClientSession`, which is never closed here.

    Raises:
        ConfigurationError: an argument is of a wrong type or cannot be used; the message names what to change. (A
            number that is out of its range is a `ValueError` of `RateLimits`, `RetryPolicy` or `Timeouts` themselves.)
    """

    def __init__(  # noqa: PLR0913 - each is one independent setting with a default
        self,
        credentials: Credentials | None = None,
        *,
        database: str | os.PathLike[str] | duckdb.DuckDBPyConnection = "mixpanel.duckdb",
        region: Literal["us", "eu", "in"] | None = None,
        base_url: str | None = None,
        limits: RateLimits = RateLimits(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        lock_timeout: float = 60.0,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        if credentials is None:
            credentials = credentials_from(os.environ)
        if not isinstance(credentials, Credentials):
            kind = type(credentials)
            del credentials  # a traceback may print a frame's locals
            raise not_credentials(kind)
        check_settings(limits, retry, timeouts)
        check_session(session)
        if not is_seconds(lock_timeout):
            raise ConfigurationError(f"lock_timeout must be a number of seconds, 0 or more, not {lock_timeout!r}.")
        chosen_region, chosen_url = choose_host(region, base_url, os.environ)
        self._credentials = credentials
        self._calendar = Calendar(credentials, chosen_region, lambda: self._core.query_source("app"))
        self._core = ClientCore(
            credentials, Database(database),
            export_url=export_url(chosen_region, chosen_url), query_url=query_url(chosen_region, chosen_url),
            limits=limits,
            budget_file=shared_budget(credentials, chosen_region, chosen_url, os.environ) if limits.shared else None,
            retry=retry, timeouts=timeouts, lock_timeout=lock_timeout, session=session,
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        self._core.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    if not TYPE_CHECKING:  # a type checker rejects a plain `with` by itself

        def __enter__(self) -> None:
            raise TypeError("A MixpanelClient is used as `async with MixpanelClient(...) as client`, not as `with`.")

        def __exit__(self, *_: object) -> None:
            """Never called; Python asks for it before it calls `__enter__`."""

    async def close(self) -> None:
        """End the calls that run (they raise `RuntimeError`; whole chunks stay), then close connections and
        database. Closing twice does nothing more.

        Raises:
            RuntimeError: the client belongs to another event loop, which still runs.
        """
        await self._core.close()

    @overload
    async def fetch_events(
        self,
        name: str = ...,
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        limit: int | None = ...,
        parallel: Literal[False] = ...,
        on_batch_complete: BatchHook | None = ...,
        progress: ProgressHook | bool | None = ...,
        **options: Unpack[EventOptions],
    ) -> FetchResult: ...

    @overload
    async def fetch_events(
        self,
        name: str = ...,
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        limit: None = ...,
        parallel: Literal[True],
        on_batch_complete: BatchHook | None = ...,
        progress: ProgressHook | bool | None = ...,
        **options: Unpack[EventOptions],
    ) -> ParallelFetchResult: ...

    @overload
    async def fetch_events(
        self,
        name: str = ...,
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        limit: None = ...,
        parallel: bool,
        on_batch_complete: BatchHook | None = ...,
        progress: ProgressHook | bool | None = ...,
        **options: Unpack[EventOptions],
    ) -> FetchResult | ParallelFetchResult: ...

    @telemetry.traced
    async def fetch_events(  # noqa: PLR0913 - a fetch has that many settings, each with a default
        self,
        name: str = "events",
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        limit: int | None = None,
        parallel: bool = False,
        on_batch_complete: BatchHook | None = None,
        progress: ProgressHook | bool | None = None,
        **options: Unpack[EventOptions],
    ) -> FetchResult | ParallelFetchResult:
        """Export raw events into a table of the database.

        Args:
            name: the table. It is created if it is missing (not with `append`).
            from_date: first date, `"YYYY-MM-DD"` or a `date`, inclusive, in the project's days: UTC, or the project's
                time zone for a project made before 2023 (Mixpanel's docs).
            to_date: last date, inclusive.
            limit: at most so many events, 1 to 100000; Mixpanel decides which. Not with `parallel`.
            parallel: fetch chunks of `chunk_days` at the same time; `False` is one request and one transaction.
            on_batch_complete: called with a `BatchProgress` after each chunk is committed or has failed, one call after
                the other. A plain function is called in a thread, a coroutine function on the event loop. If it raises,
                the first error is logged and the fetch goes on.
            progress: `True` shows a bar: on stderr, or in a notebook below the cell. Where stderr is no terminal, there
                is a line at the end, and before that one every ten seconds at most. A function is called with a
                `FetchProgress`, as `on_batch_complete` is, whenever that changes: when a chunk has ended, a request is
                sent again or a long wait begins or ends, and up to four times a second while bytes come. A slow one
                misses values in between, and gets the last one.
            options: these keyword arguments:

                - `events=None`: names of the events; `None` for all. If no event comes, the names are logged as a
                  warning, because Mixpanel accepts any name.
                - `where=None`: a filter expression of Mixpanel's, sent as it is.
                - `append=False`: each fetched chunk replaces what the table held for its dates, in one transaction.
                - `resume=False`: request only dates that no earlier call committed. A day that has not ended yet is
                  requested again.
                - `deduplicate=True`: of rows with the same event, distinct id, time and insert id keep the one that
                  Mixpanel processed last; the raw export repeats rows (Mixpanel's docs). Rows without an insert id all
                  stay.
                - `max_workers=10`: requests that are open at once.
                - `chunk_days="auto"`: dates in a chunk. `"auto"` makes chunks short enough to keep all workers busy, at
                  most 7 days if the hour has enough requests left, and at most about 128 MB where the table's journal
                  knows the bytes of the dates. It requests chunks in parts after one turned out too large. A number
                  makes each chunk that long. docs/reference/events.md has the whole rule.

        Returns:
            `ParallelFetchResult` with `parallel=True`; its `failed_date_ranges` are the chunks that failed, whose rows
            are as before. `FetchResult` otherwise.

        Raises:
            ValueError: an argument is out of its range; nothing was requested or written.
            TableExistsError, TableNotFoundError, SelectionMismatchError: see `append` and `resume`; or the table is of
                another project (a project secret does not tell its own). Nothing requested.
            DatabaseLockedError: another process holds the file; nothing requested.
            AuthenticationError, QueryError: every chunk would meet this error, so the call ends at once.
            ExportError: every chunk failed. With `parallel=False` there is one chunk, and it failed.
            StoreError: DuckDB cannot write. Chunks committed before stay.
            RuntimeError: the client is closed, or belongs to another event loop.

        A cancel returns when the threads that write have ended: committed chunks stay, the others leave nothing.
        """
        check_hook("on_batch_complete", on_batch_complete)
        check_progress(progress)
        check_flags(parallel=parallel, **options)
        fetch = EventFetch.of(name, from_date, to_date, limit=limit, parallel=parallel, **options)
        started = time.monotonic()
        fetch = replace(fetch, days=await self._days_until(fetch.dates[1]))
        work = partial(fetch_events, fetch, self._core.export_source(), on_batch_complete, progress)
        outcomes = await self._core.call_on_table(fetch.table, work)
        result = (parallel_result if parallel else single_result)(fetch.table, fetch.dates, outcomes, started)
        if outcomes and not (result.rows or result.rejected_rows or result.has_failures):
            warn_of_no_event(fetch.selection, fetch.dates)
        return result

    @telemetry.traced
    async def sync_events(
        self,
        name: str = "events",
        *,
        from_date: str | dt.date | None = None,
        to_date: str | dt.date | None = None,
        on_batch_complete: BatchHook | None = None,
        progress: ProgressHook | bool | None = None,
        **options: Unpack[SyncOptions],
    ) -> ParallelFetchResult:
        """Bring a table of events up to date: request the dates that it lacks, and again those that may have changed.

        Events reach Mixpanel days late, and it changes rows afterwards: it gives them another distinct id when it
        learns who somebody is, and it removes duplicates (Mixpanel's docs). So a date is requested again until it was
        requested when the `lookback_days` after it were over: with a sync every night, yesterday and the five days
        before. After nights without a sync, the days before those are looked at, too, and so is one that failed.

        Args:
            name: the table. It is created if it is missing; one that `fetch_events` made is continued.
            from_date: first date; without it the table's first date. Needed for a table that holds no dates.
            to_date: last date: `"YYYY-MM-DD"` or a `date`, or `"yesterday"` (the default) or `"today"` in the
                project's days. A date counts as yesterday when it is over both in UTC and in the project's time zone,
                because Mixpanel does not tell which of them a project's days follow.
            on_batch_complete: as in `fetch_events`.
            progress: as in `fetch_events`.
            options: these keyword arguments:

                - `events=None`, `where=None`: as in `fetch_events`; `None` for what the table holds.
                - `lookback_days=5`: Mixpanel's SDKs send events up to 5 days late (Mixpanel's docs).
                - `late="replace"`: request whole dates, which replace what the table held for them. `"merge"`
                  requests only the rows that Mixpanel processed since the last sync, less two hours, and merges them
                  by event, distinct id, time and insert id: one small request, for every hour between nightly
                  syncs that replace. It cannot see what Mixpanel changes or removes without processing it again
                  (another distinct id for old rows, duplicates removed later), nor rows whose time lies outside the
                  dates that they are returned for. Dates that the table lacks are requested whole in both modes.
                - `max_workers=10`, `chunk_days="auto"`: as in `fetch_events`.

        Returns:
            As `fetch_events` with `parallel=True`. `total_rows` counts the rows of whole dates that were written, and
            rows that a merge added. If nothing was to do there are no batches.

        Raises:
            ValueError: an argument is out of its range, `from_date` is missing, or `to_date` has not begun.
            ExportError: every chunk failed.
            SelectionMismatchError, StoreError, AuthenticationError, QueryError, RuntimeError: as `fetch_events`.

        A cancel, or a kill at any moment, leaves whole chunks only; the next sync does the rest.
        """
        check_hook("on_batch_complete", on_batch_complete)
        check_progress(progress)
        sync = EventSync.of(name, from_date, to_date, **options)
        started = time.monotonic()
        work = partial(sync_events, sync, self._calendar, self._core.export_source(), on_batch_complete, progress)
        dates, outcomes = await self._core.call_on_table(sync.table, work)
        return parallel_result(sync.table, dates, outcomes, started)

    async def plan_events(
        self,
        name: str = "events",
        *,
        from_date: str | dt.date | None = None,
        to_date: str | dt.date | None = None,
        sync: bool = False,
        **options: Unpack[PlanOptions],
    ) -> FetchPlan:
        """Say what `fetch_events` would do now, or with `sync=True` what `sync_events` would do.

        Nothing is requested and nothing is written: not even the project's time zone is asked, so "yesterday" may be a
        day earlier than in the sync itself. The plan is that of this moment: the budget of the hour changes.

        Args:
            name: the table. It, or the whole file, may be missing.
            from_date: as in the call.
            to_date: as in the call.
            sync: whether to plan `sync_events`.
            options: the options of the call, but for hooks.

        Returns:
            The chunks and requests, what is left of the hour's budget, how long the limits hold up the last request,
            and about how many bytes come. It prints as a small table.

        Raises:
            MixpanelError, ValueError: what the call would raise before its first request.
        """
        check_flags(sync=sync, **options)
        call = call_of(name, from_date, to_date, sync=sync, options=options)
        source, calendar = self._core.export_source(), KnownCalendar(self._calendar.known)
        return await self._core.call_that_looks(partial(plan_events, call, calendar, source))

    @telemetry.traced
    async def project(self) -> Project:
        """Return the project of the credentials: its id, name, time zone and region.

        Source: `/api/app/me` (Mixpanel's docs). It counts in no limit that Mixpanel documents.

        Raises:
            ConfigurationError: the credentials are a `ProjectSecret`, which does not tell its project, or have no
                access to it.
            ExportError: the request failed.
            RuntimeError: the client is closed, or belongs to another event loop.
        """
        return await self._core.call(self._calendar.project())

    def stream_events(
        self,
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        raw: bool = False,
        on_rejected: RejectedHook | None = None,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Export raw events to an `async for`, in the order of their dates. Nothing is stored.

        The range is requested in chunks. A chunk's events are yielded when the whole chunk has arrived and is proven
        complete. So a response that breaks off is requested again, and no event comes twice. Within a chunk events come
        in Mixpanel's own order, and a row that Mixpanel repeats is repeated (`fetch_events` removes those: they have
        the same event, distinct id, time and insert id).

        Memory is bounded, whatever the range: a chunk waits as it came over the wire, above 48 MB in a temporary file,
        and a chunk is requested only when it is among the next `max_workers` (without `parallel`: the next one). So a
        slow consumer holds the downloads back. When the loop is left or cancelled, open connections are closed at once;
        if the surrounding function goes on, use `contextlib.aclosing`.

        Args:
            from_date: first date, `"YYYY-MM-DD"` or a `date`, inclusive, in the project's days.
            to_date: last date, inclusive.
            raw: yield Mixpanel's own objects, `{"event": ..., "properties": {...}}`, which is faster.
            on_rejected: called on the event loop with a `DecodeError` for each line that is not an event; the stream
                goes on. Without it such a line ends the stream.
            options: these keyword arguments:

                - `events=None`: names of the events; `None` for all. If no event comes, the names are logged as a
                  warning, because Mixpanel accepts any name.
                - `where=None`: a filter expression of Mixpanel's, sent as it is.
                - `limit=None`: at most so many events, 1 to 100000; Mixpanel decides which. It belongs to one request,
                  so the range is not cut. Not with `parallel`.
                - `parallel=False`: read chunks ahead. They still come in the order of their dates.
                - `max_workers=10`: chunks that are read ahead, and requests that are open at once.
                - `chunk_days="auto"`: dates in a chunk, as in `fetch_events`, but without a journal. Fewer bring the
                  first event sooner, and use more of the hourly limit.

        Yields:
            Without `raw`: `{"event_name": str, "event_time": datetime, "distinct_id": str | None, "insert_id":
            str | None, "properties": dict}`. `event_time` is aware, in UTC, and has milliseconds; for a project made
            before 2023 it is the project's wall clock. `properties` is all that Mixpanel sent, the reserved keys
            included. Integers are exact; a number that Python has no int or float for is a `Decimal`, and a lone
            surrogate is U+FFFD. Of a name that occurs twice the last counts, as in Python's `json`.

        Raises:
            ValueError: an argument is out of its range. Raised by the call; the errors below are raised in the loop.
            ExportError: a chunk's last attempt failed. All events before its `from_date` were yielded, none from then
                on: continue from there.
            DecodeError: a line is not an event. All events before it were yielded.
            StoreError: the disk for temporary files is full.
            RuntimeError: the client is closed, or belongs to another event loop.
        """
        check_hook("on_rejected", on_rejected)
        check_flags(raw=raw, **options)
        streamed = StreamedEvents.of(from_date, to_date, **options)
        reader = partial(DictReader, raw=raw)
        stream = EventStream(streamed, reader, on_rejected, self._core.spawn, self._days_until)
        return stream.run(self._core.export_source, "stream_events")

    def stream_batches(
        self,
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        on_rejected: RejectedHook | None = None,
        **options: Unpack[StreamOptions],
    ) -> AsyncGenerator[pa.RecordBatch, None]:
        """Export raw events as Arrow, for polars, pandas or a Parquet writer. Nothing is stored.

        Arguments and errors are those of `stream_events`. It needs pyarrow: `pip install "mixpanel-async[pyarrow]"`.

        Yields:
            Record batches of about 8 MB of events, each of one chunk: `event_name`, `event_time` (microseconds, UTC),
            `distinct_id`, `insert_id` and `properties`, which is text: Mixpanel's own JSON, word for word. If there is
            no event, one batch without rows, which has the schema.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
            DecodeError: a line is not an event. The events of its batch were not yielded.
        """
        check_hook("on_rejected", on_rejected)
        check_flags(**options)
        streamed = StreamedEvents.of(from_date, to_date, **options)
        reader = partial(RecordBatchReader, pyarrow=(pyarrow := need_pyarrow("stream_batches")))
        stream = EventStream(streamed, reader, on_rejected, self._core.spawn, self._days_until)
        return stream.run(self._core.export_source, "stream_batches", if_empty=[empty_batch(pyarrow)])

    @overload
    async def fetch_profiles(
        self,
        name: str = ...,
        *,
        append: bool = ...,
        resume: bool = ...,
        parallel: Literal[False] = ...,
        max_workers: int = ...,
        on_batch_complete: PageHook | None = ...,
        progress: ProgressHook | bool | None = ...,
        **selection: Unpack[ProfileArguments],
    ) -> FetchResult: ...

    @overload
    async def fetch_profiles(
        self,
        name: str = ...,
        *,
        append: bool = ...,
        resume: bool = ...,
        parallel: Literal[True],
        max_workers: int = ...,
        on_batch_complete: PageHook | None = ...,
        progress: ProgressHook | bool | None = ...,
        **selection: Unpack[ProfileArguments],
    ) -> ParallelProfileFetchResult: ...

    @overload
    async def fetch_profiles(
        self,
        name: str = ...,
        *,
        append: bool = ...,
        resume: bool = ...,
        parallel: bool,
        max_workers: int = ...,
        on_batch_complete: PageHook | None = ...,
        progress: ProgressHook | bool | None = ...,
        **selection: Unpack[ProfileArguments],
    ) -> FetchResult | ParallelProfileFetchResult: ...

    @telemetry.traced
    async def fetch_profiles(  # noqa: PLR0913 - as above
        self,
        name: str = "profiles",
        *,
        append: bool = False,
        resume: bool = False,
        parallel: bool = False,
        max_workers: int = 5,
        on_batch_complete: PageHook | None = None,
        progress: ProgressHook | bool | None = None,
        **selection: Unpack[ProfileArguments],
    ) -> FetchResult | ParallelProfileFetchResult:
        """Export user or group profiles into a table of the database, as they are now.

        The table is replaced when every page has arrived, in one transaction. Until then, and if a page fails, it stays
        as it was. Pages that arrived are kept beside it, for `resume`.

        Args:
            name: the table. It is created if it is missing (not with `append`).
            append: each profile replaces the one with its distinct id, and the others stay. The selection may be
                another than the table's, except for `output_properties` and `group_id`.
            resume: continue a download of the same call that was broken off or lacks pages, while Mixpanel keeps its
                session. If the session has expired, or there is no such download, all pages are fetched.
            parallel: fetch pages at the same time, and continue if one fails; `False` fetches one after the other.
            max_workers: pages at once. Mixpanel allows 5 queries (`RateLimits.concurrent_queries`); more are not used.
            on_batch_complete: called with a `ProfileBatchProgress` after each page is kept or has failed, as with
                `fetch_events`. After a session has expired, pages are reported again.
            progress: as in `fetch_events`; its chunks are pages.
            selection: these keyword arguments:

                - `where=None`: a filter expression of Mixpanel's, sent as it is.
                - `cohort_id=None`: only members of this cohort.
                - `output_properties=None`: names of the properties; `None` for all. `$last_seen` comes in any case.
                - `distinct_id=None`: only this profile.
                - `distinct_ids=None`: only these profiles. A thousand of them are one request of the hourly limit.
                - `group_id=None`: profiles of this data group, not of users; `distinct_id` is then the group's key.
                - `behaviors=None`: what people did, for use in `where`, as in Mixpanel's docs: `[{"window": "30d",
                  "name": "bought", "event_selectors": [{"event": "Purchase"}]}]` and `behaviors["bought"] > 0`. Not
                  with `cohort_id`.
                - `as_of_timestamp=None`: up to when behaviors are counted, in seconds since 1970; `None` for now.
                - `include_all_users=False`: with `cohort_id`, also members that have no profile.

        Returns:
            `ParallelProfileFetchResult` with `parallel=True`; its `failed_page_indices` are the pages that failed (the
            table is then as before, and `total_rows` 0). `FetchResult` otherwise. `warnings` of both tell what does not
            add up, such as a total of Mixpanel's that is not the number of profiles that came; they are also logged.

        Raises:
            ValueError: an argument is out of its range; nothing was requested or written.
            TableNotFoundError, SelectionMismatchError: see `append` and `resume`; or the table is of another project.
                Nothing requested.
            DatabaseLockedError: another process holds the file; nothing requested.
            AuthenticationError, QueryError: every page would meet this error, as when the plan has no query API (402).
            ExportError: every page failed; with `parallel=False`, one page failed.
            StoreError: DuckDB cannot write, or the table does not hold profiles.
            RuntimeError: the client is closed, or belongs to another event loop.

        A cancel returns when the thread that writes has ended: the table is as before and whole pages are kept, or, if
        it came at the very end, the table is the new one.
        """
        check_hook("on_batch_complete", on_batch_complete)
        check_progress(progress)
        check_flags(append=append, resume=resume, parallel=parallel, **selection)
        fetch = ProfileFetch.of(
            name, ProfileSelection.of(**selection),
            append=append, resume=resume, parallel=parallel, max_workers=max_workers,
        )  # fmt: skip
        started = time.monotonic()
        work = partial(fetch_profiles, fetch, self._core.query_source(), on_batch_complete, progress)
        outcome = await self._core.call_on_table(fetch.table, work)
        return (parallel_profiles_result if parallel else profiles_result)(fetch.table, outcome, started)

    @telemetry.traced
    async def sync_profiles(  # noqa: PLR0913 - as above
        self,
        name: str = "profiles",
        *,
        where: str | None = None,
        output_properties: Names | None = None,
        group_id: int | str | None = None,
        full_every_days: int = 7,
        max_workers: int = 5,
        on_batch_complete: PageHook | None = None,
        progress: ProgressHook | bool | None = None,
    ) -> ParallelProfileFetchResult:
        """Keep a table of user or group profiles up to date. Call it as often as you like, such as every hour.

        The first call downloads all profiles, as `fetch_profiles(parallel=True)` does. Later calls request only those
        that were seen since the last sync (`$last_seen`), and merge them by distinct id in one transaction: each
        replaces the one with its id, and the others stay. Every `full_every_days` a call downloads all profiles again
        and replaces the table. Until then the table does not show

        - deletions: a profile that was deleted in Mixpanel, or merged into another, stays;
        - changes without a visit: an update that leaves `$last_seen` as it was (`$ignore_time`), or that reached
          Mixpanel more than half a day late;
        - profiles without `$last_seen`, such as new ones that were imported;
        - profiles that no longer match `where`: they stay as they were when they last matched.

        `$last_seen` has no zone, so profiles are requested again that were seen up to 26 hours before the last sync.
        That covers every project's time zone.

        Args:
            name: the table. It may be one that `fetch_profiles` filled: if that replaced it with this version of the
                library, its time counts as that of a full download. `append=True` does not.
            where: a filter expression of Mixpanel's. `None` is the table's own, also for the next two.
            output_properties: names of the properties. `$last_seen` comes in any case.
            group_id: profiles of this data group, not of users. Mixpanel does not say whether these have `$last_seen`;
                those without come with a full download.
            full_every_days: after how many days all profiles are downloaded again, or up to an hour before; 0 for every
                call. They are also downloaded if it is not known when they last were, and if somebody else inserted
                or deleted rows.
            max_workers: pages at once, as with `fetch_profiles`.
            on_batch_complete: called with a `ProfileBatchProgress` for each page, as with `fetch_profiles`.
            progress: as in `fetch_profiles`.

        Returns:
            `total_rows` counts the profiles that this call wrote, 0 if none was seen since. With pages that failed,
            which `failed_page_indices` has, it is 0, too: the table is as before, and the next sync requests all of
            them again.

        Raises:
            ValueError: an argument is out of its range; nothing was requested or written.
            SelectionMismatchError: `where`, `output_properties`, `group_id` or the project is not the table's; or the
                table was fetched with `cohort_id`, `behaviors` or distinct ids, which need `fetch_profiles`, because a
                profile may come to belong to them without a visit. Nothing was requested.
            DatabaseLockedError, AuthenticationError, QueryError, ExportError, StoreError, RuntimeError: as
                `fetch_profiles(parallel=True)`.

        After an error, a cancel or a kill the table is as before, or synced, and the next call continues from there.
        Calls of one client on one table wait for each other. If two processes sync the same table at the same time,
        the one that began first ends with a `StoreError`.
        """
        check_hook("on_batch_complete", on_batch_complete)
        check_progress(progress)
        selection = ProfileSelection.of(where=where, output_properties=output_properties, group_id=group_id)
        sync = ProfileSync.of(name, selection, full_every_days=full_every_days, max_workers=max_workers)
        started = time.monotonic()
        work = partial(sync_profiles, sync, self._core.query_source(), on_batch_complete, progress)
        outcome = await self._core.call_on_table(sync.table, work)
        return parallel_profiles_result(sync.table, outcome, started)

    def stream_profiles(
        self, *, raw: bool = False, **selection: Unpack[ProfileArguments]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Export profiles to an `async for`, in Mixpanel's order, each once. Nothing is stored.

        Up to five pages are read ahead, and a page is requested only when it is among the next: a slow consumer holds
        the downloads back. Of a profile that comes again the first is yielded, whether it is on two pages or all pages
        were requested again because the session has expired. Memory holds these pages and, to compare ids, about 100
        bytes a profile: 100 MB for a million. When the loop is left or cancelled, open connections are closed at once.

        Args:
            raw: yield Mixpanel's own objects, `{"$distinct_id": str, "$properties": dict}`.
            selection: as in `fetch_profiles`.

        Yields:
            `{"distinct_id": str, "last_seen": datetime | None, "properties": dict}`. `last_seen` is what Mixpanel
            sends, without a zone. Values are exact, as with `stream_events`.

        Raises:
            ValueError: an argument is out of its range. Raised by the call; the errors below are raised in the loop.
            ExportError: a page's last attempt failed. The profiles of all pages before it were yielded.
            RuntimeError: the client is closed, or belongs to another event loop.
        """
        check_flags(raw=raw, **selection)
        stream = ProfileStream(ProfileSelection.of(**selection), self._core.spawn, raw=raw)
        return stream.run(self._core.query_source)

    @telemetry.traced
    async def verify_events(
        self,
        name: str = "events",
        *,
        from_date: str | dt.date | None = None,
        to_date: str | dt.date | None = None,
    ) -> Verification:
        """Compare a table's rows a day with Mixpanel's own counts (`GET /api/query/events`). It writes nothing.

        Mixpanel counts events by their names: those that `events=` of the fetch selected, or else those that Mixpanel
        has on these dates (`lookups.event_names`, at most 5000) and those in the table. So a year takes two queries of
        the hourly limit, and one more for each further 7 kB of names.

        The two may differ for good reasons. Events may have come late, after the day was fetched. Mixpanel's counts
        leave out events that are hidden in its Lexicon, and count events that have the same name, distinct id, time and
        insert id once (Mixpanel's docs); a table of `deduplicate=False` has them all. And the query API and the export
        do not show a change of identities, or a deletion, at the same time.

        Args:
            name: the table.
            from_date: first date, inclusive; `None` for the first one that the table holds.
            to_date: last date, inclusive; `None` for the last one that the table holds. If both are `None`, dates that
                the table does not hold are left out; else each date in between must be held.

        Raises:
            ValueError: an argument is out of its range.
            TableNotFoundError, SelectionMismatchError, StoreError: there is no such table, it is of another project, it
                does not hold a date, it was fetched with a `where` or a `limit`, which Mixpanel does not count by, or
                it holds something else; nothing was requested.
            DatabaseLockedError: another process holds the file; nothing was requested.
            QueryError: Mixpanel rejects a query: the plan has no query API (402), for example.
            ExportError: the last attempt at a query failed.
            RuntimeError: the client is closed, or belongs to another event loop.
        """
        ends = optional_date_range(from_date, to_date)
        source = self._core.query_source()
        return await self._core.call(verify_events(check_table_name(name), ends, self._core.read, source))

    @property
    def store(self) -> Store:
        """What the database holds: a `Store` over it. It also works while calls write, and with `":memory:"`."""
        return Store.over(self._core.read, self._core.steps, self._core.write, self._core.compact)

    @property
    def lookups(self) -> Lookups:
        """Event names, top properties, cohorts, the lexicon and annotations, each a coroutine."""
        return Lookups(self._credentials, self._look_up)

    async def _days_until(self, last: dt.date) -> ProjectDays:
        return await self._core.call(self._calendar.days_until(last))

    async def _look_up(self, lookup: LookupRequest[T], table: str | None) -> tuple[T, ...]:
        source = self._core.query_source(lookup.query.limit)
        with telemetry.call(f"lookups.{lookup.kind}"):
            if table is None:
                return await self._core.call(fetch_lookup(lookup, source))
            return await self._core.call_on_table(table, partial(fetch_and_save, lookup, source, table))
