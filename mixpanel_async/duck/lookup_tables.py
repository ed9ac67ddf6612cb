"""Tables of lookups: each holds the last result, and is replaced in one transaction."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from mixpanel_async.duck.connection import table_cursor
from mixpanel_async.duck.journal import forget
from mixpanel_async.duck.projects import check_project, record_project
from mixpanel_async.duck.schema import UTC_NOW, quoted, stored_time, table_exists
from mixpanel_async.duck.transactions import transaction
from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from mixpanel_async.duck.connection import Database
    from mixpanel_async.duck.schema import Schema

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "event_names": {"event_name": "VARCHAR"},
    "top_properties": {"event_name": "VARCHAR", "name": "VARCHAR", "count": "BIGINT"},
    "cohorts": {
        "id": "BIGINT",
        "name": "VARCHAR",
        "count": "BIGINT",
        "created_at": "TIMESTAMP",
        "is_visible": "BOOLEAN",
        "description": "VARCHAR",
        "data_group_id": "VARCHAR",
    },
    "lexicon_schemas": {
        "entity_type": "VARCHAR",
        "name": "VARCHAR",
        "description": "VARCHAR",
        "properties": "JSON",
        "metadata": "JSON",
    },
    "annotations": {
        "id": "BIGINT",
        "date": "TIMESTAMP",
        "description": "VARCHAR",
        "user": "JSON",
        "tags": "JSON",
    },
}
"""For each kind (the table's `type` in `_mixpanel_selections`) its columns, without `fetched_at`. Times are in UTC."""

_json = msgspec.json.Encoder(decimal_format="number")


class LookupTable:
    """One lookup's table of an open database. Its methods block, so they run in threads."""

    def __init__(self, database: Database, name: str, kind: str, *, project: str | None = None) -> None:
        """`project`: whose lookup it is, if that is known."""
        self._database = database
        self._project = project
        self._name = name
        self._kind = kind
        self._columns = {**COLUMNS[kind], "fetched_at": "TIMESTAMP"}

    @property
    def _schema(self) -> Schema:
        return self._database.schema  # it may be another each time that the file is opened

    @property
    def _table(self) -> str:
        return self._schema.table(self._name)

    def check(self) -> None:
        """Check that the name is free, or that of this lookup's table.

        Raises:
            SelectionMismatchError: the table is of another project.
            StoreError: another table has this name.
        """
        with table_cursor(self._database, self._name) as cursor:
            self._exists(cursor)

    def replace(
        self, rows: Sequence[Sequence[object]], *, event_name: str | None, selection: str, fetched_at: dt.datetime
    ) -> None:
        """Replace all rows, or those of this event, in one transaction.

        Raises:
            StoreError: DuckDB cannot write, or the table is not this lookup's; it is as before.
        """
        with table_cursor(self._database, self._name) as cursor, transaction(cursor):
            if not self._exists(cursor):
                self._create(cursor)
            cursor.execute(
                f"UPDATE {self._schema}._mixpanel_selections SET selection = ? WHERE table_name = lower(?)",
                [selection, self._name],
            )
            record_project(cursor, self._schema, self._name, self._project)
            if event_name is None:
                cursor.execute(f"DELETE FROM {self._table}")
            else:
                cursor.execute(f"DELETE FROM {self._table} WHERE encode(event_name) = encode(?)", [event_name])
            self._insert(cursor, rows, fetched_at)

    def _insert(
        self, cursor: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[object]], fetched_at: dt.datetime
    ) -> None:
        """One list a column, so that five thousand rows are one statement."""
        types = COLUMNS[self._kind].values()
        lists = [[_stored_value(row[place], of) for row in rows] for place, of in enumerate(types)]
        unnested = ", ".join(f"unnest(?::{of}[])" for of in types)
        columns = ", ".join(map(quoted, self._columns))
        insert = f"INSERT INTO {self._table} ({columns}) SELECT {unnested}, ?::TIMESTAMP"
        cursor.execute(insert, [*lists, stored_time(fetched_at)])

    def _create(self, cursor: duckdb.DuckDBPyConnection) -> None:
        columns = ", ".join(f"{quoted(column)} {of}" for column, of in self._columns.items())
        cursor.execute(f"CREATE TABLE {self._table} ({columns})")
        forget(cursor, self._schema, self._name)  # what is left of a table that somebody else dropped
        cursor.execute(
            f"INSERT INTO {self._schema}._mixpanel_selections (table_name, type, selection, created_at) "
            f"VALUES (lower(?), ?, '{{}}', {UTC_NOW})",
            [self._name, self._kind],
        )

    def _exists(self, cursor: duckdb.DuckDBPyConnection) -> bool:
        if not table_exists(cursor, self._schema, self._name):
            return False
        check_project(cursor, self._schema, self._name, self._project)
        query = f"SELECT type FROM {self._schema}._mixpanel_selections WHERE table_name = lower(?)"
        kinds = [row[0] for row in cursor.execute(query, [self._name]).fetchall()]
        if kinds != [self._kind]:
            what = f"holds {kinds[0]}" if kinds else "was not made by this library"
            raise StoreError(f"Table {self._name!r} {what}: pass another name as save=.")
        columns = [row[0] for row in cursor.execute(f"DESCRIBE {self._table}").fetchall()]
        if columns != list(self._columns):
            raise StoreError(f"Table {self._name!r} has the columns {columns}, not {list(self._columns)}: drop it.")
        return True


def _stored_value(value: object, of: str) -> object:
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return stored_time(value)
    return _json.encode(value).decode() if of == "JSON" and value is not None else value
