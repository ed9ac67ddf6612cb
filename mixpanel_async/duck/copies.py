"""Rows of one key in several chunks: the table shows one of them, and `_mixpanel_copies` keeps the others.

Rows with equal keys have equal times, so they can only be in different chunks if one of them is out of range: Mixpanel
returned it for dates that its own time lies outside of. Chunks are committed at the same time, and none sees another's
rows. So they are compared when no chunk of the table is open: at the end of a call, or, if that was killed, at the
beginning of the next. `_mixpanel_unchecked` says which chunks must be compared. Until then the table has all rows.

The others are kept, because a chunk may be fetched again without the row that the table shows: another chunk's row then
takes its place. So before chunks are fetched again, their copies are put back into the table, and compared again later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixpanel_async.duck.keys import HASH, KEY_BYTES, PROCESSED
from mixpanel_async.duck.out_of_range import DIGEST
from mixpanel_async.duck.schema import EVENT_NAMES, has_rows

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    import duckdb

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.duck.schema import Schema

_MARKED = """(
    SELECT DISTINCT event_time FROM {ours}out_of_range AS outside JOIN {ours}unchecked AS chunk USING (table_name)
    WHERE table_name = lower($name) AND (
        day BETWEEN from_date AND to_date OR (event_time >= from_date AND event_time < to_date + 1)
    )
)"""
"""The times of rows out of range that belong to a chunk which must be compared, or lie in its dates."""

_LOSERS = f"""
    WITH times AS MATERIALIZED {_MARKED},
    outside AS (
        SELECT rowid AS record, day, digest, row_number() OVER (PARTITION BY digest ORDER BY day) AS copy
        FROM {{ours}}out_of_range WHERE table_name = lower($name) AND event_time IN (FROM times)
    ),
    suspects AS MATERIALIZED (
        SELECT row FROM (SELECT rowid AS row, {HASH} AS hash FROM {{table}} WHERE event_time IN (FROM times))
        WHERE hash IS NOT NULL QUALIFY count(*) OVER (PARTITION BY hash) > 1
    ),
    found AS (
        SELECT *, row_number() OVER (PARTITION BY digest) AS copy FROM (
            SELECT rowid AS row, {EVENT_NAMES}, {DIGEST} AS digest FROM {{table}} WHERE rowid IN (FROM suspects)
        )
    )
    SELECT row, record, coalesce(day, event_time::DATE) AS day, {EVENT_NAMES}
    FROM found LEFT JOIN outside USING (digest, copy)
    QUALIFY row_number() OVER (
        PARTITION BY {KEY_BYTES} ORDER BY {PROCESSED} DESC NULLS LAST, record IS NOT NULL, day, row
    ) > 1
"""
"""The rows that the table need not show. `day` is a date of the chunk that a row belongs to; `record` is the number of
its row in `_mixpanel_out_of_range`, if it has one. Digests are slow, and only for keys that occur more than once."""

_PLANNED = "(SELECT unnest($firsts::DATE[]) AS first, unnest($lasts::DATE[]) AS last)"

_AFFECTED = f"""
    SELECT rowid AS record, * EXCLUDE (table_name) FROM {{ours}}copies AS copy WHERE table_name = lower($name) AND (
        EXISTS (FROM {_PLANNED} WHERE day BETWEEN first AND last OR (event_time >= first AND event_time < last + 1))
        OR event_time IN (
            SELECT event_time FROM {{ours}}out_of_range AS outside
            WHERE table_name = lower($name) AND EXISTS (FROM {_PLANNED} WHERE day BETWEEN first AND last)
        )
    )
"""
"""The copies to put back: those that belong to a planned chunk, those whose time lies in its dates, and those that have
the time of a row out of range of a planned chunk, because the table may show that row instead of them."""

_COUNT = """
    UPDATE {ours}chunks AS chunk SET rows = rows + change, duplicates = greatest(0, duplicates - change) FROM (
        SELECT from_date, $sign * count(*) AS change FROM {ours}chunks JOIN moved ON day BETWEEN from_date AND to_date
        WHERE table_name = lower($name) GROUP BY from_date
    ) AS counted WHERE table_name = lower($name) AND chunk.from_date = counted.from_date
"""
"""Counts the `moved` rows: with the `$sign` 1 as rows of their chunks, with -1 as duplicates."""


def mark(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: DateChunk) -> None:
    """Within a chunk's transaction: note that its rows out of range must be compared with other chunks."""
    cursor.execute(
        f"INSERT INTO {schema}._mixpanel_unchecked (table_name, from_date, to_date) VALUES (lower(?), ?, ?)",
        [name, *dates],
    )


def drop(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> dict[dt.date, int]:
    """Within a transaction, while no chunk of the table is open: move rows from the table to `_mixpanel_copies`, until
    there is one a key: the one with the newest `mp_processing_time_ms`. Of equally new ones, it is the one that lies
    within its chunk's dates.

    Returns:
        How many rows were moved, by a date of the chunk that they belong to.
    """
    if not has_rows(cursor, schema, "unchecked", name):
        return {}
    statements = _Statements(cursor, schema, name)
    statements.execute(f"CREATE OR REPLACE TEMP TABLE moved AS {_LOSERS}")
    moved = dict(cursor.execute("SELECT day, count(*) FROM moved GROUP BY day").fetchall())
    if moved:
        statements.execute("DELETE FROM {table} WHERE rowid IN (SELECT row FROM moved)")
        statements.execute("DELETE FROM {ours}out_of_range WHERE rowid IN (SELECT record FROM moved)")
        statements.execute(
            f"INSERT INTO {{ours}}copies (table_name, day, {EVENT_NAMES}) "
            f"SELECT lower($name), day, {EVENT_NAMES} FROM moved"
        )
        statements.execute(_COUNT, {"sign": -1})
    statements.execute("DELETE FROM {ours}unchecked WHERE table_name = lower($name)")
    cursor.execute("DROP TABLE moved")
    return moved


def put_back(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, chunks: Sequence[DateChunk], *, deduplicate: bool
) -> None:
    """Within a transaction, before `chunks` are fetched: move rows back from `_mixpanel_copies` to the table, if they
    or those shown instead belong to one of the chunks. With `deduplicate`, note what must be compared again.
    """
    statements = _Statements(cursor, schema, name)
    planned = {"firsts": [first for first, _ in chunks], "lasts": [last for _, last in chunks]}
    if deduplicate and has_rows(cursor, schema, "out_of_range", name):
        statements.execute(
            "INSERT INTO {ours}unchecked (table_name, from_date, to_date) "
            f"SELECT lower($name), first, last FROM {_PLANNED} WHERE EXISTS ("
            " FROM {ours}out_of_range WHERE table_name = lower($name)"
            " AND event_time >= first AND event_time < last + 1 AND day NOT BETWEEN first AND last)",
            planned,
        )
    if not has_rows(cursor, schema, "copies", name):
        return
    statements.execute(f"CREATE OR REPLACE TEMP TABLE moved AS {_AFFECTED}", planned)
    statements.execute(f"INSERT INTO {{table}} ({EVENT_NAMES}) SELECT {EVENT_NAMES} FROM moved")
    statements.execute(
        "INSERT INTO {ours}out_of_range (table_name, day, event_time, digest) "
        f"SELECT lower($name), day, event_time, {DIGEST} FROM moved "
        "WHERE EXISTS (FROM {ours}chunks WHERE table_name = lower($name) AND day BETWEEN from_date AND to_date"
        " AND NOT (event_time >= from_date AND event_time < to_date + 1))"
    )
    if deduplicate:
        statements.execute(
            "INSERT INTO {ours}unchecked (table_name, from_date, to_date) "
            "SELECT DISTINCT lower($name), day, day FROM moved"
        )
    statements.execute(_COUNT, {"sign": 1})
    statements.execute("DELETE FROM {ours}copies WHERE rowid IN (SELECT record FROM moved)")
    cursor.execute("DROP TABLE moved")


class _Statements:
    """Statements with the names of one table and of ours in them."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> None:
        self._cursor = cursor
        self._names = {"table": schema.table(name), "ours": f"{schema}._mixpanel_"}
        self._name = name

    def execute(self, statement: str, values: Mapping[str, object] | None = None) -> None:
        """Run a statement; it may use `{table}`, `{ours}`, `$name` and these values."""
        name = {"name": self._name} if "$name" in statement else {}
        self._cursor.execute(statement.format(**self._names), {**name, **(values or {})})
