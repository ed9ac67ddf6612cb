"""The database: what is open, for how long, and who else has it."""

from __future__ import annotations

import glob
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async.duck.schema import Schema, create_journal, quoted
from mixpanel_async.errors import DatabaseLockedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("mixpanel_async")

CATALOG = "mixpanel"
"""The name under which a file of ours is attached."""

ROW_GROUP = 8192
"""Rows in a row group of what is written here.

DuckDB writes a transaction's rows straight to their place only in full row groups (122,880 by default), and the
rest through the write-ahead log, to be compressed again at the next checkpoint. Small groups let a chunk of some
ten thousand rows be written once. The size belongs to the attachment, not to the file: plain DuckDB reads it all.
"""

MEMORY = "192MB"
"""What DuckDB may keep in memory for a file: else it keeps all that it has written, up to most of the machine."""

LEFT_BEHIND = 3600
"""Seconds after which nobody can still be making a file: it takes some milliseconds."""

LONG_ROW = 4096
"""Bytes a row, on average over a block, from which on a row group may want more than `MEMORY`."""

CHECKPOINT = "16MB"
"""How much write-ahead log may come together: it is in memory too until the checkpoint."""

_SETTINGS = {
    # A statement a core is what is parallel here; more threads in each would only take turns.
    "threads": 1,
    # Never a download behind the caller's back: all that is needed is built in.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}

_OPEN: set[tuple[int, int]] = set()
"""Device and inode of each file that is open here. DuckDB knows files by their paths, and the system's locks hold off
other processes only: under a second name (a hard link) a file could be written by two who see nothing of each other."""
_OPEN_TURN = threading.Lock()


class Database:
    """A DuckDB file, a database in memory, or a caller's open connection.

    A file is attached while a lease is open, and free for `duckdb.connect` otherwise. A database in memory lives
    until `close`. A caller's connection is never closed and its settings stay.
    """

    def __init__(self, target: str | os.PathLike[str] | duckdb.DuckDBPyConnection) -> None:
        self.path: Path | None = None
        self._callers: duckdb.DuckDBPyConnection | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._opened = ExitStack()
        self._bounded = False
        self._leases = 0
        self._turn = threading.Lock()
        if isinstance(target, duckdb.DuckDBPyConnection):
            self._callers = target
        elif os.fspath(target) != ":memory:":
            self.path = Path(target)
        self.schema = Schema("memory", "main") if self.path is None else Schema(CATALOG, "main")

    def lease(self) -> Lease:
        """A claim to have it open; nothing happens before the lease's own `open`."""
        return Lease(self)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own for one thread, with its own transaction. The caller closes it."""
        if self._connection is None:
            raise StoreError("The database is closed.")
        return self._connection.cursor()

    def make_room(self, row_bytes: int) -> None:
        """Lift the bound on memory, to DuckDB's own, where rows are so long that they may not fit."""
        if row_bytes > LONG_ROW and self.path is not None and self._bounded:
            self._bounded = False
            with self.cursor() as cursor:
                cursor.execute("RESET memory_limit")

    def close(self) -> None:
        """Let it go, checkpointed; a database in memory is gone then. Every cursor must be closed before."""
        with self._turn:
            self._let_go()

    def claim(self) -> None:
        """Count one more user, and open it for the first."""
        with self._turn:
            if self._connection is None:
                self._open()
            self._leases += 1

    def give_back(self) -> None:
        """Count one user less, and let a file go with the last."""
        with self._turn:
            self._leases -= 1
            if self._leases == 0 and self.path is not None:
                self._let_go()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._opened.close()
        if self.path is not None and _has_bytes(log := self.path.with_name(f"{self.path.name}.wal")):
            logger.warning(
                "%s was closed, but not all could be moved into it; is the disk full? Nothing is lost: the rest is in "
                "%s until the file is opened again. Do not copy or move the one without the other.",
                self.path,
                log,
            )

    def _open(self) -> None:
        with _explained(self.path), ExitStack() as opened:
            if self._callers is not None:
                connection = opened.enter_context(closing(self._callers.cursor()))
                row = connection.execute("SELECT current_database(), current_schema()").fetchall()[0]
                self.schema = Schema(*row)
            else:
                connection = self._connect(opened)
                self._bounded = True
            create_journal(connection, self.schema)
            self._opened = opened.pop_all()
        self._connection = connection

    def _connect(self, opened: ExitStack) -> duckdb.DuckDBPyConnection:
        if self.path is not None:
            _sweep(self.path)
        connection = opened.enter_context(closing(duckdb.connect(":memory:", config=dict(_SETTINGS))))
        if self.path is not None:
            if not self.path.exists():
                _create(connection, self.path)
            opened.enter_context(_alone(self.path))
            connection.execute(f"SET temp_directory = {_text(f'{self.path}.tmp')}")
            connection.execute(f"SET memory_limit = '{MEMORY}'")
            connection.execute(f"SET checkpoint_threshold = '{CHECKPOINT}'")
            attach(connection, self.path)
        return connection


class Lease:
    """One user's claim. `open` and `close` block, so they are for threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held = False

    def open(self) -> None:
        """Have the database open until `close`.

        Raises:
            DatabaseLockedError: another process, or another connection of this one, holds the file.
            StoreError: it cannot be made, read or written.
        """
        self._database.claim()
        self._held = True

    def close(self) -> None:
        """Give the claim back; nothing where it is not held."""
        if self._held:
            self._held = False
            self._database.give_back()


def attach(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Attach a file as `CATALOG`."""
    connection.execute(f"ATTACH {_text(str(path))} AS {quoted(CATALOG)} (TYPE duckdb, ROW_GROUP_SIZE {ROW_GROUP})")


def _sweep(path: Path) -> None:
    """Take away what a process left that was killed while it made the file: else it would hold on to its space."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_BEHIND:
                shutil.rmtree(left)


def _create(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make the file under another name first: DuckDB refuses for ever a file that a kill left half made."""
    if not path.parent.is_dir():
        raise StoreError(f"There is no directory {path.parent}: make it, or choose another database path.")
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as directory:
        made = Path(directory) / path.name
        attach(connection, made)
        connection.execute(f"DETACH {quoted(CATALOG)}")
        try:
            os.link(made, path)  # unlike a rename, it never replaces a file that another process made meanwhile
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            made.rename(path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Be the only one in this process who has the file open, under whichever of its names."""
    status = path.stat()
    file = (status.st_dev, status.st_ino)
    with _OPEN_TURN:
        if file in _OPEN:
            raise DatabaseLockedError(
                f"{path} is open in this process (PID {os.getpid()}), under this name or another: use one client for "
                "both, or open a connection and pass it as `database`."
            )
        _OPEN.add(file)
    try:
        yield
    finally:
        with _OPEN_TURN:
            _OPEN.discard(file)


def _has_bytes(path: Path) -> bool:
    """An empty log may stay for good: nothing is in it."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def in_words(error: BaseException) -> str:
    """The first line of what DuckDB or the system says, and what to do where that is known."""
    said = str(error)
    hint = ": No space left on the disk. Free some space and resume." if "No space left" in said else ""
    return said.partition("\n")[0][:300] + hint


@contextmanager
def explained(table: str) -> Iterator[None]:
    """Tell what DuckDB could not do with a table.

    Raises:
        StoreError: names the table.
    """
    try:
        yield
    except duckdb.Error as error:
        raise StoreError(f"Table {table!r}: {in_words(error)}") from None


@contextmanager
def _explained(path: Path | None) -> Iterator[None]:
    """Turn the ways in which a file cannot be opened into errors that say what to do."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        said = str(error)
        if "Could not set lock" in said:
            holder = re.search(r"Conflicting lock is held in (.*?\(PID [0-9]+\))", said)
            who = holder[1] if holder else "another process"
            raise DatabaseLockedError(f"{path} is held by {who}: close it there first.") from None
        if "already attached" in said or "different configuration" in said:
            raise DatabaseLockedError(
                f"{path} is open in this process (PID {os.getpid()}): close that connection, or pass it as `database`."
            ) from None
        if "not a valid DuckDB database" in said or "Could not read enough bytes" in said:
            raise StoreError(f"{path} is no DuckDB database: choose another path, or move that file away.") from None
        raise StoreError(f"{path or 'The database'} cannot be opened: {in_words(error)}") from error


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
