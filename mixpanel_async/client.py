"""MixpanelClient: what is open, and for how long."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from mixpanel_async.api import query
from mixpanel_async.api.credentials import credentials_from
from mixpanel_async.api.limits import Limiter, RateLimits
from mixpanel_async.api.retry import RetryPolicy
from mixpanel_async.api.source import Source
from mixpanel_async.api.transport import Timeouts, Transport
from mixpanel_async.decode.dicts import EventReader
from mixpanel_async.decode.record_batches import BatchReader
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.lookup_tables import LookupTable
from mixpanel_async.engage.fetch import fill_profiles
from mixpanel_async.engage.request import check_profiles
from mixpanel_async.engage.stream import ProfileStream
from mixpanel_async.export import request as export
from mixpanel_async.export.fill import fill
from mixpanel_async.export.order import order_for, profile_order_for, stream_order_for
from mixpanel_async.export.results import parallel_profiles_result, parallel_result, profiles_result, single_result
from mixpanel_async.export.stream import Stream
from mixpanel_async.lookups.fetch import look_up, save
from mixpanel_async.lookups.namespace import Lookups
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
    from types import ModuleType, TracebackType
    from typing import Self, Unpack

    import aiohttp
    import duckdb
    import pyarrow as pa

    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.engage.fetch import ProfileOutcome
    from mixpanel_async.engage.request import ProfileArguments
    from mixpanel_async.errors import DecodeError
    from mixpanel_async.export.fetch import Outcome
    from mixpanel_async.export.order import Order, ProfileOrder
    from mixpanel_async.lookups.request import Lookup
    from mixpanel_async.types import (
        BatchProgress,
        FetchResult,
        ParallelFetchResult,
        ParallelProfileFetchResult,
        ProfileBatchProgress,
    )

    BatchHook = Callable[[BatchProgress], Awaitable[None] | None]
    PageHook = Callable[[ProfileBatchProgress], Awaitable[None] | None]
    RejectedHook = Callable[[DecodeError], None]

T = TypeVar("T")


class MixpanelClient:
    """An asyncio client that exports Mixpanel's raw events into DuckDB.

    Use it as `async with MixpanelClient(...) as client`, or call `close` at the end. It belongs to the event loop
    of its first call. One client serves many calls at the same time; they share its rate limits and its database.

    Args:
        credentials: `ServiceAccount`, `ProjectSecret` or `OAuthToken`. `None` reads the environment: `MP_USERNAME`,
            `MP_SECRET` and `MP_PROJECT_ID` (or `MP_OAUTH_TOKEN` and `MP_PROJECT_ID`, or `MP_PROJECT_SECRET`), and
            `MP_REGION` and `MP_BASE_URL` where `region` and `base_url` are not given.
        database: a path, `":memory:"`, or an open `duckdb` connection, which stays the caller's (tables stand in
            its default database and schema, whatever it `USE`s). A file is held only while a call runs, so that
            others can `duckdb.connect` it between calls.
        region: where the project's data lives: `us`, `eu` or `in`.
        base_url: scheme and host for every request in place of Mixpanel's: a test server, a proxy.
        limits: requests at once, a second and an hour, for all calls of this client together.
        retry: how often a chunk is asked for, and the waits in between.
        timeouts: seconds of silence that are borne.
        session: the caller's own `aiohttp.ClientSession`, never closed here.

    Raises:
        ConfigurationError: credentials, region or base URL cannot be used; the message names what to change.
    """

    def __init__(  # noqa: PLR0913 - each is one independent setting with a default
        self,
        credentials: Credentials | None = None,
        *,
        database: str | os.PathLike[str] | duckdb.DuckDBPyConnection = "mixpanel.duckdb",
        region: str = "us",
        base_url: str | None = None,
        limits: RateLimits = RateLimits(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        if credentials is None:
            credentials = credentials_from(os.environ)
            region = os.environ.get("MP_REGION", region) if region == "us" else region
            base_url = base_url or os.environ.get("MP_BASE_URL") or None
        self._credentials = credentials
        self._urls = (export.endpoint(region, base_url), query.endpoint(region, base_url))
        self._database = Database(database)
        self._settings = (limits, retry, timeouts, session)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sources: tuple[Source, Source] | None = None
        self._calls: set[asyncio.Task[object]] = set()
        self._tables: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closed = False

    async def __aenter__(self) -> Self:
        self._bind()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the calls that run (they raise `RuntimeError`; whole chunks stay), then let everything go."""
        self._closed = True
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)
        if self._sources is not None:
            await self._sources[0].transport.close()
        await finish_in_thread(self._database.close)

    @overload
    async def fetch_events(
        self,
        name: str = ...,
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        events: Sequence[str] | None = ...,
        where: str | None = ...,
        limit: int | None = ...,
        append: bool = ...,
        resume: bool = ...,
        deduplicate: bool = ...,
        parallel: Literal[False] = ...,
        max_workers: int = ...,
        chunk_days: int | Literal["auto"] = ...,
        on_batch_complete: BatchHook | None = ...,
    ) -> FetchResult: ...

    @overload
    async def fetch_events(
        self,
        name: str = ...,
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        events: Sequence[str] | None = ...,
        where: str | None = ...,
        limit: None = ...,
        append: bool = ...,
        resume: bool = ...,
        deduplicate: bool = ...,
        parallel: Literal[True],
        max_workers: int = ...,
        chunk_days: int | Literal["auto"] = ...,
        on_batch_complete: BatchHook | None = ...,
    ) -> ParallelFetchResult: ...

    @overload
    async def fetch_events(
        self,
        name: str = ...,
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        events: Sequence[str] | None = ...,
        where: str | None = ...,
        limit: int | None = ...,
        append: bool = ...,
        resume: bool = ...,
        deduplicate: bool = ...,
        parallel: bool,
        max_workers: int = ...,
        chunk_days: int | Literal["auto"] = ...,
        on_batch_complete: BatchHook | None = ...,
    ) -> FetchResult | ParallelFetchResult: ...

    async def fetch_events(  # noqa: PLR0913 - a question has that many parts, each with a default
        self,
        name: str = "events",
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        events: Sequence[str] | None = None,
        where: str | None = None,
        limit: int | None = None,
        append: bool = False,
        resume: bool = False,
        deduplicate: bool = True,
        parallel: bool = False,
        max_workers: int = 10,
        chunk_days: int | Literal["auto"] = 7,
        on_batch_complete: BatchHook | None = None,
    ) -> FetchResult | ParallelFetchResult:
        """Export raw events into a table of the database.

        Args:
            name: the table. It is made if it is missing (not with `append`).
            from_date: first date, `"YYYY-MM-DD"` or a `date`, inclusive, in the project's days: UTC, or the
                project's time zone for a project made before 2023 (Mixpanel's docs).
            to_date: last date, inclusive.
            events: names of the events wanted; `None` for all.
            where: a filter expression of Mixpanel's, sent as it is.
            limit: at most so many events, 1 to 100000, which ones Mixpanel decides; not with `parallel`.
            append: each fetched chunk replaces what the table held for its dates, in one transaction.
            resume: ask only for dates that no earlier run committed. A day that is not over yet is asked again.
            deduplicate: of rows with the same event, distinct id, time and insert id keep the one that Mixpanel
                processed last; the raw export repeats rows (Mixpanel's docs). Rows without an insert id all stay.
            parallel: fetch chunks of `chunk_days` at the same time; `False` is one request and one transaction.
            max_workers: requests that are open at once.
            chunk_days: dates in a chunk; `"auto"` keeps all workers busy within the hourly limit.
            on_batch_complete: called with a `BatchProgress` after each chunk is committed or given up, one call
                after the other. A plain function is called in a thread, a coroutine function on the event loop.
                One that raises is logged, and the fetch goes on.

        Returns:
            `ParallelFetchResult` with `parallel=True`, whose `failed_date_ranges` name the chunks that were given
            up (their rows are as before); `FetchResult` otherwise.

        Raises:
            ValueError: an argument is out of its range; nothing was asked or written.
            TableExistsError, TableNotFoundError, SelectionMismatchError: see `append` and `resume`; nothing asked.
            DatabaseLockedError: somebody else holds the file; nothing asked.
            AuthenticationError, QueryError: no chunk could succeed; the run ends at once.
            ExportError: every chunk failed, or with `parallel=False` the one.
            StoreError: DuckDB cannot write. Chunks committed before stay.
            RuntimeError: the client is closed, or belongs to another event loop.

        A cancel returns when the threads that write have ended: committed chunks stay, the others leave nothing.
        """
        order = order_for(
            name, from_date, to_date, events=events, where=where, limit=limit,
            append=append, resume=resume, deduplicate=deduplicate,
            parallel=parallel, max_workers=max_workers, chunk_days=chunk_days,
        )  # fmt: skip
        started = time.monotonic()
        outcomes = await self._call(self._fill(order, on_batch_complete))
        return (parallel_result if parallel else single_result)(order, outcomes, started)

    def stream_events(  # noqa: PLR0913 - as above
        self,
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        events: Sequence[str] | None = None,
        where: str | None = None,
        limit: int | None = None,
        raw: bool = False,
        parallel: bool = False,
        max_workers: int = 10,
        chunk_days: int | Literal["auto"] = 7,
        on_rejected: RejectedHook | None = None,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Export raw events to an `async for`, in the order of their dates. Nothing is stored.

        The range is asked for in chunks of `chunk_days`, and a chunk's events come when all of it is there and found
        whole; so an answer that breaks off is asked for again and no event comes twice. Within a chunk events come
        in Mixpanel's own order, and a row that Mixpanel repeats is repeated (`fetch_events` removes those: they have
        the same event, distinct id, time and insert id).

        Memory is bounded, whatever the range: a chunk waits as it came over the wire, beyond 64 MB in a temporary
        file, and a chunk is asked for only when it is among the next `max_workers` (the next one, without
        `parallel`): a slow consumer holds the downloads back. Leave the loop, or cancel it, and what is being
        downloaded is closed at once; in a frame that lives on use `contextlib.aclosing`.

        Args:
            from_date: first date, `"YYYY-MM-DD"` or a `date`, inclusive, in the project's days.
            to_date: last date, inclusive.
            events: names of the events wanted; `None` for all.
            where: a filter expression of Mixpanel's, sent as it is.
            limit: at most so many events, 1 to 100000, which ones Mixpanel decides. It belongs to one request, so
                the range is not cut; not with `parallel`.
            raw: Mixpanel's own objects, `{"event": ..., "properties": {...}}`, which is faster.
            parallel: read chunks ahead. They still come in the order of their dates.
            max_workers: chunks that are read ahead, and requests that are open at once.
            chunk_days: dates in a chunk; fewer bring the first event sooner, and cost more of the hourly limit.
            on_rejected: called for each line that is no event with the `DecodeError` that tells of it, on the event
                loop; the stream goes on. Without it such a line ends the stream.

        Yields:
            Without `raw`: `{"event_name": str, "event_time": datetime, "distinct_id": str | None, "insert_id":
            str | None, "properties": dict}`. `event_time` is aware, in UTC; for a project made before 2023 it is the
            project's wall clock. `properties` is all that Mixpanel gave, the reserved keys included. Integers are
            exact; a number that Python has no int or float for is a `Decimal`, and a lone surrogate is U+FFFD. Of a
            name that stands twice the last counts, as in Python's `json`.

        Raises:
            ValueError: an argument is out of its range; at the call, the others in the loop.
            ExportError: a chunk could not be had after its attempts. All events before its `from_date` came, and
                none from then on: go on from there.
            DecodeError: a line is no event. All events before it came.
            StoreError: no room for a temporary file.
            RuntimeError: the client is closed, or belongs to another event loop.
        """
        order = stream_order_for(
            from_date, to_date, events=events, where=where, limit=limit,
            parallel=parallel, max_workers=max_workers, chunk_days=chunk_days,
        )  # fmt: skip
        return Stream(order, partial(EventReader, raw=raw), on_rejected, self._spawn).run(self._bind)

    def stream_batches(  # noqa: PLR0913 - as above
        self,
        *,
        from_date: str | dt.date,
        to_date: str | dt.date,
        events: Sequence[str] | None = None,
        where: str | None = None,
        limit: int | None = None,
        parallel: bool = False,
        max_workers: int = 10,
        chunk_days: int | Literal["auto"] = 7,
        on_rejected: RejectedHook | None = None,
    ) -> AsyncGenerator[pa.RecordBatch, None]:
        """Export raw events as Arrow, for polars, pandas or a Parquet writer. Nothing is stored.

        As `stream_events`, but for what comes. It needs pyarrow: `pip install "mixpanel-async[pyarrow]"`.

        Yields:
            Record batches of about 8 MB of events, none of two chunks: `event_name`, `event_time` (microseconds,
            UTC), `distinct_id`, `insert_id` and `properties`, which is text: Mixpanel's own JSON, word for word.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
            DecodeError: a line is no event. The events of its batch did not come.
        """
        order = stream_order_for(
            from_date, to_date, events=events, where=where, limit=limit,
            parallel=parallel, max_workers=max_workers, chunk_days=chunk_days,
        )  # fmt: skip
        return Stream(order, partial(BatchReader, pyarrow=_pyarrow()), on_rejected, self._spawn).run(self._bind)

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
        **selection: Unpack[ProfileArguments],
    ) -> FetchResult | ParallelProfileFetchResult: ...

    async def fetch_profiles(  # noqa: PLR0913 - as above
        self,
        name: str = "profiles",
        *,
        where: str | None = None,
        cohort_id: int | None = None,
        output_properties: Sequence[str] | None = None,
        distinct_id: str | None = None,
        distinct_ids: Sequence[str] | None = None,
        group_id: int | str | None = None,
        behaviors: Sequence[Mapping[str, Any]] | None = None,
        as_of_timestamp: int | None = None,
        include_all_users: bool = False,
        append: bool = False,
        resume: bool = False,
        parallel: bool = False,
        max_workers: int = 5,
        on_batch_complete: PageHook | None = None,
    ) -> FetchResult | ParallelProfileFetchResult:
        """Export user or group profiles into a table of the database, as they are now.

        The table is replaced when every page is in, in one transaction; until then, and if a page fails, it stays as
        it was. Pages that are in are kept beside it, for `resume`.

        Args:
            name: the table. It is made if it is missing (not with `append`).
            where: a filter expression of Mixpanel's, sent as it is.
            cohort_id: only members of this cohort.
            output_properties: the properties wanted; `None` for all.
            distinct_id: only this profile.
            distinct_ids: only these profiles. A thousand of them are one request of the hourly limit.
            group_id: profiles of this data group, not of users; `distinct_id` is then the group's key.
            behaviors: what people did, for `where` to tell of, as in Mixpanel's docs: `[{"window": "30d", "name":
                "bought", "event_selectors": [{"event": "Purchase"}]}]` and `behaviors["bought"] > 0`. Not with
                `cohort_id`.
            as_of_timestamp: epoch seconds up to which behaviors are counted; `None` for now.
            include_all_users: with `cohort_id`, also members that have no profile.
            append: profiles that come replace those with the same distinct id, and the others stay. The selection
                may be another, but for `output_properties` and `group_id`.
            resume: go on with a download of the same call that was broken off or lacks pages, while Mixpanel keeps
                its session; where it does not, or there is none, all pages are fetched.
            parallel: fetch pages at the same time, and go on when one fails; `False` is one after the other.
            max_workers: pages at once; Mixpanel allows 5 queries (`RateLimits.concurrent_queries`), and more are not
                used.
            on_batch_complete: called with a `ProfileBatchProgress` after each page is kept or given up, as with
                `fetch_events`. Where a session expired, pages are told of again.

        Returns:
            `ParallelProfileFetchResult` with `parallel=True`, whose `failed_page_indices` name the pages that were
            given up (the table is then as before, and `total_rows` 0); `FetchResult` otherwise.

        Raises:
            ValueError: an argument is out of its range; nothing was asked or written.
            TableNotFoundError, SelectionMismatchError: see `append` and `resume`; nothing asked.
            DatabaseLockedError: somebody else holds the file; nothing asked.
            AuthenticationError, QueryError: no page could succeed, also because the plan has no query API (402).
            ExportError: every page failed, or with `parallel=False` any.
            StoreError: DuckDB cannot write, or the table is none of profiles.
            RuntimeError: the client is closed, or belongs to another event loop.

        A cancel returns when the thread that writes has ended: the table is as before and whole pages are kept, or,
        where it came at the very end, the table is the new one.
        """
        selection = check_profiles(
            where=where, cohort_id=cohort_id, output_properties=output_properties,
            distinct_id=distinct_id, distinct_ids=distinct_ids, group_id=group_id,
            behaviors=behaviors, as_of_timestamp=as_of_timestamp, include_all_users=include_all_users,
        )  # fmt: skip
        order = profile_order_for(
            name, selection, append=append, resume=resume, parallel=parallel, max_workers=max_workers
        )
        started = time.monotonic()
        outcome = await self._call(self._fill_profiles(order, on_batch_complete))
        return (parallel_profiles_result if parallel else profiles_result)(order, outcome, started)

    def stream_profiles(  # noqa: PLR0913 - as above
        self,
        *,
        where: str | None = None,
        cohort_id: int | None = None,
        output_properties: Sequence[str] | None = None,
        distinct_id: str | None = None,
        distinct_ids: Sequence[str] | None = None,
        group_id: int | str | None = None,
        behaviors: Sequence[Mapping[str, Any]] | None = None,
        as_of_timestamp: int | None = None,
        include_all_users: bool = False,
        raw: bool = False,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Export profiles to an `async for`, in Mixpanel's order, each once. Nothing is stored.

        Up to five pages are read ahead, and a page is asked for only when it is among the next: a slow consumer holds
        the downloads back. Memory holds these, and 16 bytes a profile: where the session expires all pages are asked
        for anew, and the profiles that came are left out (a session by itself is taken to repeat none). Leave the
        loop, or cancel it, and what is being downloaded is closed at once. The arguments choose as those of
        `fetch_profiles` do.

        Yields:
            `{"distinct_id": str, "last_seen": datetime | None, "properties": dict}`, or with `raw` as Mixpanel has
            it, `{"$distinct_id": str, "$properties": dict}`. `last_seen` is what Mixpanel gives, without a zone.
            Values are exact, as with `stream_events`.

        Raises:
            ValueError: an argument is out of its range; at the call, the others in the loop.
            ExportError: a page could not be had after its attempts. The profiles of all pages before it came.
            RuntimeError: the client is closed, or belongs to another event loop.
        """
        selection = check_profiles(
            where=where, cohort_id=cohort_id, output_properties=output_properties,
            distinct_id=distinct_id, distinct_ids=distinct_ids, group_id=group_id,
            behaviors=behaviors, as_of_timestamp=as_of_timestamp, include_all_users=include_all_users,
        )  # fmt: skip
        return ProfileStream(selection, self._spawn, raw=raw).run(self._bind_queries)

    async def _fill_profiles(self, order: ProfileOrder, hook: PageHook | None) -> ProfileOutcome:
        source = self._bind_queries()
        async with self._tables[order.table.lower()], self._open_database() as database:
            return await fill_profiles(order, source, database, hook)

    @property
    def lookups(self) -> Lookups:
        """Event names, top properties, cohorts, the lexicon and annotations, each a coroutine."""
        return Lookups(self._credentials, self._look_up)

    async def _look_up(self, lookup: Lookup[T], table: str | None) -> tuple[T, ...]:
        return await self._call(self._answer(lookup, table))

    async def _answer(self, lookup: Lookup[T], table: str | None) -> tuple[T, ...]:
        source = self._bind_queries()
        if table is None:
            return await look_up(lookup, source)
        async with self._tables[table.lower()], self._open_database() as database:
            return await save(lookup, source, LookupTable(database, table, lookup.kind))

    async def _fill(self, order: Order, hook: BatchHook | None) -> list[Outcome]:
        source = self._bind()
        async with self._tables[order.table.lower()], self._open_database() as database:
            return await fill(order, source, database, hook)

    @asynccontextmanager
    async def _open_database(self) -> AsyncIterator[Database]:
        lease = self._database.lease()
        try:
            await finish_in_thread(lease.open)
            yield self._database
        finally:
            await finish_in_thread(lease.close)

    async def _call(self, work: Coroutine[object, object, T]) -> T:
        """Run a call in a task of its own, so that `close` can end it without cancelling the caller."""
        try:
            return await self._spawn(work)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._closed and current is not None and not current.cancelling():
                raise RuntimeError("The client was closed while this call ran; committed chunks stay.") from None
            raise

    def _spawn(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Start a task that `close` ends."""
        if self._closed:
            work.close()
            raise RuntimeError("This client is closed: make a new one.")
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return task

    def _bind(self) -> Source:
        """What is asked for exports, made in the loop that it will run on."""
        return self._bind_both()[0]

    def _bind_queries(self) -> Source:
        """What is asked all else."""
        return self._bind_both()[1]

    def _bind_both(self) -> tuple[Source, Source]:
        if self._closed:
            raise RuntimeError("This client is closed: make a new one.")
        loop = asyncio.get_running_loop()
        if self._sources is None or self._loop is None:
            limits, retry, timeouts, session = self._settings
            url, queries = self._urls
            exports = Source(url, self._credentials, Transport(session, timeouts), Limiter(limits), retry)
            self._loop = loop
            self._sources = exports, replace(exports, url=queries, limiter=Limiter(limits.of_queries))
        elif self._loop is not loop:
            raise RuntimeError("This client belongs to another event loop: make one client for each loop.")
        return self._sources


def _pyarrow() -> ModuleType:
    try:
        return import_module("pyarrow")
    except ImportError:
        raise ModuleNotFoundError('stream_batches needs pyarrow: pip install "mixpanel-async[pyarrow]".') from None
