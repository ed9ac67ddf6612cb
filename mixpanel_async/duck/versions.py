"""The library's own tables in a database, and their version.

Their names begin `_mixpanel_`, and they are stable enough to query:

`_mixpanel_version`       one row: the version of these tables.
`_mixpanel_selections`    one row per fetched table: what it holds, and of which project, if the credentials named it.
`_mixpanel_chunks`        one row per committed chunk: its dates, and what was counted for them. The chunks of a table
                          do not overlap.
`_mixpanel_out_of_range`  one row per event whose own time lies outside the dates that Mixpanel returned it for.
`_mixpanel_copies`        rows that the table does not show, because it shows another chunk's row of the same key.
`_mixpanel_unchecked`     chunks whose rows must be compared with other chunks' rows, because a call was killed.
`_mixpanel_rejected`      lines that are not events, word for word, as BLOB; `chunk_failed` if their chunk has no row in
                          `_mixpanel_chunks`, because no line of it was an event.
`_mixpanel_pages`         one row per page of profiles that is kept, because its download is not complete.
`_mixpanel_profiles_*`    the profiles of these pages, in one table per table that is fetched into.
`_mixpanel_syncs`         one row per table of profiles: when its last full download and its last sync began, and how
                          many rows the library left in it.

A database of an older version is migrated in one transaction. One of a newer version is refused.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async.duck.schema import OWN_PREFIX, quoted, table_exists
from mixpanel_async.duck.transactions import transaction
from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    from mixpanel_async.duck.schema import Schema

VERSION = 6
"""1: the tables had no version, and `_mixpanel_out_of_range` was called `_mixpanel_strays`. 2: there were no
`_mixpanel_copies` and no `_mixpanel_unchecked`, and `_mixpanel_rejected` had no `chunk_failed`. 3: `created_at`,
`fetched_at` and the `date` of annotations were `TIMESTAMPTZ`. 4: there was no `_mixpanel_syncs`, and
`_mixpanel_chunks` had no `merged_at`. 5: `_mixpanel_selections` had no `project`.
"""

# Two writers of one chunk conflict because of the primary keys: DuckDB sees no conflict between an append and a delete
# that did not see it.
_TABLES = (
    "CREATE TABLE IF NOT EXISTS {schema}._mixpanel_version (version INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_selections (
        table_name VARCHAR PRIMARY KEY,
        type VARCHAR NOT NULL,
        selection JSON NOT NULL,
        created_at TIMESTAMP NOT NULL,
        project VARCHAR
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_chunks (
        table_name VARCHAR NOT NULL,
        from_date DATE NOT NULL,
        to_date DATE NOT NULL,
        final BOOLEAN NOT NULL,
        rows BIGINT NOT NULL,
        duplicates BIGINT NOT NULL,
        rejected BIGINT NOT NULL,
        bytes BIGINT NOT NULL,
        retries INTEGER NOT NULL,
        fetched_at TIMESTAMP NOT NULL,
        merged_at TIMESTAMP,
        PRIMARY KEY (table_name, from_date)
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_out_of_range (
        table_name VARCHAR NOT NULL,
        day DATE NOT NULL,
        event_time TIMESTAMP NOT NULL,
        digest VARCHAR NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_copies (
        table_name VARCHAR NOT NULL,
        day DATE NOT NULL,
        event_name VARCHAR NOT NULL,
        event_time TIMESTAMP NOT NULL,
        distinct_id VARCHAR,
        insert_id VARCHAR,
        properties JSON NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_unchecked (
        table_name VARCHAR NOT NULL,
        from_date DATE NOT NULL,
        to_date DATE NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_rejected (
        table_name VARCHAR NOT NULL,
        from_date DATE NOT NULL,
        to_date DATE NOT NULL,
        line_number BIGINT NOT NULL,
        reason VARCHAR NOT NULL,
        line BLOB NOT NULL,
        chunk_failed BOOLEAN DEFAULT false
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_pages (
        table_name VARCHAR NOT NULL,
        part INTEGER NOT NULL,
        page INTEGER NOT NULL,
        rows BIGINT NOT NULL,
        session_id VARCHAR,
        total BIGINT,
        page_size BIGINT NOT NULL,
        fetched_at TIMESTAMP NOT NULL,
        PRIMARY KEY (table_name, part, page)
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_syncs (
        table_name VARCHAR PRIMARY KEY,
        full_at TIMESTAMP NOT NULL,
        synced_at TIMESTAMP NOT NULL,
        rows BIGINT NOT NULL
    )""",
)

_ADDED = {
    "_mixpanel_rejected": "chunk_failed BOOLEAN DEFAULT false",
    "_mixpanel_chunks": "merged_at TIMESTAMP",
    "_mixpanel_selections": "project VARCHAR",
}
"""For each of our tables the column that was added after its first version."""

_LOOKUPS = "('event_names', 'top_properties', 'cohorts', 'lexicon_schemas', 'annotations')"
"""What tables of lookups are called in `_mixpanel_selections`."""

_LOCK = threading.Lock()
"""Two clients of one connection must not create the tables at the same time."""


def prepare_our_tables(cursor: duckdb.DuckDBPyConnection, schema: Schema, *, create: bool = True) -> None:
    """Create our tables, or migrate them from an older version, in one transaction; do nothing if they are current.

    Raises:
        StoreError: a newer version of this library made them; without `create`, they are missing.
    """
    with _LOCK:
        version = _version(cursor, schema)
        if not (version or create):
            raise StoreError("The database was replaced while it was used. Nothing more is written: call again.")
        _check_not_newer(version)
        if version == VERSION:
            return
        with transaction(cursor):
            _migrate(cursor, schema, version)


class OlderVersionError(StoreError):
    """Our tables were made by an older version, and only a call that writes migrates them."""


def has_our_tables(cursor: duckdb.DuckDBPyConnection, schema: Schema) -> bool:
    """Whether our tables are there, to be read. Writes nothing.

    Raises:
        StoreError: another version of this library made them; the message says what to do.
    """
    if table_exists(cursor, schema, "_mixpanel_version"):
        version = _version(cursor, schema)
    else:  # the query of `_version` would fail, and abort the transaction that reads
        version = int(table_exists(cursor, schema, "_mixpanel_selections"))
    _check_not_newer(version)
    if 0 < version < VERSION:
        raise OlderVersionError(
            f"This database was written by an earlier mixpanel-async: its tables have version {version}, and this "
            f"release reads {VERSION}. The next fetch or sync migrates them; so does `await client.store.coverage()`."
        )
    return version > 0


def _check_not_newer(version: int) -> None:
    if version > VERSION:
        raise StoreError(
            f"This database was written by a newer mixpanel-async: its tables have version {version}, and this "
            f"release knows {VERSION}. Upgrade it with pip install --upgrade mixpanel-async, or choose "
            "another database."
        )


def _version(cursor: duckdb.DuckDBPyConnection, schema: Schema) -> int:
    """Return the version of our tables; 0 for a database without them. Usually one query: a file is opened often."""
    try:
        # fetchall, because a result that is not read to its end keeps its transaction open, and with it all old blocks
        ((version,),) = cursor.execute(f"SELECT max(version) FROM {schema}._mixpanel_version").fetchall()
    except duckdb.CatalogException:
        return 1 if table_exists(cursor, schema, "_mixpanel_selections") else 0
    return int(version or 0)


def _migrate(cursor: duckdb.DuckDBPyConnection, schema: Schema, version: int) -> None:
    """Within a transaction: bring our tables from `version` to `VERSION`."""
    if version == 1 and table_exists(cursor, schema, "_mixpanel_strays"):
        cursor.execute(f"ALTER TABLE {schema}._mixpanel_strays RENAME TO _mixpanel_out_of_range")
    for statement in _TABLES:  # also those that an early file of version 1 lacks
        cursor.execute(statement.format(schema=schema))
    for table, column in _ADDED.items():
        _add_column(cursor, schema, table, column)
    _remove_time_zones(cursor, schema)
    cursor.execute(f"DELETE FROM {schema}._mixpanel_version")
    cursor.execute(f"INSERT INTO {schema}._mixpanel_version (version) VALUES (?)", [VERSION])


def _add_column(cursor: duckdb.DuckDBPyConnection, schema: Schema, table: str, column: str) -> None:
    """Within a transaction: add a column unless it is there. DuckDB 1.5 refuses `ADD COLUMN IF NOT EXISTS` for a table
    with an index even then.
    """
    columns = [row[0].lower() for row in cursor.execute(f"DESCRIBE {schema.table(table)}").fetchall()]
    if column.split(maxsplit=1)[0] not in columns:
        cursor.execute(f"ALTER TABLE {schema.table(table)} ADD COLUMN {column}")


def _remove_time_zones(cursor: duckdb.DuckDBPyConnection, schema: Schema) -> None:
    """Within a transaction: change our `TIMESTAMPTZ` columns to `TIMESTAMP` in UTC, those of saved lookups included.

    A table with an index that somebody made cannot be changed, and stays.
    """
    found = cursor.execute(
        f"""SELECT tables.table_name, column_name FROM duckdb_tables() AS tables JOIN duckdb_columns() AS columns
        USING (database_oid, table_oid)
        WHERE tables.database_name = ? AND tables.schema_name = ? AND data_type = 'TIMESTAMP WITH TIME ZONE'
        AND CASE
            WHEN starts_with(tables.table_name, '{OWN_PREFIX}') THEN column_name IN ('created_at', 'fetched_at')
            ELSE column_name IN ('date', 'fetched_at') AND lower(tables.table_name) IN (
                SELECT table_name FROM {schema}._mixpanel_selections WHERE type IN {_LOOKUPS}
            )
        END
        AND (database_oid, table_oid) NOT IN (SELECT (database_oid, table_oid) FROM duckdb_indexes())""",
        [*schema],
    )
    for table, name in found.fetchall():
        column = quoted(name)
        cursor.execute(
            f"ALTER TABLE {schema.table(table)} ALTER COLUMN {column} TYPE TIMESTAMP "
            f"USING make_timestamp(epoch_us({column}))"
        )
