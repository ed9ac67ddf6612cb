"""Which rows belong to which dates.

A row belongs to the date of its `event_time`, with one exception: a stray, which Mixpanel gave for dates that its own
time lies outside of, as an old project does whose time zone was changed. It belongs to the nearest date of its chunk.
`_mixpanel_strays` remembers it by its time and a digest of the whole row, once for each time it came.

In a chunk of several days that has strays, the dates of the other rows are in doubt too: which of them Mixpanel would
give for one of its days alone cannot be told. Such a chunk is indivisible, and is fetched anew as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    import duckdb

    from mixpanel_async.duck.schema import Schema

DIGEST = (
    "md5(to_json([event_name, epoch_us(event_time)::VARCHAR, distinct_id, insert_id, properties::VARCHAR])::VARCHAR)"
)

_IN = "{0} >= $first::DATE AND {0} < $last::DATE + 1"
_WITHIN = _IN.format("event_time")
_OWN = f"table_name = lower($name) AND day BETWEEN $first::DATE AND $last::DATE AND NOT ({_WITHIN})"
_FOREIGN = f"table_name = lower($name) AND {_WITHIN} AND day NOT BETWEEN $first::DATE AND $last::DATE"

Dates = tuple["str | dt.date", "str | dt.date"]


def keep(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: Dates, first_row: int) -> int:
    """Within a chunk's transaction: remember which of its rows, those from `first_row` on, are strays; how many."""
    kept = cursor.execute(
        f"INSERT INTO {schema}._mixpanel_strays "
        f"SELECT lower($name), CASE WHEN event_time < $first::DATE THEN $first::DATE ELSE $last::DATE END, "
        f"event_time, {DIGEST} FROM {schema.table(name)} WHERE rowid >= {first_row} AND NOT ({_WITHIN})",
        _values(name, dates),
    )
    return int(kept.fetchall()[0][0])


def delete_rows(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: Dates) -> None:
    """Within a transaction: delete the rows that belong to these dates, and no other."""
    values = _values(name, dates)
    table, strays = schema.table(name), f"{schema}._mixpanel_strays"
    if _count(cursor, f"{strays} WHERE {_OWN}", values):
        own = f"{strays} WHERE {_OWN}"
        cursor.execute(_deletion(table, f"event_time IN (SELECT event_time FROM {own})", own, "copy <= copies"), values)
    if _count(cursor, f"{strays} WHERE {_FOREIGN}", values):
        foreign = f"{strays} WHERE {_FOREIGN}"
        cursor.execute(_deletion(table, _WITHIN, foreign, "copy > coalesce(copies, 0)"), values)
    else:
        days = {"first": values["first"], "last": values["last"]}
        cursor.execute(f"DELETE FROM {table} WHERE {_WITHIN}", days)
    cursor.execute(
        f"DELETE FROM {strays} WHERE table_name = lower($name) AND day BETWEEN $first::DATE AND $last::DATE", values
    )


def indivisible(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> list[tuple[dt.date, dt.date]]:
    """The chunks that have strays: their first and last dates."""
    return cursor.execute(
        f"""SELECT from_date, to_date FROM {schema}._mixpanel_chunks AS chunk
        WHERE table_name = lower(?) AND EXISTS (
            FROM {schema}._mixpanel_strays AS stray
            WHERE stray.table_name = chunk.table_name AND day BETWEEN from_date AND to_date
            AND NOT (event_time >= from_date AND event_time < to_date + 1)
        ) ORDER BY from_date""",
        [name],
    ).fetchall()


def count_rows(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: Dates) -> int:
    """How many rows belong to these dates."""
    values = _values(name, dates)
    strays = f"{schema}._mixpanel_strays"
    days = {"first": values["first"], "last": values["last"]}
    inside = _count(cursor, f"{schema.table(name)} WHERE {_WITHIN}", days)
    own = _count(cursor, f"{strays} WHERE {_OWN}", values)
    return inside + own - _count(cursor, f"{strays} WHERE {_FOREIGN}", values)


def _deletion(table: str, rows: str, strays: str, which: str) -> str:
    """Delete of the `rows` those for which `which` holds: a row's `copy`, from 1, beside the `copies` among strays."""
    return f"""DELETE FROM {table} WHERE rowid IN (
        SELECT row FROM (
            SELECT rowid AS row, {DIGEST} AS digest, row_number() OVER (PARTITION BY {DIGEST}) AS copy
            FROM {table} WHERE {rows}
        ) LEFT JOIN (SELECT digest, count(*) AS copies FROM {strays} GROUP BY digest) USING (digest)
        WHERE {which}
    )"""


def _count(cursor: duckdb.DuckDBPyConnection, what: str, values: dict[str, str | dt.date]) -> int:
    return int(cursor.execute(f"SELECT count(*) FROM {what}", values).fetchall()[0][0])


def _values(name: str, dates: Dates) -> dict[str, str | dt.date]:
    return {"name": name, "first": dates[0], "last": dates[1]}
