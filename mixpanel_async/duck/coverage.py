"""What the journal and the table itself say of the days that a table of events holds."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from mixpanel_async.coverage import Coverage, CoveredChunk, RejectedChunk
from mixpanel_async.duck.journal import is_ours
from mixpanel_async.duck.projects import check_project
from mixpanel_async.duck.schema import check_columns, table_exists
from mixpanel_async.duck.translation import translate_errors
from mixpanel_async.duck.versions import has_our_tables
from mixpanel_async.errors import StoreError, TableNotFoundError
from mixpanel_async.records import HeldEvents
from mixpanel_async.selections import EventSelection

if TYPE_CHECKING:
    import duckdb

    from mixpanel_async.duck.schema import Schema

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_ROWS = """
    WITH moved AS (
        SELECT event_time::DATE AS date, -1 AS change FROM {ours}out_of_range WHERE table_name = lower($name)
        UNION ALL SELECT day, 1 FROM {ours}out_of_range WHERE table_name = lower($name)
    ),
    counted AS (
        SELECT date, sum(change) AS rows FROM (
            SELECT event_time::DATE AS date, count(*) AS change FROM {table} GROUP BY date
            UNION ALL FROM moved
        ) GROUP BY date
    ),
    held AS (
        SELECT unnest(generate_series(from_date, to_date, INTERVAL 1 DAY))::DATE AS date
        FROM {ours}chunks WHERE table_name = lower($name)
    )
    SELECT date::VARCHAR, coalesce(rows, 0)::BIGINT FROM held LEFT JOIN counted USING (date)
"""
"""The rows of each day that is held. A row out of range counts on the date of its chunk that it belongs to."""

_CHUNKS = """
    SELECT from_date::VARCHAR, to_date::VARCHAR, rows, rejected, duplicates, epoch_us(fetched_at), final
    FROM {ours}chunks WHERE table_name = lower($name) ORDER BY from_date
"""

_NAMES = """
    SELECT DISTINCT event_name FROM {table} WHERE
    event_time >= coalesce($first::DATE, '-infinity') AND event_time < coalesce($last::DATE + 1, 'infinity')
    OR event_time IN (
        SELECT event_time FROM {ours}out_of_range WHERE table_name = lower($name)
        AND day BETWEEN coalesce($first::DATE, '-infinity') AND coalesce($last::DATE, 'infinity')
    )
"""

_REJECTED = """
    SELECT from_date::VARCHAR, to_date::VARCHAR, count(*) FROM {ours}rejected
    WHERE table_name = lower($name) AND chunk_failed GROUP BY ALL ORDER BY ALL
"""


def read_coverage(cursor: duckdb.DuckDBPyConnection, schema: Schema, *, name: str) -> Coverage:
    """Read which days a table of events holds. Within a transaction, so that all of it is of one moment.

    Raises:
        TableNotFoundError, StoreError: as `check_events_table`.
    """
    check_events_table(cursor, schema, name)
    names = {"table": schema.table(name), "ours": f"{schema}._mixpanel_"}
    with translate_errors(f"Table {name!r}"):
        rows, chunks, rejected = (
            cursor.execute(query.format(**names), {"name": name}).fetchall() for query in (_ROWS, _CHUNKS, _REJECTED)
        )
    return Coverage.of(name, list(map(_chunk, chunks)), dict(rows), [RejectedChunk(*each) for each in rejected])


def read_held(
    cursor: duckdb.DuckDBPyConnection,
    schema: Schema,
    *,
    name: str,
    ends: tuple[dt.date | None, dt.date | None],
    project: str | None,
) -> HeldEvents:
    """Read what a table holds: its days, and the names of its events between two dates, both inclusive. `None` is no
    bound.

    Raises:
        TableNotFoundError, StoreError: as `check_events_table`.
        SelectionMismatchError: the table is of another project.
    """
    coverage = read_coverage(cursor, schema, name=name)
    names = {"table": schema.table(name), "ours": f"{schema}._mixpanel_"}
    check_project(cursor, schema, name, project)
    with translate_errors(f"Table {name!r}"):
        values = {"name": name, "first": ends[0], "last": ends[1]}
        found = cursor.execute(_NAMES.format(**names), values).fetchall()
        query = f"SELECT selection FROM {schema}._mixpanel_selections WHERE table_name = lower(?)"
        ((selection,),) = cursor.execute(query, [name]).fetchall()
    return HeldEvents(
        EventSelection.from_json(selection),
        {day.date: day.rows for day in coverage.days},
        tuple(event_name for (event_name,) in found),
    )


def check_events_table(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> None:
    """Check that a table holds events that this library fetched.

    Raises:
        TableNotFoundError: there is no such table.
        StoreError: it holds something else, or another version of this library made it.
    """
    if (kind := table_kind(cursor, schema, name)) != "events":
        raise StoreError(f"Table {name!r} holds {kind}, not events: only events have days.")
    check_columns(cursor, schema.table(name), "events")


def table_kind(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> str:
    """Return what a table of this library holds: events, profiles, or what is looked up.

    Raises:
        TableNotFoundError: there is no such table.
        StoreError: this library did not make it, or another version of it did.
    """
    with translate_errors(f"Table {name!r}"):
        is_readable = has_our_tables(cursor, schema)
        if not table_exists(cursor, schema, name):
            raise TableNotFoundError(f"There is no table {name!r} in this database: fetch it first, or pass another.")
        if not (is_readable and is_ours(cursor, schema, name)):
            raise StoreError(f"Table {name!r} was not made by this library, which knows nothing of its days.")
        query = f"SELECT type FROM {schema}._mixpanel_selections WHERE table_name = lower(?)"
        ((kind,),) = cursor.execute(query, [name]).fetchall()
        return str(kind)


def _chunk(row: tuple[str, str, int, int, int, int, bool]) -> CoveredChunk:
    first, last, rows, rejected, duplicates, fetched_at, is_final = row
    return CoveredChunk(
        first, last, rows, rejected, duplicates, EPOCH + dt.timedelta(microseconds=fetched_at), is_final
    )  # fmt: skip
