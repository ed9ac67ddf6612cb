"""Reads a database: a file, a caller's connection, or a client's open database, each in a transaction that cannot
write and sees all tables at one moment.

A file is opened by `duckdb.connect`, not attached: everybody in this process who connects to a file shares one opening
of it, so that none takes the system's locks from another; see `sharing`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Generic, TypeGuard, TypeVar

import duckdb

from mixpanel_async.duck.checkpoints import undo_checkpoint
from mixpanel_async.duck.schema import Schema
from mixpanel_async.duck.sharing import connect, opened_to_read
from mixpanel_async.duck.translation import translate_errors, translate_open_errors
from mixpanel_async.errors import TableNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mixpanel_async.duck.connection import Database

    Opened = AbstractContextManager[tuple[duckdb.DuckDBPyConnection, Schema]]

T = TypeVar("T")

Read = Callable[[duckdb.DuckDBPyConnection, Schema], T]
"""What a reading does, with a cursor that cannot write and the schema that the tables are in."""

ReadSteps = Callable[[duckdb.DuckDBPyConnection, Schema], Generator[T, None, None]]
"""As `Read`, for several values."""


class Reading(Generic[T]):
    """One reading. `run` blocks, so it runs in a thread; another thread may call `interrupt` meanwhile."""

    def __init__(self, opening: Callable[[], Opened], read: Read[T]) -> None:
        """`opening` opens the database; see the functions below."""
        self._opening = opening
        self._read = read
        self._cursor: duckdb.DuckDBPyConnection | None = None

    def run(self) -> T:
        """Open the database, read, and close it.

        Raises:
            DatabaseLockedError, StoreError: it cannot be opened; and what the function raises.
        """
        with (
            self._opening() as (self._cursor, schema),
            translate_errors("The database cannot be read"),
            _only_reading(self._cursor),
        ):
            return self._read(self._cursor, schema)

    def interrupt(self) -> None:
        """End the statement that runs; do nothing if none does."""
        if (cursor := self._cursor) is not None:
            with suppress(duckdb.Error):  # it may be closed meanwhile
                cursor.interrupt()


class SteppedReading(Generic[T]):
    """A reading that returns one value after the other, in one transaction. Its methods block, so they run in threads,
    one at a time; another thread may call `interrupt` meanwhile.
    """

    def __init__(self, opening: Callable[[], Opened], read: ReadSteps[T]) -> None:
        self._opening = opening
        self._read = read
        self._steps: Generator[T, None, None] | None = None
        self._opened = ExitStack()
        self._cursor: duckdb.DuckDBPyConnection | None = None

    def open(self) -> None:
        """Open the database, until `close`. Raises DatabaseLockedError, StoreError: it cannot be opened."""
        with ExitStack() as opened:
            cursor, schema = opened.enter_context(self._opening())
            with translate_errors("The database cannot be read"):
                opened.enter_context(_only_reading(cursor))
            self._cursor = cursor
            self._steps = opened.enter_context(closing(self._read(cursor, schema)))
            self._opened = opened.pop_all()

    def next(self) -> T | None:
        """Return the next value; `None` after the last one. Raises what the function raises."""
        return None if self._steps is None else next(self._steps, None)

    def close(self) -> None:
        """Close it; do nothing if it is not open."""
        self._cursor = self._steps = None
        self._opened.close()

    def interrupt(self) -> None:
        """End the statement that runs; do nothing if none does."""
        if (cursor := self._cursor) is not None:
            with suppress(duckdb.Error):  # it may be closed meanwhile
                cursor.interrupt()


def is_connection(database: object) -> TypeGuard[duckdb.DuckDBPyConnection]:
    """Whether it is an open connection, not a path."""
    return isinstance(database, duckdb.DuckDBPyConnection)


def check_exists(path: Path) -> None:
    """Raise TableNotFoundError if there is no such file: reading creates none."""
    if not path.exists():
        raise TableNotFoundError(f"There is no database {path}: fetch into it first, or pass another path.")


@contextmanager
def open_file(path: Path) -> Iterator[tuple[duckdb.DuckDBPyConnection, Schema]]:
    """Open a file read-only. If this process has it open with `duckdb.connect(path)`, use that connection's database.

    Raises:
        DatabaseLockedError: somebody else writes to it.
        TableNotFoundError: there is no such file.
        StoreError: it cannot be read.
    """
    check_exists(path)
    with ExitStack() as opened:
        with translate_open_errors(path):
            opened.enter_context(opened_to_read(path))
            undo_checkpoint(path)
            connection = opened.enter_context(closing(_connect(path)))
        yield connection, _default_schema(connection)


@contextmanager
def open_callers(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[duckdb.DuckDBPyConnection, Schema]]:
    """Open a cursor of a caller's connection: its default database and schema, whatever it `USE`s."""
    with translate_open_errors(None):
        cursor = connection.cursor()
    with closing(cursor):
        yield cursor, _default_schema(cursor)


@contextmanager
def open_clients(database: Database) -> Iterator[tuple[duckdb.DuckDBPyConnection, Schema]]:
    """Open a cursor of a client's database, which is open already."""
    with closing(database.cursor()) as cursor:
        yield cursor, database.schema


@contextmanager
def open_nothing() -> Iterator[tuple[duckdb.DuckDBPyConnection, Schema]]:
    """Open an empty database, as one that is not there yet."""
    with connect(":memory:") as connection:
        yield connection, _default_schema(connection)


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        return connect(path, read_only=True)
    except duckdb.ConnectionException as error:
        if "different configuration" not in str(error):
            raise
    return connect(path)  # somebody in this process can write to it: share that


def _default_schema(cursor: duckdb.DuckDBPyConnection) -> Schema:
    ((catalog, name),) = cursor.execute("SELECT current_database(), current_schema()").fetchall()
    return Schema(catalog, name)


@contextmanager
def _only_reading(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    cursor.execute("BEGIN TRANSACTION READ ONLY")
    try:
        yield
    finally:
        with suppress(duckdb.Error):  # an error may have ended it
            cursor.execute("ROLLBACK")
