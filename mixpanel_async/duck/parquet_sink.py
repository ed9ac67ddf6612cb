"""A chunk's rows as Parquet files, one for each date, without a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mixpanel_async.duck.exports import copy_to_parquet
from mixpanel_async.duck.keys import HASH, KEY, PROCESSED, counts_of, duplicates_of
from mixpanel_async.duck.row_buffer import PROPERTIES
from mixpanel_async.duck.schema import EVENT_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from arro3.core import RecordBatch

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.duck.workbench import Workbench
    from mixpanel_async.records import ChunkCounts, ChunkRecord


class Files(Protocol):
    """Where a chunk's files go. Its methods block."""

    @property
    def rejected_in(self) -> str:
        """Where `writing_rejected` writes, for messages."""
        ...

    def writing(self, date: str) -> AbstractContextManager[Path]:
        """Yield a path to write the rows of a date to; the file is whole or absent, and not valid yet."""
        ...

    def writing_rejected(self) -> AbstractContextManager[Path]:
        """Yield a path to write the lines to that are not events."""
        ...

    def publish(
        self, record: ChunkRecord, counts: ChunkCounts, rows: Mapping[str, int], *, is_atomic: bool
    ) -> ChunkCounts:
        """Make the files valid. `rows` has how many each date has; a date without rows may be missing, and has no file.

        `is_atomic`: whether rows have times outside the chunk's dates. Return the counts of what is valid then.
        """
        ...


_ROWS_COLUMNS = """(
    event_name VARCHAR NOT NULL,
    event_time TIMESTAMP NOT NULL,
    distinct_id VARCHAR,
    insert_id VARCHAR,
    properties VARCHAR NOT NULL
)"""
_REJECTED_COLUMNS = "(from_date DATE, to_date DATE, line_number BIGINT, reason VARCHAR, line BLOB)"

_INSERT = f"""
    INSERT INTO temp.chunk_rows
    SELECT event_name, make_timestamp(micros), distinct_id, insert_id, {PROPERTIES} FROM to_insert WHERE marked = 1
"""
_ROWS = f"SELECT rowid AS row, properties, {KEY}, {HASH} AS hash FROM temp.chunk_rows"
_DELETE_DUPLICATES = f"DELETE FROM temp.chunk_rows WHERE rowid IN ({duplicates_of(_ROWS, processed=PROCESSED)})"
_DATE = "greatest(least(event_time::DATE, DATE '{last}'), DATE '{first}')"
"""A row's date: that of its time, or the nearest one of its chunk."""

_OTHER_BYTES = 100
"""Of the other columns of a row: a guess."""


class ParquetSink:
    """A `ChunkSink`: the rows are in a temporary table until `commit` writes them. No transaction is needed: nobody
    sees that table, and files are valid only when they are published.
    """

    needs_events = True

    def __init__(self, bench: Workbench, files: Files, dates: DateChunk) -> None:
        self._cursor = bench.cursor
        self._rows = bench.to_insert
        self._files = files
        self._dates = dates
        self._date = _DATE.format(first=dates[0], last=dates[1])

    @property
    def rejected_in(self) -> str:
        """See `ChunkSink`."""
        return self._files.rejected_in

    def begin(self) -> None:
        """Create the temporary tables."""
        self._cursor.execute(f"CREATE OR REPLACE TEMP TABLE chunk_rows {_ROWS_COLUMNS}")
        self._cursor.execute(f"CREATE OR REPLACE TEMP TABLE chunk_rejected {_REJECTED_COLUMNS}")

    def insert(self, rows: Sequence[RecordBatch]) -> int:
        """Insert the rows that are marked; return how many."""
        with self._rows.holding(rows):
            return int(self._cursor.execute(_INSERT).fetchall()[0][0])

    def delete_duplicates(self, inserted: int) -> int:  # noqa: ARG002 - only a table needs to check it
        """Delete duplicates that lie in different inserts; return how many."""
        ((_, with_key, keys),) = self._cursor.execute(counts_of(_ROWS)).fetchall()
        return 0 if with_key == keys else int(self._cursor.execute(_DELETE_DUPLICATES).fetchall()[0][0])

    def reject(self, lines: Sequence[RejectedLine]) -> None:
        """Keep lines that are not events."""
        self._cursor.execute(
            "INSERT INTO temp.chunk_rejected SELECT ?, ?, unnest(?::BIGINT[]), unnest(?::VARCHAR[]), unnest(?::BLOB[])",
            [
                *self._dates,
                [line.line_number for line in lines],
                [line.reason for line in lines],
                [line.line for line in lines],
            ],
        )

    def commit(self, record: ChunkRecord, counts: ChunkCounts) -> ChunkCounts:
        """Write the files, and publish them."""
        query = (
            f"SELECT {self._date}::VARCHAR, count(*), count(*) FILTER (event_time::DATE <> {self._date}), "
            f"avg(strlen(properties)) + {_OTHER_BYTES} FROM temp.chunk_rows GROUP BY ALL ORDER BY ALL"
        )
        found = self._cursor.execute(query).fetchall()
        for date, _, _, row_bytes in found:
            self._write(date, row_bytes)
        if counts.rejected:
            self._write_rejected()
        is_atomic = any(outside for _, _, outside, _ in found)
        published = self._files.publish(record, counts, {date: rows for date, rows, *_ in found}, is_atomic=is_atomic)
        self._drop()
        return published

    def commit_rejected(self) -> None:
        """Write the lines that are not events; what is there for the chunk's dates stays."""
        self._write_rejected()
        self._drop()

    def roll_back(self) -> None:
        """Do nothing: the temporary tables end with the cursor, and files that were not published are not valid."""

    def _write(self, date: str, row_bytes: float) -> None:
        with self._files.writing(date) as path:
            query = f"SELECT {EVENT_NAMES} FROM temp.chunk_rows WHERE {self._date} = DATE '{date}'"
            copy_to_parquet(self._cursor, query, path, row_bytes)

    def _write_rejected(self) -> None:
        with self._files.writing_rejected() as path:
            copy_to_parquet(self._cursor, "FROM temp.chunk_rejected ORDER BY line_number", path)

    def _drop(self) -> None:
        self._cursor.execute("DROP TABLE temp.chunk_rows")
        self._cursor.execute("DROP TABLE temp.chunk_rejected")
