"""Which project a table is of. A call with credentials of another would replace its rows by those of that project.

It is recorded with the table, or for an older table once a call has written to it. It is not known of a table that only
project secrets have filled, or an earlier version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixpanel_async.errors import SelectionMismatchError

if TYPE_CHECKING:
    import duckdb

    from mixpanel_async.duck.schema import Schema


def recorded_project(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> str | None:
    """Return the project of a table; `None` if it is not known."""
    query = f"SELECT project FROM {schema}._mixpanel_selections WHERE table_name = lower(?)"
    found = cursor.execute(query, [name]).fetchall()
    return found[0][0] if found else None


def other_project(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, project: str | None) -> str | None:
    """Return the project of a table if it is not this one. If either is not known, return `None`."""
    held = recorded_project(cursor, schema, name)
    return None if project is None or held == project else held


def check_project(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, project: str | None) -> None:
    """Check that a table is not of another project than a call. Writes nothing.

    Raises:
        SelectionMismatchError: names both projects.
    """
    if (held := other_project(cursor, schema, name, project)) is not None:
        raise SelectionMismatchError(
            f"Table {name!r} is of project {held}, and this call is of project {project}: pass another table name, or "
            f"use project {held}."
        )


def record_project(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, project: str | None) -> None:
    """Within a transaction, after a call has written rows: record whose table it is, if that was not known."""
    cursor.execute(
        f"UPDATE {schema}._mixpanel_selections SET project = ? WHERE table_name = lower(?) AND project IS NULL",
        [project, name],
    )
