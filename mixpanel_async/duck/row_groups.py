"""DuckDB's row groups in a file: how many rows one has, and whether checkpoints merge them. Both depend on the chunks.

DuckDB writes a transaction's rows straight to their place only if they fill a row group (122,880 rows by default), and
others through the write-ahead log first. Smaller groups let smaller chunks be written once; larger ones take less
space. The size is a setting of the attachment, not of the file: plain DuckDB reads any mixture.

A checkpoint writes a merged group again, whole. If chunks have some ten thousand rows, it does so at every checkpoint,
which doubles time and file. If they have a few hundred, and each is written by itself, the file would have four times
its size without merging. `docs/performance.md` has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from mixpanel_async.duck.schema import Schema

USUAL = 24_576
"""Rows of a group, if chunks are longer, or so short that they go through the log in any case."""
LEAST = 8_192
"""Rows of the smallest groups, and of the shortest chunks that are written straight to their place."""

_VECTOR = 2_048
"""A group has a multiple of it."""
_SMALL_CHUNK = 1_000
"""Rows of a chunk below which groups are merged."""


def mean_rows(connection: duckdb.DuckDBPyConnection, schema: Schema) -> float:
    """Return how many rows a chunk has on average, in the table whose chunks are longest; 0 without chunks."""
    query = f"""SELECT coalesce(max(mean), 0) FROM (
        SELECT avg(rows) AS mean FROM {schema}._mixpanel_chunks WHERE rows > 0 GROUP BY table_name
    )"""
    try:
        ((mean,),) = connection.execute(query).fetchall()
    except duckdb.CatalogException:  # a file without our tables
        return 0.0
    return float(mean)


def size_for(rows: float) -> int:
    """Return the rows of a group that chunks of so many rows fill, on average; some may be a quarter shorter."""
    if rows < LEAST:
        return USUAL
    return min(max(int(rows * 3 / 4) // _VECTOR * _VECTOR, LEAST), USUAL)


def forbid_merging(connection: duckdb.DuckDBPyConnection) -> None:
    """Merge nothing from now on."""
    connection.execute("SET max_vacuum_tasks = 0")


def allow_merging(connection: duckdb.DuckDBPyConnection, rows: float) -> None:
    """Merge from now on if chunks are small, which have so many rows on average."""
    if rows < _SMALL_CHUNK:
        connection.execute("SET max_vacuum_tasks = 1")
