"""What an export reads: a table that this library made, or a view, as a query for its rows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixpanel_async.duck.journal import is_ours
from mixpanel_async.duck.schema import quoted, table_exists
from mixpanel_async.duck.translation import translate_errors
from mixpanel_async.duck.versions import has_our_tables
from mixpanel_async.errors import StoreError, TableNotFoundError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from mixpanel_async.duck.schema import Schema

_EVENT_TIMES = {
    "TIMESTAMP": "event_time",
    "TIMESTAMP WITH TIME ZONE": "make_timestamp(epoch_us(event_time))",
}
"""For the type of `event_time`: it as `TIMESTAMP`, in UTC whatever time zone the connection has."""


@dataclass(frozen=True, slots=True)
class ExportedRows:
    """The rows of a table or a view."""

    name: str
    relation: str
    """Qualified and quoted."""
    columns: Mapping[str, str]
    """Their types."""

    def select(self) -> str:
        """Return a query for the rows. JSON becomes text: polars reads Parquet's JSON type as bytes."""
        columns = (
            f"{quoted(name)}::VARCHAR AS {quoted(name)}" if type_name == "JSON" else quoted(name)
            for name, type_name in self.columns.items()
        )
        return f"SELECT {', '.join(columns)} FROM {self.relation}"

    def event_time(self) -> str:
        """Return the time that tells a row's date, in SQL.

        Raises:
            StoreError: the rows have no such time.
        """
        if (time := _EVENT_TIMES.get(self.columns.get("event_time", ""))) is None:
            raise StoreError(f"{self.name!r} has no column event_time with a timestamp, so its rows have no date.")
        return time

    def between(self, ends: tuple[dt.date | None, dt.date | None]) -> str:
        """Return a condition for the rows of these dates, both inclusive. `None` is no bound."""
        first, last = ends
        conditions = []
        if first is not None:
            conditions.append(f"{self.event_time()} >= DATE '{first}'")
        if last is not None:
            conditions.append(f"{self.event_time()} < DATE '{last}' + 1")
        return " AND ".join(conditions) or "true"


def read_source(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, target: Path) -> ExportedRows:
    """Look at what is to be exported.

    Raises:
        TableNotFoundError: there is no such table or view.
        StoreError: another program made the table, or another version of this library; or the export would replace
            the database itself.
    """
    _check_no_database(cursor, target)
    with translate_errors(f"Table {name!r}"):
        if not table_exists(cursor, schema, name):
            raise TableNotFoundError(f"There is no table {name!r} in this database: fetch it first, or pass another.")
        has_tables = has_our_tables(cursor, schema)
        if not (_is_view(cursor, schema, name) or (has_tables and is_ours(cursor, schema, name))):
            raise StoreError(f"Table {name!r} was not made by this library: export it with DuckDB's COPY.")
        found = cursor.execute(f"DESCRIBE {schema.table(name)}").fetchall()
    return ExportedRows(name, schema.table(name), {column: type_name for column, type_name, *_ in found})


def _is_view(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> bool:
    query = (
        "SELECT 1 FROM duckdb_views() WHERE database_name = ? AND schema_name = ? AND lower(view_name) = lower(?) "
        "AND NOT internal"
    )
    return bool(cursor.execute(query, [*schema, name]).fetchall())


def _check_no_database(cursor: duckdb.DuckDBPyConnection, target: Path) -> None:
    """Check that the export does not replace a database that is open here, or its write-ahead log."""
    found = cursor.execute("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()
    for (path,) in found:
        if str(target) in {os.path.realpath(path), os.path.realpath(f"{path}.wal")}:
            raise StoreError(f"{target} is the database itself: choose another path.")
