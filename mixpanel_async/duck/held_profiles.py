"""What is known of a table of profiles: what it selects, and how current it is.

Its row in `_mixpanel_syncs` is written in the transaction of its rows, so both are there or neither is.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixpanel_async.duck.connection import table_cursor
from mixpanel_async.duck.schema import check_columns, table_exists
from mixpanel_async.errors import StoreError
from mixpanel_async.selections import ProfileSelection

if TYPE_CHECKING:
    import duckdb

    from mixpanel_async.duck.connection import Database
    from mixpanel_async.duck.schema import Schema

_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class SyncTimes:
    """Up to when a table of profiles has what changed in Mixpanel. Aware, in UTC."""

    full_at: dt.datetime
    """When the download began that replaced the table."""
    synced_at: dt.datetime
    """When the last sync began whose profiles were merged; `full_at` if there was none since."""


@dataclass(frozen=True, slots=True)
class HeldProfiles:
    """A table of profiles."""

    selection: ProfileSelection
    times: SyncTimes | None
    """`None` if they are not known: an older version fetched the table, or somebody else inserted or deleted rows."""


def read_held(database: Database, name: str) -> HeldProfiles | None:
    """Return what is known of a table; `None` where it is missing.

    Raises:
        StoreError: a table of that name is not a profiles table of this library.
    """
    with table_cursor(database, name) as cursor:
        text = held_selection(cursor, database.schema, name)
        if text is None:
            return None
        selection = read_selection(text)
        if selection is None:
            raise StoreError(f"Table {name!r} holds a selection that cannot be read: {text[:_EXCERPT]}.")
        return HeldProfiles(selection, _read_times(cursor, database.schema, name))


def held_selection(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> str | None:
    """Return what a table selects, as its journal has it; `None` where the table is missing.

    Raises:
        StoreError: a table of that name is not a profiles table of this library.
    """
    if not table_exists(cursor, schema, name):
        return None
    kind, selection = find_selection(cursor, schema, name)
    if kind != "profiles":
        what = f"holds {kind}" if kind else "was not made by this library"
        raise StoreError(f"Table {name!r} {what}: choose another name.")
    check_columns(cursor, schema.table(name), "profiles")  # somebody may have dropped ours and created another
    return selection


def find_selection(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> tuple[str, str]:
    """Return a table's type and selection; empty texts where this library did not create it."""
    query = f"SELECT type, selection FROM {schema}._mixpanel_selections WHERE table_name = lower(?)"
    found = cursor.execute(query, [name]).fetchall()
    return (found[0][0], found[0][1]) if found else ("", "")


def read_selection(text: str) -> ProfileSelection | None:
    """Read a selection of the journal; `None` if this version cannot have written it."""
    try:
        return ProfileSelection.from_json(text)
    except (ValueError, TypeError):
        return None


def record_full(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, began_at: int, rows: int) -> None:
    """Within a transaction: a download that began then (microseconds since 1970) replaced a table by these rows."""
    cursor.execute(
        f"INSERT OR REPLACE INTO {schema}._mixpanel_syncs (table_name, full_at, synced_at, rows) "
        "VALUES (lower(?), make_timestamp(?), make_timestamp(?), ?)",
        [name, began_at, began_at, rows],
    )


def record_merge(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, began_at: int | None, new_rows: int
) -> None:
    """Within a transaction: profiles were merged into a table, which has so many rows more.

    `began_at`: when the sync began that they are all profiles of; `None` if they are others.
    """
    cursor.execute(
        f"UPDATE {schema}._mixpanel_syncs "
        "SET rows = rows + ?, synced_at = coalesce(make_timestamp(?::BIGINT), synced_at) WHERE table_name = lower(?)",
        [new_rows, began_at, name],
    )


def _read_times(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> SyncTimes | None:
    query = (
        f"SELECT full_at, synced_at FROM {schema}._mixpanel_syncs "
        f"WHERE table_name = lower(?) AND rows = (SELECT count(*) FROM {schema.table(name)})"
    )
    found = cursor.execute(query, [name]).fetchall()
    return SyncTimes(*(time.replace(tzinfo=dt.UTC) for time in found[0])) if found else None
