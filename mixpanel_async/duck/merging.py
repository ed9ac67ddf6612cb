"""Whether DuckDB may merge row groups when it checkpoints.

It writes a merged group again, whole. If chunks have some ten thousand rows, it does so at every checkpoint, which
doubles time and file. If they have a few hundred, and each is written by itself, the file would have four times its
size without merging. `docs/performance.md` has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from mixpanel_async.duck.schema import Schema

SMALL_CHUNK = 1000
"""Rows of a chunk, on average over a table, below which its row groups are merged."""


def forbid(connection: duckdb.DuckDBPyConnection) -> None:
    """Merge nothing from now on."""
    connection.execute("SET max_vacuum_tasks = 0")


def allow_for_small_chunks(connection: duckdb.DuckDBPyConnection, schema: Schema) -> None:
    """Merge from now on if the chunks of every table of events are small."""
    query = f"""SELECT coalesce(max(mean), 0) < {SMALL_CHUNK} FROM (
        SELECT avg(rows) AS mean FROM {schema}._mixpanel_chunks WHERE rows > 0 GROUP BY table_name
    )"""
    ((are_small,),) = connection.execute(query).fetchall()
    if are_small:
        connection.execute("SET max_vacuum_tasks = 1")
