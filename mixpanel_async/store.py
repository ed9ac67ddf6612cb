"""Store: look at what a database holds. It needs no credentials."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from mixpanel_async.arguments import is_seconds
from mixpanel_async.duck.connection import path_of
from mixpanel_async.duck.coverage import read_coverage
from mixpanel_async.duck.reading import is_connection
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.errors import ConfigurationError
from mixpanel_async.holding import read_connection, read_file, write_connection, write_file

if TYPE_CHECKING:
    import os

    import duckdb

    from mixpanel_async.coverage import Coverage
    from mixpanel_async.holding import RunReading, RunWriting

T = TypeVar("T")


class Store:
    """Looks at what a database holds. It needs no credentials, no `async with` and no `close`.

    Each method opens a file read-only for as long as it runs: many Stores and other programs can read at the same time.
    It never creates a file, and never changes one. `client.store` does the same over a client's database, also while
    the client fetches; there, our tables are migrated if an older version of this library made them.

    A cancelled method interrupts its query, and returns when the file is closed.

    Args:
        database: a path (a `~` in it is the home directory), or an open `duckdb` connection, which the caller closes:
            of that, the default database and schema are read. If this process has the file open with
            `duckdb.connect(path)`, that connection's database is read, and the connection can stay open.
        lock_timeout: for how many seconds to wait for a file that somebody else writes to.

    Raises:
        ConfigurationError: an argument is of a wrong type or cannot be used. The methods raise it for a connection
            that is closed.

    The methods raise:
        DatabaseLockedError: somebody else held the file for all of `lock_timeout`.
        StoreError: there is no such file, it cannot be read, or another version of this library made its tables; the
            message says what to do.
        RuntimeError: `client.store` only: the client is closed, or belongs to another event loop.
    """

    def __init__(
        self, database: str | os.PathLike[str] | duckdb.DuckDBPyConnection, *, lock_timeout: float = 60.0
    ) -> None:
        if not is_seconds(lock_timeout):
            raise ConfigurationError(f"lock_timeout must be a number of seconds, 0 or more, not {lock_timeout!r}.")
        self._run: RunReading
        self._write: RunWriting
        if is_connection(database):
            self._run = partial(read_connection, database)
            self._write = partial(write_connection, database)
        elif (path := path_of(database)) is None:
            raise ConfigurationError(
                'A database ":memory:" is only in its client: use `client.store`, or pass an open duckdb connection.'
            )
        else:
            self._run = partial(read_file, path, lock_timeout)
            self._write = partial(write_file, path, lock_timeout)

    @classmethod
    def over(cls, run: RunReading, write: RunWriting) -> Self:
        """Return the Store of a client, which runs its readings and writings itself."""
        store = cls.__new__(cls)
        store._run, store._write = run, write  # noqa: SLF001 - its own class
        return store

    async def coverage(self, name: str = "events") -> Coverage:
        """Return which days a table of events holds. It counts the table's rows, and sees all of it at one moment.

        Args:
            name: the table.

        Raises:
            ValueError: the name cannot be a table's.
            TableNotFoundError: there is no such table.
            StoreError: the table holds something else than events, or was not made by this library.
        """
        return await self._run(partial(read_coverage, name=check_table_name(name)))
