"""Store: look at what a database holds. It needs no credentials."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from mixpanel_async.arguments import is_seconds
from mixpanel_async.duck.connection import path_of
from mixpanel_async.duck.coverage import read_coverage
from mixpanel_async.duck.macros import create_macros
from mixpanel_async.duck.query import Query
from mixpanel_async.duck.reading import is_connection
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.duck.tables import read_tables
from mixpanel_async.errors import ConfigurationError
from mixpanel_async.extras import need_pyarrow
from mixpanel_async.holding import (
    connection_steps,
    file_steps,
    read_connection,
    read_file,
    write_connection,
    write_file,
)

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from mixpanel_async.coverage import Coverage
    from mixpanel_async.duck.query_result import QueryResult
    from mixpanel_async.holding import RunReading, RunSteps, RunWriting
    from mixpanel_async.tables import Tables

T = TypeVar("T")


class Store:
    """Looks at what a database holds. It needs no credentials, no `async with` and no `close`.

    Each method opens a file read-only for as long as it runs: many Stores and other programs can read at the same time.
    Only `create_macros` writes to it, and holds it alone for a moment. None creates a file. `client.store` does the
    same over a client's database, also while the client fetches; there, our tables are migrated if an older version of
    this library made them.

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
        self._run_steps: RunSteps
        self._write: RunWriting
        if is_connection(database):
            self._run = partial(read_connection, database)
            self._run_steps = partial(connection_steps, database)
            self._write = partial(write_connection, database)
        elif (path := path_of(database)) is None:
            raise ConfigurationError(
                'A database ":memory:" is only in its client: use `client.store`, or pass an open duckdb connection.'
            )
        else:
            self._run = partial(read_file, path, lock_timeout)
            self._run_steps = partial(file_steps, path, lock_timeout)
            self._write = partial(write_file, path, lock_timeout)

    @classmethod
    def over(cls, run: RunReading, run_steps: RunSteps, write: RunWriting) -> Self:
        """Return the Store of a client, which runs its readings and writings itself."""
        store = cls.__new__(cls)
        store._run, store._run_steps, store._write = run, run_steps, write  # noqa: SLF001 - its own class
        return store

    async def query(self, sql: str, parameters: Sequence[object] | Mapping[str, object] | None = None) -> QueryResult:
        """Run a statement that reads, and return all its rows. They are in memory: for larger results there is
        `query_batches`.

        The result needs neither the file nor a lock. The statement sees all tables at one moment. `client.store` runs
        it on one core, and in the client's memory limit of DuckDB: what does not fit is in a temporary file meanwhile.

        Args:
            sql: one statement: SELECT, FROM, WITH, VALUES, PIVOT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN. Anything else
                is refused, also COPY, temporary tables, settings, and several statements in one text: they would
                change files, or an instance that others use. Tables are those of the database and its default schema;
                Python variables are not read.
            parameters: a list for `?` or `$1` in the SQL, or a dict for `$name`.

        Raises:
            ValueError: an argument is of a wrong type.
            StoreError: DuckDB's own message, which shows the place in the SQL (`LINE 1: ...`); or the statement does
                not only read.

        A cancel interrupts the statement.
        """
        return await self._run(Query.of(sql, parameters).result)

    def query_batches(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] | None = None
    ) -> AsyncGenerator[pa.RecordBatch, None]:
        """Run a statement that reads, and yield its rows as Arrow record batches of at most 16,384 rows.

        Arguments and errors are those of `query`. It needs pyarrow: `pip install "mixpanel-async[pyarrow]"`. The rows
        that are in memory are those of two batches, besides what DuckDB needs to sort or to group. (DuckDB 1.5 keeps
        all rows of a statement that has `parameters`.) Without rows there is no batch.

        The file is open read-only from the first batch until the last, so nobody can write to it meanwhile, but
        `client.store` and the calls of its client. Leaving the loop early ends the statement and closes the file; use
        `contextlib.aclosing` for that to be done when the block ends. A cancel does the same.

        Raises:
            ValueError: an argument is of a wrong type.
            ModuleNotFoundError: pyarrow is not installed.
        """
        query = Query.of(sql, parameters)
        need_pyarrow("query_batches")
        return self._run_steps(query.batches)

    async def tables(self) -> Tables:
        """Return the tables that this library made, by name, then the views that read them. It counts the tables' rows.

        Tables of others and `_mixpanel_*` tables are left out. A database without tables of this library has none.
        """
        return await self._run(read_tables)

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

    async def create_macros(self) -> tuple[str, ...]:
        """Create SQL macros that any DuckDB client, 1.5 or later, can call: they live in the database.

        - `mixpanel_sessions(table, timeout := INTERVAL 30 MINUTE)`
        - `mixpanel_funnel(table, steps, within := INTERVAL 7 DAY)`
        - `mixpanel_retention(table, first, again, unit := 'day')`

        `table` is the name of a table or view of events, as a text. docs/sql.md says what they count. Macros of these
        names are replaced, so a second call changes nothing. The library's own tables are created if they are missing,
        and migrated if an older version made them.

        Returns:
            The names of the macros.

        Raises:
            StoreError: DuckDB cannot write, or the connection is read-only.

        A cancel leaves all of them as they were, or creates all of them.
        """
        return await self._write(create_macros)
