"""All that a database holds, as values that can be compared with another's: what is defined in it, and how many rows
its tables have.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mixpanel_async.duck.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

Listing = Counter[tuple[str, str, str]]
"""What kind of thing, its name, and the rest."""

_KINDS = (
    "schemas", "tables", "columns", "constraints", "views", "indexes", "sequences", "types", "functions", "triggers",
)  # fmt: skip
_NAMES = ("schema_name", "table_name", "column_name", "view_name", "index_name", "sequence_name", "type_name",
          "function_name", "trigger_name")  # fmt: skip
_APART = {"oid", "database_name", "estimated_size", "data_type_id", "type_size", "is_bound", "constraint_index"}
"""Columns of DuckDB's listings, beside the numbers `*_oid`, that differ between a database and its copy."""


def list_catalog(cursor: duckdb.DuckDBPyConnection, catalog: str) -> Listing:
    """Return all that is in a database, and the number of rows of each table."""
    listing: Listing = Counter()
    for kind in _KINDS:
        listing.update(_list(cursor, catalog, kind))
    query = "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ? AND NOT internal"
    for schema, table in cursor.execute(query, [catalog]).fetchall():
        ((rows,),) = cursor.execute(f"SELECT count(*) FROM {Schema(catalog, schema).table(table)}").fetchall()
        listing["rows", f"{schema}.{table}", str(rows)] += 1
    return listing


def _list(cursor: duckdb.DuckDBPyConnection, catalog: str, kind: str) -> Listing:
    has = "SELECT 1 FROM duckdb_functions() WHERE function_name = ? LIMIT 1"
    if not cursor.execute(has, [f"duckdb_{kind}"]).fetchall():
        return Counter()  # an older DuckDB, which has no such things
    cursor.execute(f"SELECT * FROM duckdb_{kind}() WHERE database_name = ?", [catalog])
    columns = [column for column, *_ in cursor.description or ()]
    return Counter(_entry(kind, dict(zip(columns, row, strict=True))) for row in cursor.fetchall())


def _entry(kind: str, row: Mapping[str, object]) -> tuple[str, str, str]:
    name = ".".join(str(row[column]) for column in _NAMES if row.get(column) is not None)
    return kind, name, repr([item for item in row.items() if item[0] not in _APART and not item[0].endswith("_oid")])
