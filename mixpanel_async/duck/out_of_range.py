"""Which rows belong to which dates.

A row belongs to the date of its `event_time`, with one exception: Mixpanel sometimes returns an event for dates that
its own time lies outside of, as for an old project whose time zone was changed. Such a row is out of range, and belongs
to the nearest date of its chunk. `_mixpanel_out_of_range` records its time and a digest of the whole row, once for each
time that the row was returned and the table shows it (`copies` has the others).

In a chunk of several days that has such rows, the dates of the other rows are uncertain, too: nobody can tell which of
them Mixpanel would return for one of its days alone. Such a chunk is atomic: it is fetched again as a whole.
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

WITHIN = "event_time >= $first::DATE AND event_time < $last::DATE + 1"
"""In SQL: the rows whose own time lies within dates."""
_OWN = f"table_name = lower($name) AND day BETWEEN $first::DATE AND $last::DATE AND NOT ({WITHIN})"
_FOREIGN = f"table_name = lower($name) AND {WITHIN} AND day NOT BETWEEN $first::DATE AND $last::DATE"

Dates = tuple["str | dt.date", "str | dt.date"]


def record(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: Dates, first_row: int) -> int:
    """Within a chunk's transaction: record which of its rows, those from `first_row` on, are out of range; return how
    many.
    """
    recorded = cursor.execute(
        f"INSERT INTO {schema}._mixpanel_out_of_range (table_name, day, event_time, digest) "
        f"SELECT lower($name), CASE WHEN event_time < $first::DATE THEN $first::DATE ELSE $last::DATE END, "
        f"event_time, {DIGEST} FROM {schema.table(name)} WHERE rowid >= {first_row} AND NOT ({WITHIN})",
        _values(name, dates),
    )
    return int(recorded.fetchall()[0][0])


def delete_rows(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: Dates) -> None:
    """Within a transaction: delete the rows that belong to these dates, and no other."""
    values = _values(name, dates)
    table, recorded = schema.table(name), f"{schema}._mixpanel_out_of_range"
    if _count(cursor, f"{recorded} WHERE {_OWN}", values):
        times = f"event_time IN (SELECT event_time FROM {recorded} WHERE {_OWN})"
        cursor.execute(_deletion(table, recorded, times), values)
    delete_within(cursor, schema, name, dates, "true")
    cursor.execute(
        f"DELETE FROM {recorded} WHERE table_name = lower($name) AND day BETWEEN $first::DATE AND $last::DATE", values
    )


def delete_within(
    cursor: duckdb.DuckDBPyConnection,
    schema: Schema,
    name: str,
    dates: Dates,
    which: str,
    **values: object,
) -> None:
    """Within a transaction: delete rows whose time lies within these dates and for which `which` is true. Rows that
    belong to other dates stay. `values` are those that `which` uses.
    """
    table, recorded = schema.table(name), f"{schema}._mixpanel_out_of_range"
    named = _values(name, dates)
    if _count(cursor, f"{recorded} WHERE {_FOREIGN}", named):
        cursor.execute(_deletion(table, recorded, WITHIN, which), {**named, **values})
    else:
        cursor.execute(
            f"DELETE FROM {table} WHERE ({WITHIN}) AND ({which})", {"first": dates[0], "last": dates[1], **values}
        )


def atomic_chunks(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> list[tuple[dt.date, dt.date]]:
    """Return the first and last dates of the chunks that have rows out of range, in the table or among its copies."""
    return cursor.execute(
        f"""SELECT from_date, to_date FROM {schema}._mixpanel_chunks AS chunk
        WHERE table_name = lower(?) AND EXISTS (
            FROM (
                SELECT table_name, day, event_time FROM {schema}._mixpanel_out_of_range
                UNION ALL SELECT table_name, day, event_time FROM {schema}._mixpanel_copies
            ) AS outside
            WHERE outside.table_name = chunk.table_name AND day BETWEEN from_date AND to_date
            AND NOT (event_time >= from_date AND event_time < to_date + 1)
        ) ORDER BY from_date""",
        [name],
    ).fetchall()


def count_rows(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: Dates) -> int:
    """Return how many rows belong to these dates."""
    values = _values(name, dates)
    recorded = f"{schema}._mixpanel_out_of_range"
    days = {"first": values["first"], "last": values["last"]}
    inside = _count(cursor, f"{schema.table(name)} WHERE {WITHIN}", days)
    own = _count(cursor, f"{recorded} WHERE {_OWN}", values)
    return inside + own - _count(cursor, f"{recorded} WHERE {_FOREIGN}", values)


def _deletion(table: str, recorded: str, times: str, which: str = "true") -> str:
    """Return a statement that deletes the rows at `times` that belong to the dates, if `which` is true for them.

    Of equal rows, the oldest in the table are those that are recorded, in the order of the records. What another chunk
    commits meanwhile comes after them, so two open chunks never delete the same row.
    """
    return f"""DELETE FROM {table} WHERE rowid IN (
        SELECT row FROM (
            SELECT rowid AS row, event_time, {DIGEST} AS digest,
                row_number() OVER (PARTITION BY digest ORDER BY rowid) AS copy
            FROM {table} WHERE ({times}) AND ({which})
        ) LEFT JOIN (
            SELECT day, digest, row_number() OVER (PARTITION BY digest ORDER BY rowid) AS copy
            FROM {recorded} WHERE table_name = lower($name) AND ({times})
        ) USING (digest, copy)
        WHERE coalesce(day, event_time::DATE) BETWEEN $first::DATE AND $last::DATE
    )"""


def _count(cursor: duckdb.DuckDBPyConnection, what: str, values: dict[str, str | dt.date]) -> int:
    return int(cursor.execute(f"SELECT count(*) FROM {what}", values).fetchall()[0][0])


def _values(name: str, dates: Dates) -> dict[str, str | dt.date]:
    return {"name": name, "first": dates[0], "last": dates[1]}
