"""What the calls of one client share: connection pool, rate limits, database and running tasks."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from mixpanel_async.api.limits import Limiter, LimitName
from mixpanel_async.api.source import Source
from mixpanel_async.api.transport import Transport
from mixpanel_async.holding import HeldDatabase
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    import aiohttp

    from mixpanel_async.api.budget_file import BudgetFile
    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.api.limits import RateLimits
    from mixpanel_async.api.retry import RetryPolicy
    from mixpanel_async.api.transport import Timeouts
    from mixpanel_async.duck.connection import Database
    from mixpanel_async.duck.reading import Read, ReadSteps
    from mixpanel_async.duck.writing import Write
    from mixpanel_async.holding import HeldReading
    from mixpanel_async.written import CompactResult

T = TypeVar("T")

_ANOTHER_LOOP = "This client belongs to another event loop: make one client for each loop."


class ClientCore:
    """One client's shared state. It belongs to the event loop of its first call."""

    def __init__(  # noqa: PLR0913 - each is one independent setting
        self,
        credentials: Credentials,
        database: Database,
        *,
        export_url: str,
        query_url: str,
        limits: RateLimits,
        budget_file: BudgetFile | None,
        retry: RetryPolicy,
        timeouts: Timeouts,
        lock_timeout: float,
        session: aiohttp.ClientSession | None,
    ) -> None:
        """`budget_file`: where the requests are counted for all clients of the project; `None` counts them here."""
        self._credentials = credentials
        self._held = HeldDatabase(database, lock_timeout)
        self._urls = export_url, query_url
        self._limits = limits
        self._budget_file = budget_file
        self._retry = retry
        self._timeouts = timeouts
        self._session = session
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sources: dict[LimitName, Source] = {}
        self._calls: set[asyncio.Task[object]] = set()
        self._readings: set[HeldReading[Any]] = set()
        self._tables: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._is_entered = False
        self._is_closed = False

    def enter(self) -> None:
        """Begin `async with`. Raises RuntimeError: for a second one, whose end would close the client for both."""
        self._open_sources()
        if self._is_entered:
            raise RuntimeError(
                "This client is in an `async with` already: put everything that uses it into that one block."
            )
        self._is_entered = True

    def export_source(self) -> Source:
        """Return the source for raw exports."""
        return self._open_sources()["exports"]

    def query_source(self, limit: LimitName = "queries") -> Source:
        """Return the source for query endpoints that count in this limit."""
        return self._open_sources()[limit]

    async def call(self, work: Coroutine[object, object, T]) -> T:
        """Run a call in a task of its own, so that `close` can end it without cancelling the caller."""
        try:
            return await self.spawn(work)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._is_closed and current is not None and not current.cancelling():
                raise RuntimeError("The client was closed while this call ran; committed chunks stay.") from None
            raise

    def spawn(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Start a task that `close` ends."""
        if self._is_closed:
            work.close()
            raise RuntimeError("This client is closed: make a new one.")
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return task

    async def call_on_table(self, name: str, work: Callable[[HeldDatabase], Coroutine[object, object, T]]) -> T:
        """Run a call that writes to a table. Calls on one table wait for each other. Afterwards the file is free,
        unless another call uses it.
        """
        return await self.call(self._run_and_let_go(name, work))

    async def call_that_looks(self, work: Callable[[HeldDatabase], Coroutine[object, object, T]]) -> T:
        """Run a call that writes nothing; see `HeldDatabase.look`."""
        return await self.call(self._counted(work))

    async def read(self, read: Read[T]) -> T:
        """Run a call that reads the database. It does not wait for calls that write, and they not for it."""
        self._open_sources()
        return await self.call(self._read(read))

    async def write(self, write: Write[T], *, table: str = "") -> T:
        """Run a call that writes to the database, with a cursor. It waits for other calls on this table. Calls without
        a table wait for each other.
        """
        self._open_sources()
        return await self.call_on_table(table, lambda held: held.write(write))

    async def steps(self, read: ReadSteps[T]) -> AsyncGenerator[T, None]:
        """Read the database in steps, as `read` reads it; `close` ends that."""
        self._open_sources()
        reading = self._held.steps(read)
        self._readings.add(reading)
        try:
            await self.call(reading.open())
            while (value := await self.call(reading.next())) is not None:
                yield value
        finally:
            try:
                await reading.close()
            finally:
                self._readings.discard(reading)
                await self._let_go()

    async def compact(self) -> CompactResult:
        """Run a call that replaces the database's file. It waits until no other call has the file open."""
        self._open_sources()
        return await self.call(self._held.compact())

    async def close(self) -> None:
        """End the calls that run, then close the connection pool and the database.

        Raises:
            RuntimeError: the client belongs to another event loop, which is not closed yet.
        """
        if self._loop not in (None, asyncio.get_running_loop()) and not self._loop.is_closed():
            raise RuntimeError(_ANOTHER_LOOP)
        self._is_closed = True
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)
        if self._sources:
            await self._sources["exports"].transport.close()
        for reading in list(self._readings):
            await reading.close()
        await finish_in_thread(self._held.database.close)

    async def _run_and_let_go(self, name: str, work: Callable[[HeldDatabase], Coroutine[object, object, T]]) -> T:
        async with self._tables[name.lower()]:
            try:
                return await self._counted(work)
            finally:
                await self._let_go()

    async def _counted(self, work: Callable[[HeldDatabase], Coroutine[object, object, T]]) -> T:
        self._held.calls += 1
        try:
            return await work(self._held)
        finally:
            self._held.calls -= 1

    async def _read(self, read: Read[T]) -> T:
        try:
            return await self._held.read(read)
        finally:
            await self._let_go()

    async def _let_go(self) -> None:
        await self._held.let_go()
        self._held.database.tell_of_log()

    def _open_sources(self) -> dict[LimitName, Source]:
        """Return a source for each limit, created on the event loop that they will run on."""
        if self._is_closed:
            raise RuntimeError("This client is closed: make a new one.")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            transport = Transport(self._session, self._timeouts)
            self._loop = loop
            export_url, query_url = self._urls
            for name in get_args(LimitName):
                url = export_url if name == "exports" else query_url
                record = self._budget_file.record(name) if self._budget_file else None
                limiter = Limiter(self._limits.of(name), record)
                self._sources[name] = Source(url, self._credentials, transport, limiter, self._retry)
        elif self._loop is not loop:
            raise RuntimeError(_ANOTHER_LOOP)
        return self._sources
