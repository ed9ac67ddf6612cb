"""The database: which file is open, for how long, and who else has it open."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async.duck import row_groups
from mixpanel_async.duck.checkpoints import checkpoint, log_of, size_of, undo_checkpoint
from mixpanel_async.duck.files import CATALOG, as_literal, attach_file, create_file, detach_file, remove_left_behind
from mixpanel_async.duck.schema import Schema
from mixpanel_async.duck.sharing import Settings, connect, opened_to_write
from mixpanel_async.duck.translation import translate_errors, translate_open_errors
from mixpanel_async.duck.versions import prepare_our_tables
from mixpanel_async.errors import ConfigurationError, StoreError
from mixpanel_async.selections import is_text

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

MEMORY_LIMIT = "192MB"
"""DuckDB's memory limit for a file. Without one it keeps all that it has written, up to most of the machine's
memory.
"""

LONG_ROW = 4096
"""Bytes of a row, on average over a batch. A row group of longer rows may need more than `MEMORY_LIMIT`."""

LONG_LOG = 32 << 20
"""Bytes of the write-ahead log at which the file is let go of, and so checkpointed: the log is in memory, too. Nothing
is written meanwhile, and chunks wait until all that were begun are written.
"""

SETTINGS: Settings = {
    # Statements run in parallel, one a core; more threads in each would only compete.
    "threads": 1,
    # Nothing is downloaded: all that is needed is built into DuckDB.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


class Database:
    """A DuckDB file, a database in memory, or a caller's open connection.

    A file is attached to a DuckDB instance in memory while a lease is open; otherwise others can `duckdb.connect` it.
    If this process has it open already, that connection's instance is used, with its settings. A database in memory
    lives until `close`. A caller's connection is never closed and its settings stay.

    Raises:
        ConfigurationError: the target is not a path, `:memory:` or a connection.
    """

    def __init__(self, target: str | os.PathLike[str] | duckdb.DuckDBPyConnection) -> None:
        self.path: Path | None = None
        self.openings = 0
        """How often a file was opened. Between two openings others may have changed it."""
        self.callers: duckdb.DuckDBPyConnection | None = None
        """A caller's open connection."""
        self._instance: duckdb.DuckDBPyConnection | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._opened = ExitStack()
        self._row_group: int | None = None
        self._ample_memory = ""
        self._has_ample_memory = False
        self._may_have_left_log = False
        self._leases = 0
        self._lock = threading.Lock()
        if isinstance(target, duckdb.DuckDBPyConnection):
            self.callers = target
        else:
            self.path = path_of(target)
        self.schema = Schema("memory", "main") if self.path is None else Schema(CATALOG, "main")

    @property
    def is_open(self) -> bool:
        """Whether a lease keeps it open; for a database in memory, whether it has begun to live."""
        return self._connection is not None

    @property
    def instance(self) -> duckdb.DuckDBPyConnection | None:
        """Our own DuckDB instance. `None` while the database is closed, or lives in somebody else's instance: then a
        cursor that stays open would keep that open, too.
        """
        return self._instance if self._connection is self._instance else None

    def lease(self) -> Lease:
        """Return a lease, which opens the database with its own `open`."""
        return Lease(self)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection for one thread, with its own transaction. The caller closes it."""
        if self._connection is None:
            raise StoreError("The database is closed.")
        with translate_open_errors(self.path):
            return self._connection.cursor()

    def make_room(self, row_bytes: int) -> None:
        """Raise the memory limit to DuckDB's own if rows are so long that a row group may not fit."""
        if row_bytes > LONG_ROW and self._instance is not None and self.path is not None and not self._has_ample_memory:
            self._has_ample_memory = True
            with self._instance.cursor() as cursor:
                # DuckDB 1.5 does nothing on RESET
                cursor.execute(f"SET memory_limit = {as_literal(self._ample_memory)}")

    def has_long_log(self) -> bool:
        """Whether so much was written that the file should be checkpointed."""
        return self.path is not None and self._instance is not None and size_of(log_of(self.path)) >= LONG_LOG

    def close(self) -> None:
        """Close it, checkpointed; a database in memory is then gone. Every cursor must be closed before."""
        with self._lock:
            self._close()
            self._drop_instance()
        self.tell_of_log()

    def tell_of_log(self) -> None:
        """Warn, at the end of a call, if a write-ahead log is left beside the file. Not before: the next time that the
        file is opened, DuckDB moves the log into it.
        """
        path, may_have_left_log, self._may_have_left_log = self.path, self._may_have_left_log, False
        if path is None or self.is_open or not may_have_left_log:
            return
        if size_of(log := log_of(path)):
            logger.warning(
                "%s was closed, but DuckDB could not move its write-ahead log into it; is the disk full? Nothing is "
                "lost: the rest is in %s until the file is opened again. Do not copy or move one without the other.",
                path,
                log,
            )

    def acquire(self, *, create: bool = True) -> None:
        """Add a user; the first one opens the database. Without `create`, it must be there, with our tables."""
        with self._lock:
            if self._connection is None:
                self._open(create=create)
            self._leases += 1

    def release(self) -> None:
        """Remove a user; the last one closes a file."""
        with self._lock:
            self._leases -= 1
            if self._leases == 0 and self.path is not None:
                self._close()

    def _open(self, *, create: bool) -> None:
        with translate_open_errors(self.path), ExitStack() as opened:
            if self.callers is not None:
                connection = opened.enter_context(closing(self.callers.cursor()))
                self.schema = _writable_schema(connection)
            elif self.path is not None:
                connection = self._open_file(self.path, opened, create=create)
            else:
                connection = self._living_instance()
            prepare_our_tables(connection, self.schema, create=create)
            self._opened = opened.pop_all()
        self._connection = connection
        self.openings += 1

    def _open_file(self, path: Path, opened: ExitStack, *, create: bool) -> duckdb.DuckDBPyConnection:
        instance = self._living_instance()
        if not path.exists():
            if not create:
                raise StoreError(f"{path} was deleted or moved while it was used. Nothing more is written: call again.")
            create_file(instance, path)
        opened.enter_context(opened_to_write(path))
        undo_checkpoint(path)
        try:
            attach_file(instance, path, self._row_group or row_groups.USUAL)
        except duckdb.Error as error:
            if "already attached" not in str(error):
                raise
            connection = opened.enter_context(closing(connect(path)))
            self.schema = _writable_schema(connection)
            return connection
        self.schema = Schema(CATALOG, "main")
        try:
            self._choose_row_groups(instance, path)
        except BaseException:
            self._drop_instance()
            raise
        opened.callback(self._detach)
        if self._has_ample_memory:
            self._has_ample_memory = False
            instance.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        return instance

    def _living_instance(self) -> duckdb.DuckDBPyConnection:
        """Return the instance in memory, made by the first call."""
        if self._instance is None:
            instance = connect(":memory:", config=SETTINGS)
            if self.path is not None:
                remove_left_behind(self.path)
                ((self._ample_memory,),) = instance.execute("SELECT current_setting('memory_limit')").fetchall()
                instance.execute(f"SET temp_directory = {as_literal(f'{self.path}.tmp')}")
                instance.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
                # None but ours: see `checkpoints`.
                instance.execute("SET checkpoint_threshold = '1TB'")
                instance.execute("PRAGMA disable_checkpoint_on_shutdown")
            self._instance = instance
        return self._instance

    def _choose_row_groups(self, instance: duckdb.DuckDBPyConnection, path: Path) -> None:
        """Give the attached file the row groups that suit its chunks; the first time, it is attached again for them."""
        row_groups.forbid_merging(instance)
        if self._row_group is None:
            self._row_group = row_groups.size_for(row_groups.mean_rows(instance, self.schema))
            if self._row_group != row_groups.USUAL:
                detach_file(instance)  # it leaves a log as it is: no checkpoint without an undo file
                attach_file(instance, path, self._row_group)

    def _detach(self) -> None:
        """Checkpoint the file and detach it. After an error drop the instance: that closes the file, and the log stays
        for the next opening.
        """
        try:
            if self._instance is not None and self.path is not None:
                rows = row_groups.mean_rows(self._instance, self.schema)
                self._row_group = row_groups.size_for(rows)
                row_groups.allow_merging(self._instance, rows)
                checkpoint(self._instance, CATALOG, self.path)
                detach_file(self._instance)
        except (duckdb.Error, OSError):
            self._drop_instance()
        self._may_have_left_log = True

    def _drop_instance(self) -> None:
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._opened.close()


class Lease:
    """Keeps the database open for one user. `open` and `close` block, so they run in threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held = False

    def open(self) -> None:
        """Keep the database open until `close`.

        Raises:
            DatabaseLockedError: another process, or another connection of this one, holds the file.
            StoreError: it cannot be created, read or written, or a newer version of this library made it.
        """
        self._database.acquire()
        self._held = True

    def close(self) -> None:
        """End the lease; do nothing if it is not open."""
        if self._held:
            self._held = False
            self._database.release()


def create_database(path: Path) -> None:
    """Create a file with our tables. Raises DatabaseLockedError, StoreError as `Lease.open`."""
    database = Database(path)
    try:
        database.acquire()
        database.release()
    finally:
        database.close()


def path_of(target: object) -> Path | None:
    """Return a file's path, `~` expanded; `None` for a database in memory."""
    text = os.fspath(target) if isinstance(target, (str, os.PathLike)) else target
    if not is_text(text) or "\0" in text:
        given = repr(target) if isinstance(text, str) else type(target).__name__
        raise ConfigurationError(f'database must be a path, ":memory:" or an open duckdb connection, not {given}.')
    if text == ":memory:":
        return None
    if text.startswith(":memory:"):
        raise ConfigurationError(f'database must be ":memory:" without a name, or duckdb.connect({text!r}).')
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise ConfigurationError(f"database: the home directory in {text!r} is not known: write it out.") from None
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a directory cannot be searched
        raise ConfigurationError(f"database must be a file, and {path} is a directory: pass a path in it.")
    return path


def _writable_schema(connection: duckdb.DuckDBPyConnection) -> Schema:
    """Return the default schema of a caller's connection. Raises StoreError if it is read-only."""
    query = (
        "SELECT database_name, current_schema(), readonly FROM duckdb_databases() "
        "WHERE database_name = current_database()"
    )
    catalog, schema, is_read_only = connection.execute(query).fetchall()[0]
    if is_read_only:
        raise StoreError(f"Database {catalog!r} of the connection is read-only: pass a connection that can write.")
    return Schema(catalog, schema)


@contextmanager
def table_cursor(database: Database, name: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a cursor for one piece of work on a table; its errors become StoreErrors that name the table."""
    with closing(database.cursor()) as cursor, translate_errors(f"Table {name!r}"):
        yield cursor
