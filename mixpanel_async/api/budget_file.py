"""The record that all clients and processes of this machine share for a project: a small SQLite file.

It holds the times of requests and pauses, each with the name of its limit, and nothing else. Times are in seconds since
1970, because each boot has a monotonic clock of its own. A clock that was set back holds no request for longer than a
window: what lies in the future counts as now. A request is counted in one transaction, so no two processes take the
same place, and a process that is killed leaves the file as it was.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from mixpanel_async.api.budget import HOUR, MemoryRecord, Usage, longest_wait
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mixpanel_async.api.budget import Wait, Window

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOCK_TIMEOUT = 5.0
"""Seconds to wait for other processes, each of which needs a few milliseconds."""

_SYNCHRONOUS = "NORMAL"
"""So that a power failure does not damage the file."""

_APPLICATION_ID = 0x4D504173
_VERSION = 1
_SCHEMA = (
    "CREATE TABLE requests (key INTEGER PRIMARY KEY, name TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE INDEX requests_by_time ON requests (name, at)",
    """CREATE TABLE pauses (
        name TEXT NOT NULL, counted_only INTEGER NOT NULL, began REAL NOT NULL, until REAL NOT NULL,
        PRIMARY KEY (name, counted_only))""",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)

_ALONE = (
    "%s cannot be used (%s). So this client counts only its own requests, and not those of the project's other clients "
    "on this machine. Set MP_STATE_DIR to a folder that can be written, or pass RateLimits(shared=False). If the file "
    "is damaged, delete it while no client runs."
)


class BudgetFile:
    """The file of one project. Each method opens and closes it. All but `run` and `record` block: `run` calls them."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns the seconds since 1970."""
        self.path = path
        self._clock = clock
        self._is_given_up = False

    def record(self, name: str) -> SharedRecord:
        """Return the record of one limit."""
        return SharedRecord(self, name)

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Call one of the methods below in a thread.

        Raises:
            UnusableError: the file cannot be used. The first time a warning says so, then it is left alone.
        """
        if self._is_given_up:
            raise UnusableError
        try:
            return await finish_in_thread(work, *arguments)
        except (sqlite3.Error, OSError) as error:
            if not self._is_given_up:
                self._is_given_up = True
                logger.warning(_ALONE, self.path, error)
            raise UnusableError from error

    def take(self, name: str, key: int, windows: Sequence[Window]) -> Wait | None:
        """As `Record.take`. The request gets this key."""
        with self._writing(name) as (db, now):
            wait = _longest_wait(db, name, windows, now)
            if wait is None:
                db.execute("INSERT INTO requests VALUES (?, ?, ?)", (key, name, now))
            return wait

    def remove(self, name: str, key: int) -> None:
        """Do not count the request of this key."""
        with self._writing(name) as (db, _):
            db.execute("DELETE FROM requests WHERE key = ?", (key,))

    def wait(self, name: str, windows: Sequence[Window] | None) -> Wait | None:
        """As `Record.wait`."""
        with self._writing(name) as (db, now):
            return _longest_wait(db, name, windows, now)

    def pause(self, name: str, seconds: float, counted_only: bool) -> None:  # noqa: FBT001 - passed on by `run`
        """As `Record.pause`."""
        with self._writing(name) as (db, now):
            db.execute(
                """INSERT INTO pauses VALUES (?, ?, ?, ?) ON CONFLICT (name, counted_only)
                DO UPDATE SET began = excluded.began, until = excluded.until WHERE until < excluded.until""",
                (name, counted_only, now, now + seconds),
            )

    def usage(self, name: str) -> Usage:
        """As `Record.usage`. A file that is missing is not made."""
        now = self._clock()
        if not self.path.exists():
            return Usage(now, ())
        with closing(self._connect()) as db:
            db.execute("BEGIN")
            if _is_new(db):
                return Usage(now, ())
            rows = db.execute("SELECT at FROM requests WHERE name = ? AND at > ? ORDER BY at", (name, now - HOUR))
            return Usage(now, [min(at, now) for (at,) in rows], *_pauses(db, name, now))

    @contextmanager
    def _writing(self, name: str) -> Iterator[tuple[sqlite3.Connection, float]]:
        """Open a transaction that no other process shares, and yield it with the time at which it began."""
        if not self.path.exists():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        with closing(self._connect()) as db:  # rolls back what is not committed
            db.execute("BEGIN IMMEDIATE")
            if _is_new(db):
                for statement in _SCHEMA:
                    db.execute(statement)
            now = self._clock()  # the lock may have taken long
            _tidy(db, name, now)
            yield db, now
            db.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: what is not there is not made, and the file has its mode from `_writing`
        db = sqlite3.connect(f"{self.path.as_uri()}?mode=rw", LOCK_TIMEOUT, uri=True, isolation_level=None)
        db.execute(f"PRAGMA synchronous = {_SYNCHRONOUS}")
        return db


class SharedRecord:
    """A `Record` in a file. If the file cannot be used, this client counts by itself, its earlier requests included."""

    def __init__(self, file: BudgetFile, name: str) -> None:
        self._file = file
        self._name = name
        self._alone = MemoryRecord()

    async def take(self, windows: Sequence[Window]) -> Wait | None:
        """See `Record`."""
        key = secrets.randbits(63)
        try:
            wait = await self._file.run(self._file.take, self._name, key, windows)
        except asyncio.CancelledError:
            with suppress(UnusableError):
                await self._file.run(self._file.remove, self._name, key)
            raise
        except UnusableError:
            return await self._alone.take(windows)
        if wait is None:
            self._alone.count()
        return wait

    async def wait(self, windows: Sequence[Window] | None) -> Wait | None:
        """See `Record`."""
        try:
            return await self._file.run(self._file.wait, self._name, windows)
        except UnusableError:
            return await self._alone.wait(windows)

    async def pause(self, seconds: float, *, counted_only: bool) -> None:
        """See `Record`."""
        await self._alone.pause(seconds, counted_only=counted_only)
        with suppress(UnusableError):
            await self._file.run(self._file.pause, self._name, seconds, counted_only)

    async def usage(self) -> Usage:
        """See `Record`."""
        try:
            return await self._file.run(self._file.usage, self._name)
        except UnusableError:
            return await self._alone.usage()


class UnusableError(Exception):
    """The file cannot be used. It never reaches a caller of the library."""


def _is_new(db: sqlite3.Connection) -> bool:
    """Whether the file is still empty. Raises sqlite3.Error if it is not one of ours, or of a newer version."""
    [(application,)], [(version,)] = db.execute("PRAGMA application_id"), db.execute("PRAGMA user_version")
    if application == _APPLICATION_ID:
        if version == _VERSION:
            return False
        raise sqlite3.DatabaseError("it was made by a newer version of this library: upgrade")
    if application or version or db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
        raise sqlite3.DatabaseError("it is a database of another program")
    return True


def _tidy(db: sqlite3.Connection, name: str, now: float) -> None:
    """Bring what lies in the future to now, and delete what no window counts any more."""
    db.execute("UPDATE requests SET at = ? WHERE name = ? AND at > ?", (now, name, now))
    db.execute(
        "UPDATE pauses SET began = ?, until = ? + until - began WHERE name = ? AND began > ?", (now, now, name, now)
    )
    db.execute("DELETE FROM requests WHERE name = ? AND at <= ?", (name, now - HOUR))


def _longest_wait(db: sqlite3.Connection, name: str, windows: Sequence[Window] | None, now: float) -> Wait | None:
    def nth_last(number: int) -> float | None:
        query = "SELECT at FROM requests WHERE name = ? ORDER BY at DESC LIMIT 1 OFFSET ?"
        rows = db.execute(query, (name, number - 1)).fetchall()
        return rows[0][0] if rows else None

    paused_until, counted_until = _pauses(db, name, now)
    counted_until = -math.inf if windows is None else counted_until
    return longest_wait(now, windows or (), nth_last, paused_until, counted_until)


def _pauses(db: sqlite3.Connection, name: str, now: float) -> tuple[float, float]:
    """Return until when all requests are paused, and those that are counted."""
    rows = db.execute("SELECT counted_only, until - max(0, began - ?) FROM pauses WHERE name = ?", (now, name))
    until = dict(rows.fetchall())
    return until.get(0, -math.inf), until.get(1, -math.inf)
