"""Which project a table is of. A call with credentials of another would replace its rows by those of that project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixpanel_async.errors import SelectionMismatchError

if TYPE_CHECKING:
    import duckdb

    from mixpanel_async.duck.schema import Schema


def check_project(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, project: str | None, *, what: str | None = None
) -> None:
    """Check that a table is not of another project than a call. Either may be `None`, which is not known. Writes
    nothing. `what` is what an error calls the table.

    Raises:
        SelectionMismatchError: names both projects.
    """
    query = f"SELECT project FROM {schema}._mixpanel_selections WHERE table_name = lower(?)"
    for (held,) in cursor.execute(query, [name]).fetchall():
        if None not in (held, project) and held != project:
            raise SelectionMismatchError(
                f"{what or f'Table {name!r}'} is of project {held}, and this call is of project {project}: pass "
                f"another table name, or use project {held}."
            )


def claim_table(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, project: str | None) -> None:
    """Within a transaction: record whose table it is, if that is not known, and check it as `check_project` does."""
    if project is not None:
        cursor.execute(
            f"UPDATE {schema}._mixpanel_selections SET project = ? WHERE table_name = lower(?) AND project IS NULL",
            [project, name],
        )
    check_project(cursor, schema, name, project)
