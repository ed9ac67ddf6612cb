"""Store: look at what a database holds. It needs no credentials."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from mixpanel_async.arguments import is_seconds
from mixpanel_async.dates import as_date
from mixpanel_async.duck.connection import path_of
from mixpanel_async.duck.coverage import read_coverage
from mixpanel_async.duck.describe import check_sample, read_description
from mixpanel_async.duck.properties import check_event
from mixpanel_async.duck.reading import is_connection
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.duck.schema_changes import read_changes
from mixpanel_async.duck.views import ViewRequest, create_view, plan_view
from mixpanel_async.errors import ConfigurationError
from mixpanel_async.holding import read_connection, read_file, write_connection, write_file

if TYPE_CHECKING:
    import datetime as dt
    import os
    from collections.abc import Mapping

    import duckdb

    from mixpanel_async.arguments import Names
    from mixpanel_async.coverage import Coverage
    from mixpanel_async.description import Description, SchemaChange
    from mixpanel_async.holding import RunReading, RunWriting
    from mixpanel_async.views import ViewInfo

T = TypeVar("T")


class Store:
    """Looks at what a database holds. It needs no credentials, no `async with` and no `close`.

    Each method opens a file read-only for as long as it runs: many Stores and other programs can read at the same time.
    Only `create_view` writes to it, and holds it alone for a moment. None creates a file. `client.store` does the same
    over a client's database, also while the client fetches; there, and by what writes, our tables are migrated if an
    older version of this library made them.

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

    async def schema_changes(self, name: str, since: str | dt.date) -> tuple[SchemaChange, ...]:
        """Return which properties of each event came, went or changed their types at a date: its rows before `since`
        are compared with those from it on. All rows are read.

        Of an event with rows on both sides, a property is new if no row before has it (null is not having it), gone if
        no row from `since` on has it, and else changed if the types of its values (see `PropertyType`) are not the same
        on both sides. An event with rows on one side only is one change, whose `property` is `None`.

        Args:
            name: a table of events.
            since: a date in the days of `event_time`.

        Returns:
            Ordered by event, then property.

        Raises:
            ValueError: an argument is out of its range.
            TableNotFoundError, StoreError: as `coverage`.
        """
        return await self._run(partial(read_changes, name=check_table_name(name), since=as_date(since, "since")))
