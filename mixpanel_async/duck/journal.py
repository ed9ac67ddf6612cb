"""The journal: which dates a table holds, and what was selected for them.

A chunk's row is written in the transaction of its rows, so both are there or neither is. A write-ahead log that is torn
loses both, and a resume brings both back.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from mixpanel_async import clock
from mixpanel_async.duck import out_of_range
from mixpanel_async.duck.projects import check_project
from mixpanel_async.duck.schema import (
    EVENTS_COLUMNS,
    UTC_NOW,
    as_utc,
    check_columns,
    has_rows,
    stored_time,
    table_exists,
)
from mixpanel_async.duck.transactions import transaction
from mixpanel_async.duck.versions import has_our_tables
from mixpanel_async.errors import SelectionMismatchError, StoreError, TableExistsError, TableNotFoundError
from mixpanel_async.records import JournalRow
from mixpanel_async.selections import EventSelection

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.duck.schema import Schema
    from mixpanel_async.records import ChunkRecord

_WITHIN = "table_name = lower(?) AND from_date >= ?::DATE AND to_date <= ?::DATE"
"""Of a table's rows in the journal, those whose dates are all among the dates of a chunk."""

_NOT_OURS = "Table {name!r} was not made by this library: choose another name."


def check_table(  # noqa: PLR0913 - what the caller wants of which table
    cursor: duckdb.DuckDBPyConnection,
    schema: Schema,
    name: str,
    selection: EventSelection,
    *,
    project: str | None,
    append: bool,
    resume: bool,
) -> None:
    """Check that a table is missing and may be created, or may take this selection of this project (`None`: it is not
    known). Writes nothing.

    Raises:
        TableExistsError, TableNotFoundError, SelectionMismatchError: by `append` and `resume`. Our own table without
            rows counts as missing: a call that could not drop it has left it.
        StoreError: a table of that name is not an events table of this library.
    """
    if not table_exists(cursor, schema, name):
        if append:
            raise TableNotFoundError(f"There is no table {name!r} to append to: fetch it first without append.")
        return
    if not has_our_tables(cursor, schema):
        raise StoreError(_NOT_OURS.format(name=name))
    check_project(cursor, schema, name, project)
    if not (append or resume or (is_ours(cursor, schema, name) and is_empty(cursor, schema, name))):
        raise TableExistsError(
            f"Table {name!r} exists: pass resume=True to fetch the dates it lacks, append=True to fetch these "
            "dates again, or another name."
        )
    _check_selection(cursor, schema, name, selection)


def create_table(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, selection: EventSelection, *, project: str | None
) -> None:
    """Create an events table, in one transaction with its row in `_mixpanel_selections`."""
    with transaction(cursor):
        cursor.execute(f"CREATE TABLE {schema.table(name)} {EVENTS_COLUMNS}")
        forget(cursor, schema, name)  # what is left of a table that somebody else dropped
        cursor.execute(
            f"INSERT INTO {schema}._mixpanel_selections (table_name, type, selection, created_at, project) "
            f"VALUES (lower(?), 'events', ?, {UTC_NOW}, ?)",
            [name, selection.to_json(), project],
        )


class Description(NamedTuple):
    """What tells a table from any other of its name."""

    columns: tuple[tuple[str, str], ...]
    type: str
    selection: str
    created_at: dt.datetime | None


def describe(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> Description | None:
    """Return what tells a table from any other of its name; `None` where it is missing."""
    if not table_exists(cursor, schema, name):
        return None
    query = f"SELECT type, selection, created_at FROM {schema}._mixpanel_selections WHERE table_name = lower(?)"
    columns = tuple(row[:2] for row in cursor.execute(f"DESCRIBE {schema.table(name)}").fetchall())
    recorded = cursor.execute(query, [name]).fetchall()
    return Description(columns, *(recorded[0] if recorded else ("", "", None)))


def is_ours(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> bool:
    """Whether this library made the table of that name."""
    return has_rows(cursor, schema, "selections", name)


def is_empty(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> bool:
    """Whether a table has neither chunks nor rows."""
    has_chunks = has_rows(cursor, schema, "chunks", name)
    return not (has_chunks or cursor.execute(f"SELECT 1 FROM {schema.table(name)} LIMIT 1").fetchall())


def covers(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, chunks: Sequence[DateChunk]) -> bool:
    """Whether each date of the chunks is in the journal."""
    if not chunks:
        return True
    missing = f"""
        SELECT unnest(generate_series(first, last, INTERVAL 1 DAY))
        FROM (SELECT unnest(?::DATE[]) AS first, unnest(?::DATE[]) AS last)
        EXCEPT SELECT unnest(generate_series(from_date, to_date, INTERVAL 1 DAY))
        FROM {schema}._mixpanel_chunks WHERE table_name = lower(?)
    """
    firsts, lasts = zip(*chunks, strict=True)
    return not cursor.execute(missing, [list(firsts), list(lasts), name]).fetchall()


def check_not_cut(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, chunks: Sequence[DateChunk]) -> None:
    """Check that the chunks replace whole ones that can only be replaced as a whole.

    Raises:
        StoreError: names the dates of one of which they replace a part.
    """
    for first, last in out_of_range.atomic_chunks(cursor, schema, name):
        held = first.isoformat(), last.isoformat()
        if any(
            chunk[0] <= held[1] and held[0] <= chunk[1] and not (chunk[0] <= held[0] and held[1] <= chunk[1])
            for chunk in chunks
        ):
            raise StoreError(
                f"Table {name!r}: {held[0]} to {held[1]} were fetched elsewhere meanwhile, and can only be fetched "
                "again together. Nothing more is written: call again."
            )


def drop_empty_table(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> None:
    """Drop a table without chunks, in one transaction. The rejected lines of chunks that failed stay."""
    with transaction(cursor):
        cursor.execute(f"DROP TABLE {schema.table(name)}")
        cursor.execute(f"DELETE FROM {schema}._mixpanel_selections WHERE table_name = lower(?)", [name])


def forget(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> None:
    """Within a transaction: delete all that is known of a table, but for the lines of chunks that failed."""
    for ours in ("selections", "chunks", "out_of_range", "copies", "unchecked", "syncs"):
        cursor.execute(f"DELETE FROM {schema}._mixpanel_{ours} WHERE table_name = lower(?)", [name])
    cursor.execute(f"DELETE FROM {schema}._mixpanel_rejected WHERE table_name = lower(?) AND NOT chunk_failed", [name])


def read_journal(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> list[JournalRow]:
    """Return a table's committed chunks, in the order of their dates."""
    atomic = set(out_of_range.atomic_chunks(cursor, schema, name))
    rows = cursor.execute(
        "SELECT from_date, to_date, final, bytes, fetched_at, merged_at "
        f"FROM {schema}._mixpanel_chunks WHERE table_name = lower(?) ORDER BY from_date ASC",
        [name],
    ).fetchall()
    now = clock.utc_now()
    return [
        JournalRow(
            first,
            last,
            is_final and as_utc(fetched) <= now,
            (first, last) in atomic,
            size,
            as_utc(fetched),
            merged and as_utc(merged),
            has_sure_time=as_utc(merged or fetched) <= now,
        )
        for first, last, is_final, size, fetched, merged in rows
    ]


def align(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, chunks: Sequence[DateChunk]) -> None:
    """Split the journal's rows where the planned chunks begin and end, so that each chunk replaces whole rows.

    The table's rows stay, and each part of a split row is counted again. Otherwise two chunks that replace parts of the
    same older one would conflict in its row.
    """
    held = cursor.execute(
        f"SELECT from_date, to_date FROM {schema}._mixpanel_chunks WHERE table_name = lower(?)", [name]
    ).fetchall()
    starts = {dt.date.fromisoformat(first) for first, _ in chunks}
    ends = {dt.date.fromisoformat(last) for _, last in chunks}
    starts |= {last + dt.timedelta(days=1) for last in ends if last < dt.date.max}
    for first, last in held:
        for start in sorted(start for start in starts if first < start <= last):
            _split(cursor, schema, name, f"DATE '{start}'")


def has_nothing(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, chunks: Sequence[DateChunk]) -> bool:
    """Whether neither rows nor rejected lines are recorded for any date from the first chunk's to the last one's."""
    recorded = "table_name = lower($name) AND from_date <= $last::DATE AND to_date >= $first::DATE"
    tables = f"{schema}._mixpanel_chunks", f"{schema}._mixpanel_rejected"
    (first_rows, first_lines) = (f"EXISTS (FROM {table} WHERE {recorded})" for table in tables)
    dates = {"first": min(first for first, _ in chunks), "last": max(last for _, last in chunks)}
    found = cursor.execute(f"SELECT NOT ({first_rows} OR {first_lines})", {"name": name, **dates})
    return bool(found.fetchall()[0][0])


def delete_chunks(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: DateChunk) -> int:
    """Within a transaction: delete what the table holds for these dates. Return how many chunks that was."""
    deleted = cursor.execute(f"DELETE FROM {schema}._mixpanel_chunks WHERE {_WITHIN}", [name, *dates])
    count = int(deleted.fetchall()[0][0])
    if count:
        cursor.execute(f"DELETE FROM {schema}._mixpanel_rejected WHERE {_WITHIN} AND NOT chunk_failed", [name, *dates])
        out_of_range.delete_rows(cursor, schema, name, dates)
    return count


def delete_failed(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: DateChunk) -> None:
    """Within a transaction: delete the lines that were kept when a chunk failed that began on one of these dates.

    Only the first date is compared: so two chunks of one call never delete the same lines, which would be a conflict.
    """
    cursor.execute(
        f"DELETE FROM {schema}._mixpanel_rejected "
        "WHERE table_name = lower(?) AND from_date BETWEEN ?::DATE AND ?::DATE AND chunk_failed",
        [name, *dates],
    )


def accept_rejected(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: DateChunk) -> None:
    """Within a chunk's transaction: its rejected lines are those of a chunk that did not fail."""
    cursor.execute(
        f"UPDATE {schema}._mixpanel_rejected SET chunk_failed = false "
        "WHERE table_name = lower(?) AND from_date = ?::DATE AND to_date = ?::DATE AND chunk_failed",
        [name, *dates],
    )


def add_rejected(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: DateChunk, lines: Sequence[RejectedLine]
) -> int:
    """Within a chunk's transaction that merges: keep lines that are not kept yet, with the journal row that the chunk
    begins in. Return how many.
    """
    rejected = f"{schema}._mixpanel_rejected"
    added = cursor.execute(
        f"""INSERT INTO {rejected} (table_name, from_date, to_date, line_number, reason, line, chunk_failed)
        SELECT table_name, from_date, to_date, line_number, reason, line, false
        FROM (
            SELECT unnest($numbers::BIGINT[]) AS line_number, unnest($reasons::VARCHAR[]) AS reason,
            unnest($lines::BLOB[]) AS line
        ), (
            FROM {schema}._mixpanel_chunks
            WHERE table_name = lower($name) AND $first::DATE BETWEEN from_date AND to_date
        ) WHERE line NOT IN (
            SELECT line FROM {rejected}
            WHERE table_name = lower($name) AND from_date <= $last::DATE AND to_date >= $first::DATE
        )""",
        {
            "name": name,
            "first": dates[0],
            "last": dates[1],
            "numbers": [line.line_number for line in lines],
            "reasons": [line.reason for line in lines],
            "lines": [line.line for line in lines],
        },
    )
    return int(added.fetchall()[0][0])


def record_chunk(  # noqa: PLR0913 - the row's columns
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
    """Within a chunk's transaction: write its row. A resume asks again for one that is not `final`."""
    fetched_at = stored_time(chunk.fetched_at)
    cursor.execute(
        f"INSERT INTO {schema}._mixpanel_chunks (table_name, from_date, to_date, final, rows, duplicates, rejected, "
        "bytes, retries, fetched_at) VALUES (lower(?), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [name, *chunk.dates, final, rows, duplicates, rejected, chunk.bytes, chunk.retries, fetched_at],
    )


def shorten_rejected(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: DateChunk, last: dt.date
) -> None:
    """Within a chunk's transaction: assign its rejected lines to its dates up to `last`."""
    cursor.execute(
        f"UPDATE {schema}._mixpanel_rejected SET to_date = ? "
        "WHERE table_name = lower(?) AND from_date = ?::DATE AND to_date = ?::DATE",
        [last, name, *dates],
    )


def look(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str
) -> tuple[EventSelection | None, list[JournalRow]]:
    """Return the selection and the chunks of a table of events; `None` and no chunks if it is missing."""
    if not (has_our_tables(cursor, schema) and table_exists(cursor, schema, name)):
        return None, []
    query = f"SELECT selection FROM {schema}._mixpanel_selections WHERE table_name = lower(?) AND type = 'events'"
    found = cursor.execute(query, [name]).fetchall()
    return _read_selection(found[0][0]) if found else None, read_journal(cursor, schema, name)


def is_newer(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, dates: DateChunk, requested_at: dt.datetime
) -> bool:
    """Whether somebody else requested any of these dates later than `requested_at`, or they are not held any more. A
    time that lies in the future is not believed: a clock was ahead.
    """
    found = cursor.execute(
        f"SELECT max(coalesce(merged_at, fetched_at)) FROM {schema}._mixpanel_chunks WHERE {_WITHIN}", [name, *dates]
    ).fetchall()
    return found[0][0] is None or requested_at < as_utc(found[0][0]) <= clock.utc_now()


def record_merge(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, chunk: ChunkRecord, rejected: int
) -> None:
    """Within a chunk's transaction: record that rows were merged into its dates, and count their rows again.

    `rejected`: how many lines were kept that are no events; see `add_rejected`.
    """
    journal = f"{schema}._mixpanel_chunks"
    merged_at = stored_time(chunk.fetched_at)
    cursor.execute(f"UPDATE {journal} SET merged_at = ? WHERE {_WITHIN}", [merged_at, name, *chunk.dates])
    held = cursor.execute(f"SELECT from_date, to_date FROM {journal} WHERE {_WITHIN}", [name, *chunk.dates])
    first = dt.date.fromisoformat(chunk.dates[0])
    for dates in held.fetchall():
        rows = out_of_range.count_rows(cursor, schema, name, dates)
        cursor.execute(
            f"UPDATE {journal} SET rows = ?, rejected = rejected + ? WHERE table_name = lower(?) AND from_date = ?",
            [rows, rejected if dates[0] == first else 0, name, dates[0]],
        )


def _check_selection(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, selection: EventSelection) -> None:
    query = f"SELECT type, selection FROM {schema}._mixpanel_selections WHERE table_name = lower(?)"
    found = cursor.execute(query, [name]).fetchall()
    if not found:
        raise StoreError(_NOT_OURS.format(name=name))
    check_columns(cursor, schema.table(name), "events")
    ((kind, held),) = found
    held_selection = _read_selection(held) if kind == "events" else None
    if held_selection == selection:
        return
    if held_selection == replace(selection, time_in_ms=False):
        raise SelectionMismatchError(
            f"Table {name!r} was fetched with times in whole seconds, by an earlier version of this library, and this "
            "version fetches milliseconds: fetch into another table name, or let this table hold both, as the section "
            '"Tables of earlier versions" of docs/tables.md describes.'
        )
    there, here = held_selection.differences(selection) if held_selection else (held, selection.to_json())
    raise SelectionMismatchError(
        f"Table {name!r} was fetched with {there}, and this call has {here}: pass the same, or another table name."
    )


def _read_selection(text: str) -> EventSelection | None:
    """Read a selection of the journal; `None` if no version until this one can have written it."""
    try:
        return EventSelection.from_json(text)
    except (ValueError, TypeError):
        return None


def _split(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, date: str) -> None:
    """Split the journal row that begins before `date` and ends on it or after it.

    The duplicates and bytes that were counted for the whole, and its rejected lines, stay with the first part: nobody
    knows of which dates they are.
    """
    journal = f"{schema}._mixpanel_chunks"
    hit = f"table_name = lower($name) AND from_date < {date} AND to_date >= {date}"
    found = cursor.execute(f"SELECT from_date FROM {journal} WHERE {hit}", {"name": name}).fetchall()
    if not found:
        return
    with transaction(cursor):
        cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE halves AS SELECT * FROM ("
            f" SELECT * REPLACE ({date} - 1 AS to_date) FROM {journal} WHERE {hit}"
            f" UNION ALL SELECT * REPLACE ({date} AS from_date, 0 AS duplicates, 0 AS rejected, 0 AS bytes,"
            f" 0 AS retries) FROM {journal} WHERE {hit})",
            {"name": name},
        )
        cursor.execute(
            f"UPDATE {schema}._mixpanel_rejected SET to_date = {date} - 1 WHERE {hit} AND NOT chunk_failed",
            {"name": name},
        )
        cursor.execute(f"DELETE FROM {journal} WHERE {hit}", {"name": name})
        for dates in cursor.execute("SELECT from_date, to_date FROM halves").fetchall():
            rows = out_of_range.count_rows(cursor, schema, name, dates)
            cursor.execute("UPDATE halves SET rows = ? WHERE from_date = ?", [rows, dates[0]])
        cursor.execute(f"INSERT INTO {journal} BY NAME SELECT * FROM halves")
        cursor.execute("DROP TABLE halves")
