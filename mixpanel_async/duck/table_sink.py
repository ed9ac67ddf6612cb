"""A chunk's transaction on a table: its rows, its rejected lines and its journal row, all of them or none."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async.duck import copies, journal, out_of_range
from mixpanel_async.duck.keys import HASH, KEY, PROCESSED, counts_of, duplicates_of
from mixpanel_async.duck.row_buffer import PROPERTIES
from mixpanel_async.duck.schema import EVENT_NAMES
from mixpanel_async.errors import StoreError
from mixpanel_async.terminal import span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arro3.core import RecordBatch

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.duck.schema import Schema
    from mixpanel_async.duck.workbench import Workbench
    from mixpanel_async.records import ChunkCounts, ChunkRecord

FIRST_LOCAL_ROW = 36_028_797_018_960_000
"""DuckDB numbers the rows that an open transaction inserted from here on (`MAX_ROW_ID`), and all others below.

The number is not documented: `TableSink._check_numbers` comes before each use.
"""

INSERT = f"""
    INSERT INTO {{table}} ({EVENT_NAMES})
    SELECT event_name, make_timestamp(micros), distinct_id, insert_id, {PROPERTIES} FROM to_insert WHERE marked = 1
"""
_INSERTED = "{table} WHERE rowid >= {first}"
_ROWS = f"SELECT rowid AS row, properties, {KEY}, {HASH} AS hash FROM {_INSERTED}"
_COUNTS = counts_of(_ROWS)
_DELETE_DUPLICATES = f"DELETE FROM {{table}} WHERE rowid IN ({duplicates_of(_ROWS, processed=PROCESSED)})"


class TableSink:
    """A `ChunkSink`: one chunk of one table, on a workbench of its own."""

    needs_events = True
    rejected_in = "_mixpanel_rejected"

    def __init__(  # noqa: PLR0913 - each is one independent setting
        self,
        schema: Schema,
        bench: Workbench,
        table: str,
        dates: DateChunk,
        *,
        last_complete_day: dt.date | None,
        deduplicate: bool,
        has_nothing: bool = False,
    ) -> None:
        """A resume asks again for dates after `last_complete_day`; for all of them with `None`.

        With `has_nothing`, nothing is recorded for the chunk's dates that it would have to replace.

        With `deduplicate`, rows out of range will be compared with other chunks; see `copies`.
        """
        self._schema = schema
        self._name = table
        self._table = schema.table(table)
        self._dates = dates
        self._last_complete_day = last_complete_day
        self._deduplicate = deduplicate
        self._is_over = False
        self._has_old = not has_nothing
        self._cursor = bench.cursor
        self._rows = bench.to_insert

    def begin(self) -> None:
        """Open the transaction, and delete in it the lines that were kept when a chunk of these dates failed."""
        self._cursor.execute("BEGIN")
        if self._has_old:
            journal.delete_failed(self._cursor, self._schema, self._name, self._dates)

    def insert(self, rows: Sequence[RecordBatch]) -> int:
        """Insert the rows that are marked, in place of what the table held for these dates; return how many."""
        self._delete_old()
        with self._rows.holding(rows):
            return int(self._cursor.execute(INSERT.format(table=self._table)).fetchall()[0][0])

    def insert_from(self, query: str) -> int:
        """Insert the rows of a query, which has the table's columns, in place of what the table held for these dates;
        return how many.
        """
        self._delete_old()
        return int(self._cursor.execute(f"INSERT INTO {self._table} ({EVENT_NAMES}) {query}").fetchall()[0][0])

    def delete_duplicates(self, inserted: int) -> int:
        """Delete duplicates that lie in different inserts of a long chunk; return how many."""
        rows, with_key, keys = self._query_inserted(_COUNTS)
        self._check_numbers(rows, inserted)
        return 0 if with_key == keys else self._query_inserted(_DELETE_DUPLICATES)[0]

    def reject(self, lines: Sequence[RejectedLine]) -> None:
        """Keep lines that are not events in `_mixpanel_rejected`."""
        self._cursor.execute(
            f"INSERT INTO {self._schema}._mixpanel_rejected (table_name, from_date, to_date, line_number, reason, "
            "line, chunk_failed) "
            "SELECT lower(?), ?, ?, unnest(?::BIGINT[]), unnest(?::VARCHAR[]), unnest(?::BLOB[]), true",
            [
                self._name,
                *self._dates,
                [line.line_number for line in lines],
                [line.reason for line in lines],
                [line.line for line in lines],
            ],
        )

    def commit(self, record: ChunkRecord, counts: ChunkCounts) -> ChunkCounts:
        """Write the journal and commit."""
        self._delete_old()
        if counts.rejected:
            journal.accept_rejected(self._cursor, self._schema, self._name, self._dates)
        is_atomic = self._record_out_of_range(counts)
        self._record(record, counts, is_atomic=is_atomic)
        self._commit()
        return counts

    def commit_rejected(self) -> None:
        """Keep the rejected lines, as those of a chunk that failed; the table stays as it was."""
        self._commit()

    def roll_back(self) -> None:
        """Undo everything; do nothing if it is over."""
        if self._is_over:
            return
        self._is_over = True
        with suppress(duckdb.Error):  # a COMMIT that failed, or a database that was lost, has ended it already
            self._cursor.execute("ROLLBACK")

    def _delete_old(self) -> None:
        """Delete what the table holds for these dates, once."""
        if self._has_old:
            self._has_old = False
            journal.delete_chunks(self._cursor, self._schema, self._name, self._dates)

    def _commit(self) -> None:
        self._cursor.execute("COMMIT")
        self._is_over = True

    def _record_out_of_range(self, counts: ChunkCounts) -> bool:
        """Record rows whose own time lies outside the chunk's dates; return whether there are any."""
        first, last = map(dt.date.fromisoformat, self._dates)
        if counts.span is None or (first <= counts.span[0] and counts.span[1] <= last):
            return False
        self._check_numbers(self._query_inserted(f"SELECT count(*) FROM {_INSERTED}")[0], counts.rows)
        if self._deduplicate:
            copies.mark(self._cursor, self._schema, self._name, self._dates)
        return out_of_range.record(self._cursor, self._schema, self._name, self._dates, FIRST_LOCAL_ROW) > 0

    def _record(self, record: ChunkRecord, counts: ChunkCounts, *, is_atomic: bool) -> None:
        """Write one journal row, or two: one for dates that are complete, one for those that may still grow."""
        first, last = map(dt.date.fromisoformat, self._dates)
        complete = self._last_complete_day
        rows, duplicates, rejected = counts.rows, counts.duplicates, counts.rejected
        if not is_atomic and complete is not None and first <= complete < last:
            is_completed = f"event_time < DATE '{complete}' + 1"
            query = f"SELECT count(*), count(*) FILTER ({is_completed}) FROM {_INSERTED}"
            shown, completed = self._query_inserted(query)
            self._check_numbers(shown, counts.rows)
            complete_dates = replace(record, dates=(self._dates[0], complete.isoformat()))
            self._record_chunk(complete_dates, final=True, rows=completed, duplicates=duplicates, rejected=rejected)
            journal.shorten_rejected(self._cursor, self._schema, self._name, self._dates, complete)
            first = complete + dt.timedelta(days=1)
            record = replace(record, dates=(first.isoformat(), self._dates[1]), bytes=0, retries=0)
            rows, duplicates, rejected = rows - completed, 0, 0
        final = complete is not None and last <= complete
        self._record_chunk(record, final=final, rows=rows, duplicates=duplicates, rejected=rejected)

    def _query_inserted(self, statement: str) -> tuple[int, ...]:
        """Run a statement on the rows that this transaction inserted; return its row of numbers."""
        return self._cursor.execute(statement.format(table=self._table, first=FIRST_LOCAL_ROW)).fetchall()[0]

    def _check_numbers(self, shown: int, inserted: int) -> None:
        """Check that as many rows are found by their numbers as were inserted."""
        if shown != inserted:
            raise StoreError(
                f"{inserted} rows were inserted for {span(*self._dates)}, and the transaction shows {shown}: "
                "this DuckDB numbers rows in another way. Nothing was committed: install the duckdb release that this "
                "library was tested with."
            )

    def _record_chunk(self, record: ChunkRecord, *, final: bool, rows: int, duplicates: int, rejected: int) -> None:
        journal.record_chunk(
            self._cursor, self._schema, self._name, record,
            final=final, rows=rows, duplicates=duplicates, rejected=rejected,
        )  # fmt: skip
