"""Drops a fetched table, with all that is known of it."""

from __future__ import annotations

from contextlib import suppress

import duckdb

from mixpanel_async.duck.journal import forget, is_ours
from mixpanel_async.duck.lookup_tables import COLUMNS
from mixpanel_async.duck.schema import OWN_PREFIX, Schema, check_columns, has_rows, quoted, table_exists
from mixpanel_async.duck.transactions import transaction
from mixpanel_async.duck.translation import translate_errors
from mixpanel_async.duck.views import is_our_view
from mixpanel_async.errors import StoreError, TableNotFoundError


def drop_table(cursor: duckdb.DuckDBPyConnection, schema: Schema, *, name: str) -> None:
    """Drop a fetched table in one transaction, with its journal, its rejected lines and the pages that are kept of a
    download of profiles; of a table that is gone already, the rest. Or drop a view that `create_view` made.

    Raises:
        TableNotFoundError: there is no such table, and nothing is left of one.
        StoreError: another program made it, or views read it.
    """
    with translate_errors(f"Table {name!r}"):
        if is_our_view(cursor, schema, name):
            _check_unread(cursor, schema, name, "VIEW")
            cursor.execute(f"DROP VIEW {schema.table(name)}")
            return
        has_table = table_exists(cursor, schema, name)
        _check_ours(cursor, schema, name, has_table=has_table)
        if has_table:
            _check_unread(cursor, schema, name, "TABLE")
        with transaction(cursor):
            if has_table:
                cursor.execute(f"DROP TABLE {schema.table(name)}")
            _forget_all(cursor, schema, name)


def _check_unread(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, kind: str) -> None:
    """Raise StoreError if views read it; `kind` is TABLE or VIEW."""
    if views := _views_on(cursor, schema, name, kind):
        raise StoreError(
            f"{kind.capitalize()} {name!r} is read by {', '.join(views)}: drop these views first, with drop_table if "
            "create_view made them, else with DROP VIEW."
        )


def _check_ours(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, *, has_table: bool) -> None:
    if not has_table:
        if not (is_ours(cursor, schema, name) or is_ours(cursor, schema, _kept(name))):
            raise TableNotFoundError(f"There is no table {name!r} in this database: nothing to drop.")
        return
    query = f"SELECT type FROM {schema}._mixpanel_selections WHERE table_name = lower(?)"
    kinds = [kind for (kind,) in cursor.execute(query, [name]).fetchall()]
    if not kinds:
        raise StoreError(f"{name!r} was not made by this library: drop it yourself, with DROP TABLE or DROP VIEW.")
    _check_kind(cursor, schema.table(name), kinds[0])


def _check_kind(cursor: duckdb.DuckDBPyConnection, table: str, kind: str) -> None:
    """Check the columns: somebody may have dropped ours, and created another table of its name."""
    if kind in ("events", "profiles"):
        check_columns(cursor, table, "events" if kind == "events" else "profiles")
        return
    has = [row[0] for row in cursor.execute(f"DESCRIBE {table}").fetchall()]
    if has != [*COLUMNS.get(kind, ()), "fetched_at"]:
        raise StoreError(f"Table {table} has the columns {has}, which {kind} have not: drop it yourself.")


def _views_on(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, kind: str) -> list[str]:
    """Return the views, quoted, that work, and would not without the table or view."""
    query = (
        "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = ? AND NOT internal "
        "AND NOT (schema_name = ? AND lower(view_name) = lower(?)) ORDER BY ALL"
    )
    found = cursor.execute(query, [*schema, name]).fetchall()
    views = [(Schema(schema.catalog, place).table(view), f"{quoted(place)}.{quoted(view)}") for place, view in found]
    drop = f"DROP {kind} {schema.table(name)}"
    return [shown for view, shown in views if _works(cursor, view) and not _works(cursor, view, after=drop)]


def _works(cursor: duckdb.DuckDBPyConnection, view: str, *, after: str | None = None) -> bool:
    """Whether a view can be read, after a statement. That is tried, and rolled back."""
    cursor.execute("BEGIN")
    try:
        if after is not None:
            cursor.execute(after)
        with suppress(duckdb.Error):
            cursor.execute(f"SELECT * FROM {view} LIMIT 0").fetchall()
            return True
        return False
    finally:
        cursor.execute("ROLLBACK")


def _forget_all(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> None:
    kept = _kept(name)
    cursor.execute(f"DROP TABLE IF EXISTS {schema.table(kept)}")
    for known_as in (name, kept):
        forget(cursor, schema, known_as)
    for ours, known_as in (("rejected", name), ("pages", kept)):
        if has_rows(cursor, schema, ours, known_as):
            cursor.execute(f"DELETE FROM {schema}._mixpanel_{ours} WHERE table_name = lower(?)", [known_as])


def _kept(name: str) -> str:
    """Return the name of the table that keeps the pages of a download of profiles."""
    return f"{OWN_PREFIX}profiles_{name.lower()}"
