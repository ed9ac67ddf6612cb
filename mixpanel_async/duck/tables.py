"""Which tables of this library, and views of them, a database has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb

from mixpanel_async.duck.schema import as_utc
from mixpanel_async.duck.translation import translate_errors
from mixpanel_async.duck.versions import has_our_tables
from mixpanel_async.tables import TableInfo, Tables

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from mixpanel_async.duck.schema import Schema

_OURS = """
    SELECT t.table_name, s.type, s.selection, chunks.first::VARCHAR, chunks.last::VARCHAR,
        CASE s.type WHEN 'events' THEN chunks.fetched_at ELSE coalesce(synced_at, created_at) END
    FROM duckdb_tables() t
    JOIN {ours}selections s ON s.table_name = lower(t.table_name)
    LEFT JOIN {ours}syncs y ON y.table_name = s.table_name
    LEFT JOIN (
        SELECT table_name, min(from_date) AS first, max(to_date) AS last,
            max(greatest(fetched_at, merged_at)) AS fetched_at
        FROM {ours}chunks GROUP BY table_name
    ) chunks ON chunks.table_name = s.table_name
    WHERE t.database_name = $catalog AND t.schema_name = $schema AND NOT starts_with(s.table_name, '_mixpanel_')
    ORDER BY t.table_name
"""

_BLOCKS = """
    SELECT count(*) FROM (
        SELECT block_id AS block FROM pragma_storage_info($table) WHERE persistent
        UNION SELECT unnest(additional_block_ids) FROM pragma_storage_info($table) WHERE persistent
    ) WHERE block >= 0
"""
"""A segment that has one value has no block: -1."""

_OwnRow = tuple[str, str, str, str | None, str | None, "dt.datetime | None"]


def read_tables(cursor: duckdb.DuckDBPyConnection, schema: Schema) -> Tables:
    """Read what is known of all tables. Within a transaction, so that all of it is of one moment.

    Raises:
        StoreError: another version of this library made them.
    """
    with translate_errors("The tables cannot be read"):
        if not has_our_tables(cursor, schema):
            return Tables()
        ours = list(_tables(cursor, schema))
        views = _views(cursor, schema, {table.name.lower() for table in ours})
        return Tables([*ours, *views])


def _tables(cursor: duckdb.DuckDBPyConnection, schema: Schema) -> Iterator[TableInfo]:
    names = {"catalog": schema.catalog, "schema": schema.name}
    rows: list[_OwnRow] = cursor.execute(_OURS.format(ours=f"{schema}._mixpanel_"), names).fetchall()
    ((block_size,),) = cursor.execute(
        "SELECT any_value(block_size) FROM pragma_database_size() WHERE database_name = ?", [schema.catalog]
    ).fetchall()
    for name, kind, selection, first, last, fetched_at in rows:
        table = schema.table(name)
        ((count,),) = cursor.execute(f"SELECT count(*) FROM {table}").fetchall()
        ((blocks,),) = cursor.execute(_BLOCKS, {"table": table}).fetchall()
        if kind not in {"events", "profiles"}:
            ((fetched_at,),) = cursor.execute(f"SELECT max(fetched_at) FROM {table}").fetchall()  # noqa: PLW2901
        newest = None if fetched_at is None else as_utc(fetched_at)
        yield TableInfo(name, kind, _selection(selection), count, first, last, newest, blocks * (block_size or 0))


def _selection(text: str) -> Mapping[str, Any]:
    """What a caller selected: without what was left out, and `time_in_ms`, which a caller cannot choose."""
    kept = json.loads(text)
    return {
        name: value for name, value in kept.items() if name != "time_in_ms" and value is not None and value is not False
    }


def _views(cursor: duckdb.DuckDBPyConnection, schema: Schema, ours: set[str]) -> Iterator[TableInfo]:
    """Yield the views that read one of our tables, also by way of other views."""
    query = (
        "SELECT view_name FROM duckdb_views() WHERE NOT internal AND database_name = ? AND schema_name = ? ORDER BY 1"
    )
    for (name,) in cursor.execute(query, [*schema]).fetchall():
        try:
            read = cursor.get_table_names(f"FROM {schema.table(name)}", qualified=True)
        except duckdb.Error:
            continue  # it reads what is no longer there
        within = {each.lower().rpartition(".")[2].strip('"') for each in read if _is_in(each, schema)}
        if within & ours:
            yield TableInfo(name, "view", {}, None, None, None, None, None)


def _is_in(table: str, schema: Schema) -> bool:
    """Whether a qualified name is of this schema; DuckDB 2 leaves out the catalog of a view's own tables."""
    places = [part.strip('"').lower() for part in table.split(".")[:-1]]
    return places == [part.lower() for part in schema][-len(places) :] if places else True
