"""Holds the database's file while something is read or written, and lets go of it in between.

A file that another process or connection holds is waited for. One that is held without a break is let go as soon as no
chunk is being written: after `TURN` seconds if another process of this library waits for it, after `LONG_TURN` seconds
in any case, for programs that cannot say so.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from mixpanel_async.api.waiting import Waits
from mixpanel_async.duck.compaction import Compaction
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.files import announce_wait, end_wait, somebody_waits
from mixpanel_async.duck.reading import (
    Reading,
    SteppedReading,
    check_exists,
    open_callers,
    open_clients,
    open_file,
    open_nothing,
)
from mixpanel_async.duck.versions import OlderVersionError
from mixpanel_async.duck.writing import open_and_write, write_opened
from mixpanel_async.errors import DatabaseLockedError, StoreError
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from pathlib import Path

    import duckdb

    from mixpanel_async.duck.reading import Opened, Read, ReadSteps
    from mixpanel_async.duck.writing import Write
    from mixpanel_async.written import CompactResult

T = TypeVar("T")

LINGER = 0.05
"""Seconds for which a file stays open when nobody uses it: letting go checkpoints it."""
TURN = 2.0
"""Seconds after which a file is let go for a process that waits, even if more is to be written."""
LONG_TURN = 30.0
"""Seconds after which it is let go in any case. Each time, chunks wait until all that were begun are written."""
PAUSE = 0.05
"""Seconds for which the file is then free. A process that waits tries again within `POLL`, which is shorter."""
POLL = 0.02
"""Seconds between two attempts to open a file that somebody else holds. An attempt takes 0.3 ms."""
TELL_AFTER = 1.0
"""Seconds of waiting after which it is told. `open(wait=False)` waits as long for another call, and no longer."""


class RunReading(Protocol):
    """Runs what reads a database, in a thread."""

    async def __call__(self, read: Read[T]) -> T:
        """A cancel interrupts the reading, and waits for the end of the thread. Raises what `read` raises."""
        ...


class RunWriting(Protocol):
    """Runs what writes to a database, in a thread."""

    async def __call__(self, write: Write[T], *, table: str = "") -> T:
        """Wait for other calls of the client on the table, if one is named. A cancel waits for the end of the writing,
        which may be done then. Raises what `write` raises.
        """
        ...


class RunSteps(Protocol):
    """Runs what reads a database in steps, each in a thread. The database is open from the first to the last one."""

    def __call__(self, read: ReadSteps[T]) -> AsyncGenerator[T, None]:
        """A cancel interrupts the step, and closes the database. Raises what `read` raises."""
        ...


class HeldReading(Generic[T]):
    """A reading in steps: `open`, then `next` until it returns `None`, and `close` in any case."""

    def __init__(self, opening: Callable[[], Opened], read: ReadSteps[T], held: HeldDatabase | None = None) -> None:
        """`held`: the client's database to keep open meanwhile, if `opening` opens that."""
        self._reading = SteppedReading(opening, read)
        self._held = held
        self._is_holding = False
        self._closing = asyncio.Lock()

    async def open(self) -> None:
        """Open the database. A cancel may take effect when it is open.

        Raises:
            DatabaseLockedError, StoreError: it cannot be opened. `open` may be called again.
        """
        if self._held is not None:
            await self._held.hold_to_read()
            self._is_holding = True
        await finish_in_thread(self._reading.open)

    async def next(self) -> T | None:
        """Return the next value. A cancel interrupts the statement. Raises what the reading raises."""
        return await finish_in_thread(self._reading.next, interrupt=self._reading.interrupt)

    async def close(self) -> None:
        """Close it; do nothing if it is closed."""
        async with self._closing:
            try:
                await finish_in_thread(self._reading.close)
            finally:
                if self._held is not None and self._is_holding:
                    self._is_holding = False
                    self._held.end_hold()


class HeldDatabase:
    """A client's database, and who uses it at present: several calls and chunks at the same time.

    It belongs to one event loop. Whoever has opened it must close it without waiting for another `open` before.
    """

    def __init__(self, database: Database, lock_timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`lock_timeout`: for how many seconds to wait for a file that somebody else holds."""
        self.database = database
        self.waits = _waits("write", clock)
        self._lock_timeout = lock_timeout
        self._clock = clock
        self.calls = 0
        """Calls of the client that read or write the database, at times; see `look`."""
        self._users = 0
        self._holds = 0
        self._began = 0.0
        self._changing = asyncio.Lock()
        self._unused = asyncio.Event()
        self._unused.set()
        self._lingering: asyncio.TimerHandle | None = None
        self._letting_go: asyncio.Task[None] | None = None

    async def run(self, function: Callable[..., T], *arguments: object, wait: bool = True, create: bool = False) -> T:
        """Run a function in a thread that is always waited for, and keep the database open meanwhile; see `open`.

        Raises:
            DatabaseLockedError, StoreError: as `open`; and what the function raises.
        """
        await self.open(wait=wait, create=create)
        try:
            return await finish_in_thread(function, *arguments)
        finally:
            self.close()

    async def read(self, read: Read[T]) -> T:
        """Read the database as it is at one moment, also while chunks are written. A cancel interrupts the reading.

        Our tables are created or migrated, as at the beginning of any call; a file is not created.

        Raises:
            StoreError: there is no file yet.
            DatabaseLockedError, StoreError: as `open`; and what `read` raises.
        """
        await self._open_to_read()
        try:
            return await _read(partial(open_clients, self.database), read)
        finally:
            self.close()

    async def write(self, write: Write[T]) -> T:
        """Write to the database. Our tables are created or migrated, as at the beginning of any call; a file is not
        created.

        Raises:
            StoreError: there is no file yet.
            DatabaseLockedError, StoreError: as `open`; and what `write` raises.
        """
        self._check_exists()
        return await self.run(partial(write_opened, self.database, write), create=True)

    def steps(self, read: ReadSteps[T]) -> HeldReading[T]:
        """Return a reading in steps, as `read` reads. While it is open, the file is not let go of."""
        return HeldReading(partial(open_clients, self.database), read, self)

    async def hold_to_read(self) -> None:
        """As `open`, until `end_hold`, for a caller who may wait for another `open` before."""
        await self._open_to_read()
        self._holds += 1

    def end_hold(self) -> None:
        """As `close`."""
        self._holds -= 1
        self.close()

    async def compact(self) -> CompactResult:
        """Replace the file by a smaller copy of itself. Waits until no call has it open; calls that come later wait
        until the copy is in place. A cancel interrupts the copying.

        Raises:
            StoreError: the database is no file; and as `Compaction.run`.
            DatabaseLockedError: somebody else held the file for all of `lock_timeout`.
        """
        if (path := self.database.path) is None:
            raise no_file_to_compact()
        async with self._changing:
            await self._unused.wait()
            await self._release()
            return await _compact(path, self._lock_timeout, self.waits, self._clock)

    async def look(self, read: Read[T], *, migrate: bool = False) -> T:
        """Read the database and write nothing to it: no file is created, and none of our tables. If the file does not
        exist yet, `read` gets an empty database. With `migrate`, tables that an older version made are migrated.

        Raises:
            DatabaseLockedError, StoreError: as `Store`; and what `read` raises.
        """
        database = self.database
        if database.path is not None and not database.path.exists():
            return await _read(open_nothing, read)
        if database.is_open or self.calls > 1:  # a reading of its own would hold the other calls up
            return await self.read(read)
        try:
            if database.path is not None:
                return await read_file(database.path, self._lock_timeout, read)
            if database.callers is not None:
                return await read_connection(database.callers, read)
        except OlderVersionError:
            if not migrate:
                raise
            return await self.read(read)
        return await _read(open_nothing, read)

    async def open(self, *, wait: bool = True, create: bool = False) -> None:
        """Keep it open until `close`. With `wait=False`, do not wait for somebody else who holds the file. With
        `create`, create it and our tables if they are missing, as at the beginning of a call.

        Raises:
            DatabaseLockedError: somebody else held the file for all of `lock_timeout`.
            StoreError: it cannot be created, read or written, or a newer version of this library made it.
        """
        try:
            async with asyncio.timeout(None if wait else TELL_AFTER):
                await self._changing.acquire()
        except TimeoutError:
            raise DatabaseLockedError(f"{self.database.path}: another call waits for it.") from None
        try:
            if wait and self._may_let_go():
                is_turn_over = self._is_turn_over()
                if is_turn_over or self.database.has_long_log():
                    await self._unused.wait()
                    await self._release()
                if is_turn_over:
                    await asyncio.sleep(PAUSE)
            if not self.database.is_open:
                try:
                    await self._acquire(self._lock_timeout if wait else 0.0, create=create)
                finally:
                    self._linger()  # a cancel may have come when it was open already
            self._users += 1
            self._unused.clear()
        finally:
            self._changing.release()

    def close(self) -> None:
        """End one use. After the last one, the file is let go soon."""
        self._users -= 1
        if not self._users:
            self._unused.set()
            self._linger()

    async def let_go(self) -> None:
        """Let go of the file now if nobody uses it. If that has begun already, wait for its end."""
        await self._end_of_letting_go()
        await self._let_go()

    async def _open_to_read(self) -> None:
        self._check_exists()
        await self.open(create=True)

    def _check_exists(self) -> None:
        """Raise StoreError if there is no file yet."""
        if self.database.path is not None and not self.database.is_open:
            check_exists(self.database.path)

    async def _end_of_letting_go(self) -> None:
        """Wait until the file is closed, if it is being closed. A cancel takes effect after that."""
        cancelled: asyncio.CancelledError | None = None
        while self._letting_go is not None and not self._letting_go.done():
            try:
                await asyncio.wait({self._letting_go})
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _let_go(self) -> None:
        if self._users:
            return
        if self.database.is_open:  # else another call may be opening it now, which lets go of it later
            async with self._changing:
                if not self._users:
                    await self._release()
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

    def _linger(self) -> None:
        """Let go of the file in a moment, if nobody uses it then."""
        if self.database.path is not None and self._lingering is None:
            self._lingering = asyncio.get_running_loop().call_later(LINGER, self._end_lingering)

    def _end_lingering(self) -> None:
        self._lingering = None
        if not self._users:
            self._letting_go = asyncio.create_task(self._let_go())

    def _may_let_go(self) -> bool:
        """Whether a file is open, and no call holds it that may be waiting for this very one."""
        return self.database.path is not None and self.database.is_open and not self._holds

    def _is_turn_over(self) -> bool:
        path, held_for = self.database.path, self._clock() - self._began
        is_awaited = held_for >= TURN and path is not None and somebody_waits(path)
        return is_awaited or held_for >= LONG_TURN

    async def _acquire(self, lock_timeout: float, *, create: bool) -> None:
        acquire = partial(finish_in_thread, partial(self.database.acquire, create=create))
        await while_locked(acquire, self.database.path, lock_timeout, self.waits, self._clock)
        self._began = self._clock()

    async def _release(self) -> None:
        if self.database.path is not None and self.database.is_open:
            await finish_in_thread(self.database.release)


def _waits(who: str, clock: Callable[[], float] = time.monotonic) -> Waits:
    return Waits(clock, lambda: dt.datetime.now().astimezone(), who=who)


async def while_locked(
    attempt: Callable[[], Coroutine[object, object, T]],
    path: Path | None,
    lock_timeout: float,
    waits: Waits,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Repeat `attempt` for `lock_timeout` seconds while another process or connection holds the file. Meanwhile other
    processes of this library see that this one waits, and a long wait is logged.

    Raises:
        DatabaseLockedError: of the last attempt; and what else an attempt raises.
    """
    since, has_waited = clock(), False
    try:
        with waits.telling() as tell, waits.request():
            while True:
                try:
                    return await attempt()
                except DatabaseLockedError as locked:
                    waited, has_waited = clock() - since, True
                    if path is not None:
                        announce_wait(path)
                    if waited >= lock_timeout:
                        raise
                    if waited >= TELL_AFTER:
                        tell(lock_timeout - waited, f"{locked.holder} to close {path}")
                await asyncio.sleep(POLL)
    finally:
        if has_waited and path is not None:
            end_wait(path)


async def read_file(path: Path, lock_timeout: float, read: Read[T]) -> T:
    """Open a file read-only, read it and close it. Raises StoreError if it does not exist, and as `while_locked`."""

    async def attempt() -> T:
        return await _read(partial(open_file, path), read)

    return await while_locked(attempt, path, lock_timeout, _waits("reading"))


async def read_connection(connection: duckdb.DuckDBPyConnection, read: Read[T]) -> T:
    """Read the default database and schema of a caller's connection."""
    return await _read(partial(open_callers, connection), read)


async def write_file(path: Path, lock_timeout: float, write: Write[T], *, table: str = "") -> T:
    """Open a file, write to it and close it. Raises StoreError if it does not exist, and as `while_locked`."""
    del table  # there are no other calls
    attempt = partial(finish_in_thread, open_and_write, path, write)
    return await while_locked(attempt, path, lock_timeout, _waits("write"))


async def write_connection(connection: duckdb.DuckDBPyConnection, write: Write[T], *, table: str = "") -> T:
    """Write to the default database and schema of a caller's connection. Raises StoreError if it is read-only."""
    del table  # there are no other calls
    return await finish_in_thread(open_and_write, connection, write)


async def compact_file(path: Path, lock_timeout: float) -> CompactResult:
    """Replace a file by a smaller copy of itself; see `HeldDatabase.compact`."""
    return await _compact(path, lock_timeout, _waits("write"), time.monotonic)


def no_file_to_compact() -> StoreError:
    """Return the error for a database that is not a path."""
    return StoreError(
        "compact replaces the database's file: it needs a path, not a connection or a database in memory."
    )


async def _compact(path: Path, lock_timeout: float, waits: Waits, clock: Callable[[], float]) -> CompactResult:
    compaction = Compaction(path)
    attempt = partial(finish_in_thread, compaction.run, interrupt=compaction.interrupt)
    return await while_locked(attempt, path, lock_timeout, waits, clock)


async def _read(opening: Callable[[], Opened], read: Read[T]) -> T:
    reading = Reading(opening, read)
    return await finish_in_thread(reading.run, interrupt=reading.interrupt)


def file_steps(path: Path, lock_timeout: float, read: ReadSteps[T]) -> AsyncGenerator[T, None]:
    """Read a file in steps. Raises what `read_file` does."""
    reading = HeldReading(partial(open_file, path), read)
    return _steps(reading, partial(while_locked, reading.open, path, lock_timeout, _waits("reading")))


def connection_steps(connection: duckdb.DuckDBPyConnection, read: ReadSteps[T]) -> AsyncGenerator[T, None]:
    """Read a caller's connection in steps, as `read_connection` does."""
    reading = HeldReading(partial(open_callers, connection), read)
    return _steps(reading, reading.open)


async def _steps(
    reading: HeldReading[T], open_it: Callable[[], Coroutine[object, object, None]]
) -> AsyncGenerator[T, None]:
    try:
        await open_it()
        while (value := await reading.next()) is not None:
            yield value
    finally:
        await reading.close()
