"""Parquet files of an export into a table, a chunk in a transaction, as if the chunks had been fetched."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mixpanel_async.decode.event import RejectedLine
from mixpanel_async.duck import copies, journal
from mixpanel_async.duck.files import as_literal
from mixpanel_async.duck.projects import record_project
from mixpanel_async.duck.schema import EVENT_NAMES, as_utc, table_exists
from mixpanel_async.duck.table_sink import TableSink
from mixpanel_async.duck.transactions import transaction
from mixpanel_async.duck.translation import translate_errors
from mixpanel_async.duck.workbench import Workbench
from mixpanel_async.records import ChunkCounts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import duckdb

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.duck.schema import Schema
    from mixpanel_async.records import ChunkRecord
    from mixpanel_async.selections import EventSelection


class Reading(Protocol):
    """Yields the path of a file by its name."""

    def __call__(self, name: str) -> AbstractContextManager[Path]:
        """It is there while the block runs."""
        ...


@dataclass(frozen=True, slots=True)
class ParquetChunk:
    """Dates that came in one chunk, and the files that are valid for them."""

    record: ChunkRecord
    files: Sequence[str]
    duplicates: int
    rejected_file: str | None
    last_complete_day: dt.date | None
    """The last of its dates that was over when it was fetched."""

    @property
    def dates(self) -> DateChunk:
        """First and last date."""
        return self.record.dates


def load_chunks(  # noqa: PLR0913 - what is loaded, and where to
    cursor: duckdb.DuckDBPyConnection,
    schema: Schema,
    *,
    name: str,
    project: str,
    selection: EventSelection,
    deduplicate: bool,
    chunks: Sequence[ParquetChunk],
    reading: Reading,
) -> int:
    """Load the chunks that the table does not hold yet, in place of what it holds for their dates. Return their rows.

    Raises:
        SelectionMismatchError, StoreError: as `journal.check_table`; or a file cannot be read.
    """
    with translate_errors(f"Table {name!r}"):
        journal.check_table(cursor, schema, name, selection, project=project, append=False, resume=True)
        if not table_exists(cursor, schema, name):
            journal.create_table(cursor, schema, name, selection, project=project)
        held = set(
            cursor.execute(
                "SELECT from_date::VARCHAR, to_date::VARCHAR, fetched_at "
                f"FROM {schema}._mixpanel_chunks WHERE table_name = lower(?)",
                [name],
            ).fetchall()
        )
        held = {(first, last, as_utc(fetched_at)) for first, last, fetched_at in held}
        pending = [chunk for chunk in chunks if (*chunk.dates, chunk.record.fetched_at) not in held]
        dates = [chunk.dates for chunk in pending]
        journal.check_not_cut(cursor, schema, name, dates)
        journal.align(cursor, schema, name, dates)
        with transaction(cursor):
            copies.drop(cursor, schema, name)
            copies.put_back(cursor, schema, name, dates, deduplicate=deduplicate)
        rows = sum(_load(cursor, schema, name, chunk, reading, deduplicate=deduplicate) for chunk in pending)
        with transaction(cursor):
            if pending:
                record_project(cursor, schema, name, project)
            return rows - sum(copies.drop(cursor, schema, name).values())


def _load(  # noqa: PLR0913 - as above
    cursor: duckdb.DuckDBPyConnection,
    schema: Schema,
    name: str,
    chunk: ParquetChunk,
    reading: Reading,
    *,
    deduplicate: bool,
) -> int:
    bench = Workbench(cursor.cursor())
    sink = TableSink(
        schema, bench, name, chunk.dates, last_complete_day=chunk.last_complete_day, deduplicate=deduplicate
    )
    try:
        sink.begin()
        rejected = _read_rejected(bench.cursor, chunk, reading)
        if rejected:
            sink.reject(rejected)
        rows = 0
        span: list[dt.date] = []
        for file in chunk.files:
            with reading(file) as path:
                source = f"read_parquet({as_literal(str(path))}, hive_partitioning = false)"
                query = f"SELECT min(event_time)::DATE, max(event_time)::DATE FROM {source}"
                span += bench.cursor.execute(query).fetchall()[0]
                rows += sink.insert_from(f"SELECT {EVENT_NAMES} FROM {source}")
        ends = (min(span), max(span)) if span else None
        counts = ChunkCounts(rows, chunk.duplicates, len(rejected), span=ends)
        return sink.commit(chunk.record, counts).rows
    except BaseException:
        sink.roll_back()
        raise
    finally:
        bench.close()


def _read_rejected(cursor: duckdb.DuckDBPyConnection, chunk: ParquetChunk, reading: Reading) -> list[RejectedLine]:
    if chunk.rejected_file is None:
        return []
    with reading(chunk.rejected_file) as path:
        query = f"SELECT line_number, reason, line FROM read_parquet({as_literal(str(path))}) ORDER BY line_number"
        return [RejectedLine(*row) for row in cursor.execute(query).fetchall()]
