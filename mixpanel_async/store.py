"""Store: look at what a database holds. It needs no credentials."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from mixpanel_async.arguments import is_seconds
from mixpanel_async.dataset.loading import plan_loading
from mixpanel_async.dates import as_date, optional_date_range
from mixpanel_async.duck.connection import create_database, path_of
from mixpanel_async.duck.coverage import read_coverage
from mixpanel_async.duck.describe import check_sample, read_description
from mixpanel_async.duck.dropping import drop_table
from mixpanel_async.duck.exports import export_csv, export_parquet, export_partitions
from mixpanel_async.duck.json_lines import export_jsonl
from mixpanel_async.duck.macros import create_macros
from mixpanel_async.duck.properties import check_event
from mixpanel_async.duck.query import Query
from mixpanel_async.duck.reading import is_connection
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.duck.schema_changes import read_changes
from mixpanel_async.duck.tables import read_tables
from mixpanel_async.duck.views import ViewRequest, create_view, plan_view
from mixpanel_async.duck.whole_files import destination
from mixpanel_async.errors import ConfigurationError
from mixpanel_async.extras import need_pyarrow
from mixpanel_async.holding import (
    compact_file,
    connection_steps,
    file_steps,
    no_file_to_compact,
    read_connection,
    read_file,
    write_connection,
    write_file,
)
from mixpanel_async.meter import ExportMeter
from mixpanel_async.progress import check_progress
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    import datetime as dt
    import os
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from mixpanel_async.arguments import Names
    from mixpanel_async.coverage import Coverage
    from mixpanel_async.description import Description, SchemaChanges
    from mixpanel_async.duck.query_result import QueryResult
    from mixpanel_async.holding import RunReading, RunSteps, RunWriting
    from mixpanel_async.meter import ExportHook
    from mixpanel_async.tables import Tables
    from mixpanel_async.views import ViewInfo
    from mixpanel_async.written import CompactResult, ExportResult

T = TypeVar("T")


class Store:
    """Looks at what a database holds. It needs no credentials, no `async with` and no `close`.

    Each method opens a file read-only for as long as it runs: many Stores and other programs can read at the same time.
    It never creates a file, and changes one only with `create_view`, `create_macros`, `drop_table` and `compact`, which
    open it to write and hold it alone meanwhile. `client.store` does the same over a client's database, also while the
    client fetches; there, our tables are migrated if an older version of this library made them.

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
        TableNotFoundError: there is no such file.
        StoreError: it cannot be read, or another version of this library made its tables; the message says what to do.
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
        self._compact: Callable[[], Awaitable[CompactResult]]
        self._path: Path | None = None
        if is_connection(database):
            self._run = partial(read_connection, database)
            self._run_steps = partial(connection_steps, database)
            self._write = partial(write_connection, database)
            self._compact = _refuse_to_compact
        elif (path := path_of(database)) is None:
            raise ConfigurationError(
                'A database ":memory:" is only in its client: use `client.store`, or pass an open duckdb connection.'
            )
        else:
            self._path = path
            self._run = partial(read_file, path, lock_timeout)
            self._run_steps = partial(file_steps, path, lock_timeout)
            self._write = partial(write_file, path, lock_timeout)
            self._compact = partial(compact_file, path, lock_timeout)

    @classmethod
    def over(
        cls,
        run: RunReading,
        run_steps: RunSteps,
        write: RunWriting,
        compact: Callable[[], Awaitable[CompactResult]],
    ) -> Self:
        """Return the Store of a client, which runs what it does itself."""
        store = cls.__new__(cls)
        store._run, store._run_steps, store._write = run, run_steps, write  # noqa: SLF001 - its own class
        store._compact, store._path = compact, None  # noqa: SLF001 - as above
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

    async def export_parquet(  # noqa: PLR0913 - each is one independent setting with a default
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        partition_by: Literal["date"] | None = "date",
        from_date: str | dt.date | None = None,
        to_date: str | dt.date | None = None,
        progress: ExportHook | bool | None = None,
    ) -> ExportResult:
        """Write a table or a view in Parquet (zstd): one file for each date, or one for all.

        With `partition_by="date"`, `path` is a folder, and the rows of a date are in `date=2026-01-31/<name>.parquet`
        (Hive's layout; a folder is for one table). An earlier export's files of these dates are replaced, and other
        files stay, as do partitions of dates that the table no longer holds. A date that the table holds without rows
        gets an empty file, if a partition of it is there.

        Each file is whole or absent, also after a kill: it is written under a temporary name
        (`.mixpanel-async-exporting-*.tmp`) and renamed. So a reader of `date=*/*.parquet` sees each partition once, old
        or new. While an export runs it may see new partitions beside old ones. After an error, a cancel or a kill the
        partitions that were complete by then are new, and a repeat replaces them. What a kill leaves under a temporary
        name is removed by an export into the same folder after an hour.

        All rows are those of one moment. A file is open read-only while the export runs, so that writers wait;
        `client.store` exports while the client's calls write.

        JSON columns are text, because not all readers know Parquet's JSON type. Folders that are missing are made.

        Args:
            name: a table that this library made, or a view.
            path: the folder, or with `partition_by=None` the file; `~` in it is the home directory.
            partition_by: `"date"`, the date of `event_time`, or `None`.
            from_date: first date, inclusive, as after a sync of some days; `None` for the first one.
            to_date: last date, inclusive; `None` for the last one.
            progress: `True` shows a bar, as in `MixpanelClient.fetch_events`. A function, plain or coroutine, is called
                with an `ExportProgress` when that has changed, up to four times a second, and at the end. If it
                raises, the first error is logged and the export goes on.

        Raises:
            ValueError: an argument is out of its range.
            TableNotFoundError: there is no such table or view.
            StoreError: another program made the table; it has no dates; the folder has other Parquet files for these
                dates; or a file cannot be written (a full disk): the message names it, and what was there stays.
        """
        if partition_by not in ("date", None):
            raise ValueError(f"partition_by must be 'date' or None, not {partition_by!r}.")
        check_progress(progress)
        check_table_name(name)
        ends = optional_date_range(from_date, to_date)
        target = destination(path, is_folder=partition_by == "date")
        export = export_partitions if partition_by == "date" else export_parquet
        return await self._export(partial(export, path=target, ends=ends), name, progress=progress)

    async def export_csv(
        self, name: str, path: str | os.PathLike[str], *, progress: ExportHook | bool | None = None
    ) -> ExportResult:
        """Write a table or a view as one CSV file: UTF-8, with a header; NULL is an empty field, an empty text is `""`.

        A file name that ends in `.gz` or `.zst` is compressed. The file is whole or absent, an old one is replaced, and
        the rest is as with `export_parquet`.

        Raises:
            ValueError, TableNotFoundError, StoreError: as `export_parquet`.
        """
        check_progress(progress)
        target = destination(path, is_folder=False)
        return await self._export(partial(export_csv, path=target), check_table_name(name), progress=progress)

    async def export_jsonl(
        self, name: str, path: str | os.PathLike[str], *, progress: ExportHook | bool | None = None
    ) -> ExportResult:
        """Write events or profiles as JSON Lines in Mixpanel's own shape, which its `/import` takes.

        A line is `{"event": ..., "properties": {...}}`, or `{"$distinct_id": ..., "$properties": {...}}`. The
        properties are as they came, word for word: `time` in milliseconds, nulls, numbers of any size. A file name that
        ends in `.gz` is compressed. The file is whole or absent, an old one is replaced, and the rest is as with
        `export_parquet`. A view needs the columns `event_name` or `distinct_id`, and `properties`.

        Raises:
            ValueError, TableNotFoundError, StoreError: as `export_parquet`; StoreError, too, for other tables and
                views.
        """
        check_progress(progress)
        target = destination(path, is_folder=False)
        if target.suffix.lower() in (".zst", ".zstd", ".bz2", ".xz", ".zip"):
            raise ValueError(f"path={str(path)!r}: JSON Lines are compressed with gzip only: end the name in .gz.")
        return await self._export(partial(export_jsonl, path=target), check_table_name(name), progress=progress)

    async def _export(
        self, export: Callable[..., ExportResult], name: str, *, progress: ExportHook | bool | None
    ) -> ExportResult:
        meter = ExportMeter(name, progress=progress)
        async with meter.running():
            return await self._run(partial(export, name=name, meter=meter))

    async def load_parquet(
        self,
        destination: str | os.PathLike[str],
        project_id: int,
        name: str = "events",
        *,
        from_date: str | dt.date | None = None,
        to_date: str | dt.date | None = None,
    ) -> int:
        """Load what `mixpanel_async.distributed.export_events` wrote of a project into a table, with its journal and
        its rejected lines: as if `fetch_events` had fetched it. So `fetch_events` and `sync_events` go on from it.

        A chunk that the table has already is left out, so a repeat loads only what is new or was replaced. Each chunk
        is one transaction, and takes the place of what the table held for its dates. An event that Mixpanel returned
        for two chunks is in the table once. A file is created if it is missing, but not by `client.store`.

        Args:
            destination: that of the export: a path, or a URL of an object store.
            project_id: the project's id.
            name: the table.
            from_date: first date, inclusive; `None` for the first one that is there.
            to_date: last date, inclusive; `None` for the last one.

        Returns:
            How many rows were loaded.

        Raises:
            ValueError, ConfigurationError: an argument is out of its range.
            TableNotFoundError: the project was never exported to this destination.
            SelectionMismatchError: the table holds another selection, or another project's rows.
            StoreError: a file cannot be read or written. Chunks that were loaded before stay.

        A cancel takes effect when all is loaded.
        """
        ends = optional_date_range(from_date, to_date)
        between = ["" if ends[0] is None else str(ends[0]), "9999-99-99" if ends[1] is None else str(ends[1])]
        load = await finish_in_thread(plan_loading, destination, project_id, check_table_name(name), *between)
        if self._path is not None and not self._path.exists():
            await finish_in_thread(create_database, self._path)
        return await self._write(load, table=name)

    async def drop_table(self, name: str) -> None:
        """Drop a fetched table with all that belongs to it, in one transaction: its journal, its rejected lines, and
        pages of profiles that are kept for `resume=True`. The space is used again; `compact` gives it back.

        `client.store` waits for calls of the client that fetch into the table. A call of another process that fetches
        into it ends with a `StoreError`. After an error, a cancel or a kill the table is dropped or as before.

        Args:
            name: a table of events, profiles or a lookup, or a view that `create_view` made.

        Raises:
            ValueError: the name cannot be a table's.
            TableNotFoundError: there is no such table or view.
            StoreError: another program made it; or views read it, which the message names: drop them first.
        """
        await self._write(partial(drop_table, name=check_table_name(name)), table=name)

    async def compact(self) -> CompactResult:
        """Copy the file without the space that replaced days and dropped tables left, and put the copy in its place.

        The new file has all that the old one has, other programs' tables, views, macros and indexes included, and the
        same format. That is checked before the swap: all definitions, and the rows of each table. It needs room for the
        new file beside the old one (in a directory `.<name>.mixpanel-async-compacting-*`), and nobody else can have the
        database open meanwhile: `lock_timeout` is how long to wait for others, and theirs is how long they wait.

        After an error or a cancel the file is as before, or the swap is done. A kill leaves one or the other, too; what
        it leaves beside them is removed by the next `compact`.

        Raises:
            DatabaseLockedError: somebody else, this process included, had the file open for all of `lock_timeout`.
            StoreError: the database is no file, or was not made by this library; the copy would not have all that is in
                it, which is named; or the disk is full.
        """
        return await self._compact()

    async def describe(
        self, name: str = "events", *, event: str | None = None, sample: int | None = 1_000_000
    ) -> Description:
        """Return which properties a table has: in how many rows, of which types, and since when.

        A property that an object has twice counts with its first value, as in DuckDB. A table of `sample` rows or fewer
        is read whole, and then all is exact but the numbers of distinct values; a million rows of 49 properties take
        15 seconds of one core. Of a larger one, about `sample` rows are read, the same ones at each call: blocks
        of 2048 rows (smaller ones for a sample of less than 102400) from all over the table. Properties that only
        other rows have are then missing. `sampled_rows` says how many rows were read.

        Args:
            name: a table of events or profiles.
            event: only rows of this event. There may be none.
            sample: 100 or more; `None` for all rows.

        Raises:
            ValueError: an argument is out of its range.
            TableNotFoundError: there is no such table.
            StoreError: the table holds something else, or was not made by this library; or it holds profiles, and
                `event` is not `None`.
        """
        read = partial(
            read_description, name=check_table_name(name), event=check_event(event), sample=check_sample(sample)
        )
        return await self._run(read)

    async def create_view(
        self,
        view: str,
        table: str = "events",
        *,
        properties: Names | Mapping[str, str] | None = None,
        event: str | None = None,
        timezone: str | None = None,
    ) -> ViewInfo:
        """Create a view with a typed column for each property, or replace one that this method made.

        The view has the table's own columns, then those of the properties, under Mixpanel's own names: in SQL,
        `"$browser"` needs quotes. It stays in the file, and any DuckDB client, 1.5 or later, can query it. It shows the
        rows that the table has when it is queried; its columns and their types stay as they were made.

        A type is inferred from all rows of the table (or of the event): the narrowest one that loses nothing.

        - BOOLEAN; BIGINT; DOUBLE for numbers with a fraction or exponent, also beside integers of up to 15 digits.
        - DATE; TIMESTAMP: if all values are strings in ISO 8601, see `PropertyType`. With a `Z` in each, it is UTC. The
          `T`, the `Z` and zeros at the end of a fraction are not kept. Strings with another offset stay VARCHAR.
        - JSON: objects and lists, also beside other values, which are JSON then, too: strings keep their quotes.
        - VARCHAR: strings; integers beyond 64 bits, because `.df()` would round a HUGEINT; and values of several types.
          Numbers are as they are written, such as `1.50`.

        A later row whose value does not fit the type is NULL in that column, never rounded and never an error:
        `properties` still has it, and `schema_changes` finds it. A DOUBLE is the nearest one to what is written, as in
        other JSON parsers: a fraction of more than 15 digits needs VARCHAR or DECIMAL. So do numbers within objects
        and lists.

        Args:
            view: its name, as for a table; no table may have it, and no view of somebody else's.
            table: a table of events or profiles.
            properties: names, whose types are inferred; or names and types of DuckDB's, `{"price": "DECIMAL(18,2)"}`,
                which reads no row. A type that is chosen is DuckDB's `TRY_CAST` of the value as it is written (a
                DECIMAL or FLOAT rounds), but integers take no fractions and TIMESTAMP no offsets but `Z`. `None` for
                all properties but `time`, `distinct_id` and `$insert_id`, which the table's own columns hold.
            event: only rows of this event, and by default only its properties.
            timezone: the project's, such as "US/Pacific", if the project was made before 2023: `event_time` is then its
                wall clock. A column `event_time_utc` (TIMESTAMP) has the time in UTC. An hour that the clock shows
                twice, when it is set back, is taken for the second one (standard time); a time that it skips, when it
                is set forward, for what the clock shows an hour later: 02:30 is 03:30.

        Returns:
            The columns, with the property of each. A name that another column has, but for its case, gets a number:
            `Plan_2`. So does that of a property which is a column of the table, such as `event_name_2`.

        Raises:
            ValueError: an argument is out of its range, or DuckDB knows no such type or time zone; nothing was written.
            TableExistsError: a table, or somebody else's view, has the name.
            TableNotFoundError: there is no such table.
            StoreError: the table holds something else, or was not made by this library, or has no rows to infer from,
                or the connection is read-only; or it holds profiles, and `event` or `timezone` is not `None`.

        The rows are read first, without holding the file to write. A cancel leaves no view or a whole one.
        """
        request = ViewRequest.of(view, table, properties, event, timezone)
        planned = await self._run(partial(plan_view, request=request))
        return await self._write(partial(create_view, planned=planned))

    async def schema_changes(self, name: str, since: str | dt.date) -> SchemaChanges:
        """Return which properties of each event came, went or changed their types at a date: its rows before `since`
        are compared with those from it on. All rows are read.

        Of an event with rows on both sides, a property is new if no row before has it (null is not having it), gone if
        no row from `since` on has it, and else changed if the types of its values (see `PropertyType`) are not the same
        on both sides. An event with rows on one side only is one change, whose `property` is `None`.

        Args:
            name: a table of events.
            since: a date in the days of `event_time`.

        Returns:
            A tuple of `SchemaChange`, ordered by event, then property. It prints as a table.

        Raises:
            ValueError: an argument is out of its range.
            TableNotFoundError, StoreError: as `coverage`.
        """
        return await self._run(partial(read_changes, name=check_table_name(name), since=as_date(since, "since")))


async def _refuse_to_compact() -> CompactResult:
    raise no_file_to_compact()
