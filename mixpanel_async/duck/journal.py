"""The journal: which dates a table holds, and what was asked for them.

A chunk's row is written in the transaction of its rows, so the two are there together or not at all, and a
write-ahead log that is torn loses both, for a resume to bring both back.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixpanel_async.duck import out_of_range as strays
from mixpanel_async.duck.schema import EVENTS_COLUMNS, check_columns, table_exists
from mixpanel_async.errors import (
    SelectionMismatchError,
    StoreError,
    TableExistsError,
    TableNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from mixpanel_async.duck.schema import Schema

Dates = tuple[str, str]
"""First and last date, `YYYY-MM-DD`, both inclusive."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a table holds of a project's events."""

    events: tuple[str, ...] | None = None
    where: str | None = None
    limit: int | None = None

    def as_json(self) -> str:
        """The same text for the same selection; the order of `events` is none."""
        events = None if self.events is None else sorted(set(self.events))
        return json.dumps({"events": events, "where": self.where, "limit": self.limit}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """One row of `_mixpanel_chunks`, before it is counted."""

    dates: Dates
    bytes: int
    retries: int
    fetched_at: dt.datetime


def prepare_table(  # noqa: PLR0913 - one statement of what the caller allows
    cursor: duckdb.DuckDBPyConnection,
    schema: Schema,
    name: str,
    selection: Selection,
    *,
    append: bool,
    resume: bool,
) -> bool:
    """Make the table, or check that it may take this selection. Gives whether it was made.

    Raises:
        TableExistsError, TableNotFoundError, SelectionMismatchError: by `append` and `resume`.
        StoreError: a table of that name is there that is no events table of ours.
    """
    if not table_exists(cursor, schema, name):
        if append:
            raise TableNotFoundError(f"There is no table {name!r} to append to: fetch it first without append.")
        cursor.execute("BEGIN")
        cursor.execute(f"CREATE TABLE {schema.table(name)} {EVENTS_COLUMNS}")
        forget(cursor, schema, name)  # a table that was dropped behind our back
        cursor.execute(
            f"INSERT INTO {schema}._mixpanel_selections VALUES (lower(?), 'events', ?, now())",
            [name, selection.as_json()],
        )
        cursor.execute("COMMIT")
        return True
    if not (append or resume):
        raise TableExistsError(
            f"Table {name!r} is there: pass resume=True to fetch the dates it lacks, append=True to fetch these "
            "dates anew, or another name."
        )
    _check_selection(cursor, schema, name, selection)
    return False


def drop_table(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> None:
    """Take the table and all that is known of it away, in one transaction."""
    cursor.execute("BEGIN")
    cursor.execute(f"DROP TABLE {schema.table(name)}")
    forget(cursor, schema, name)
    cursor.execute("COMMIT")


def final_ranges(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> list[tuple[dt.date, dt.date]]:
    """The dates that need no fetching any more, as ranges in order."""
    return cursor.execute(
        f"SELECT from_date, to_date FROM {schema}._mixpanel_chunks "
        "WHERE table_name = lower(?) AND final ORDER BY from_date",
        [name],
    ).fetchall()


def has_chunks(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> bool:
    """Whether anything was committed to the table."""
    query = f"SELECT count(*) > 0 FROM {schema}._mixpanel_chunks WHERE table_name = lower(?)"
    return bool(cursor.execute(query, [name]).fetchall()[0][0])


def align(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, plan: Sequence[Dates]) -> None:
    """Cut the journal's chunks where the plan's chunks will begin and end, so that each replaces whole ones.

    What is in the table stays; each piece is counted anew. Two chunks of one plan that replace parts of the same
    older one would otherwise collide in its row.
    """
    held = cursor.execute(
        f"SELECT from_date, to_date FROM {schema}._mixpanel_chunks WHERE table_name = lower(?)", [name]
    ).fetchall()
    starts = {dt.date.fromisoformat(first) for first, _ in plan}
    starts |= {dt.date.fromisoformat(last) + dt.timedelta(days=1) for _, last in plan}
    for first, last in held:
        for start in sorted(start for start in starts if first < start <= last):
            _cut(cursor, schema, name, f"DATE '{start}'")


def replace(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: Dates) -> int:
    """Within a transaction: take away what the table holds for these dates. Gives how many chunks it was."""
    where = "table_name = lower(?) AND from_date >= ?::DATE AND to_date <= ?::DATE"
    deleted = cursor.execute(f"DELETE FROM {schema}._mixpanel_chunks WHERE {where}", [name, *dates])
    gone = int(deleted.fetchall()[0][0])
    if gone:
        cursor.execute(f"DELETE FROM {schema}._mixpanel_rejected WHERE {where}", [name, *dates])
        strays.delete_rows(cursor, schema, name, dates)
    return gone


def record(  # noqa: PLR0913 - the row's columns
    cursor: duckdb.DuckDBPyConnection,
    schema: Schema,
    name: str,
    chunk: ChunkRecord,
    *,
    final: bool,
    rows: int,
    duplicates: int,
    rejected: int,
) -> None:
    """Within a chunk's transaction: write its row. One that is not `final` a resume asks for again."""
    cursor.execute(
        f"INSERT INTO {schema}._mixpanel_chunks VALUES (lower(?), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [name, *chunk.dates, final, rows, duplicates, rejected, chunk.bytes, chunk.retries, chunk.fetched_at],
    )


def shorten_rejected(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: Dates, last: dt.date) -> None:
    """Within a chunk's transaction: let its rejected lines go with its dates up to `last`."""
    cursor.execute(
        f"UPDATE {schema}._mixpanel_rejected SET to_date = ? "
        "WHERE table_name = lower(?) AND from_date = ?::DATE AND to_date = ?::DATE",
        [last, name, *dates],
    )


def forget(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> None:
    """Within a transaction: take away all that is known of a table."""
    for ours in ("selections", "chunks", "strays", "rejected"):
        cursor.execute(f"DELETE FROM {schema}._mixpanel_{ours} WHERE table_name = lower(?)", [name])


def _check_selection(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, selection: Selection) -> None:
    query = f"SELECT selection FROM {schema}._mixpanel_selections WHERE table_name = lower(?)"
    rows = cursor.execute(query, [name]).fetchall()
    if not rows:
        raise StoreError(f"Table {name!r} was not made by this library: choose another name.")
    check_columns(cursor, schema.table(name), "events")
    if rows[0][0] != selection.as_json():
        raise SelectionMismatchError(
            f"Table {name!r} holds the selection {rows[0][0]}, and {selection.as_json()} is asked for: "
            "use the same selection, or another table."
        )


def _cut(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, date: str) -> None:
    """Make two journal rows of the one whose dates hold `date` as neither its first nor beyond its last.

    What was counted for the whole, and its rejected lines, stay with the first: which date they are of is not known.
    """
    journal = f"{schema}._mixpanel_chunks"
    hit = f"table_name = lower($name) AND from_date < {date} AND to_date >= {date}"
    found = cursor.execute(f"SELECT from_date FROM {journal} WHERE {hit}", {"name": name}).fetchall()
    if not found:
        return
    cursor.execute("BEGIN")
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE halves AS SELECT * FROM ("
        f" SELECT * REPLACE ({date} - 1 AS to_date) FROM {journal} WHERE {hit}"
        f" UNION ALL SELECT * REPLACE ({date} AS from_date, 0 AS duplicates, 0 AS rejected, 0 AS bytes, 0 AS retries)"
        f" FROM {journal} WHERE {hit})",
        {"name": name},
    )
    cursor.execute(f"UPDATE {schema}._mixpanel_rejected SET to_date = {date} - 1 WHERE {hit}", {"name": name})
    cursor.execute(f"DELETE FROM {journal} WHERE {hit}", {"name": name})
    for dates in cursor.execute("SELECT from_date, to_date FROM halves").fetchall():
        rows = strays.count_rows(cursor, schema, name, dates)
        cursor.execute("UPDATE halves SET rows = ? WHERE from_date = ?", [rows, dates[0]])
    cursor.execute(f"INSERT INTO {journal} SELECT * FROM halves")
    cursor.execute("DROP TABLE halves")
    cursor.execute("COMMIT")
