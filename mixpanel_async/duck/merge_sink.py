"""A chunk's transaction that merges rows into dates that the table holds, in place of a `TableSink`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async.duck import journal, out_of_range
from mixpanel_async.duck.keys import HASH, KEY, PROCESSED, duplicates_of
from mixpanel_async.duck.out_of_range import WITHIN
from mixpanel_async.duck.schema import EVENT_NAMES, EVENTS_COLUMNS
from mixpanel_async.duck.table_sink import INSERT

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from arro3.core import RecordBatch

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.duck.schema import Schema
    from mixpanel_async.duck.workbench import Workbench
    from mixpanel_async.records import ChunkCounts, ChunkRecord

_MERGED = "temp.main.merged"
_SINCE = "coalesce(TRY_CAST((properties->'$.mp_processing_time_ms')::VARCHAR AS BIGINT) >= $since, false)"
"""As Mixpanel's filter has it: a text is not compared. Without TRY, which in a filter crashes DuckDB 1.5.0."""

_DELETE_OTHERS = f"DELETE FROM {_MERGED} WHERE NOT (({WITHIN}) AND {_SINCE})"
_KEYS = (
    f"{HASH} AS hash, encode(event_name) AS name, encode(distinct_id) AS id, event_time AS time, "
    "encode(insert_id) AS key"
)
_IS_OLDER = f"""rowid IN (
    SELECT row FROM (SELECT rowid AS row, {_KEYS} FROM {{table}} WHERE {WITHIN}) AS old
    JOIN (SELECT DISTINCT {_KEYS} FROM {_MERGED}) AS new
    ON old.hash = new.hash AND old.name = new.name AND old.time = new.time AND old.key = new.key
    AND old.id IS NOT DISTINCT FROM new.id
)"""
_DELETE_DUPLICATES = (
    f"DELETE FROM {_MERGED} WHERE rowid IN "
    f"({duplicates_of(f'SELECT rowid AS row, properties, {KEY}, {HASH} AS hash FROM {_MERGED}', processed=PROCESSED)})"
)


class MergeSink:
    """A `ChunkSink`: of dates that the table holds, all rows that Mixpanel processed since a time.

    They replace the table's rows of these dates that were processed since then, and older ones with the same keys. So
    rows without a key are not doubled either. Rows whose own time lies outside the dates are left out: a chunk that
    replaces the dates brings them. The dates stay as final as they were.
    """

    needs_events = False
    rejected_in = "_mixpanel_rejected"

    def __init__(
        self,
        schema: Schema,
        bench: Workbench,
        table: str,
        dates: DateChunk,
        *,
        since: dt.datetime,
    ) -> None:
        """The rows were processed at `since` (aware) or later."""
        self._schema = schema
        self._name = table
        self._table = schema.table(table)
        self._dates = dates
        self._since = int(since.timestamp() * 1000)
        self._cursor = bench.cursor
        self._rows = bench.to_insert
        self._is_over = False
        self._rejected = 0

    def begin(self) -> None:
        """Open the transaction."""
        self._cursor.execute("BEGIN")
        self._cursor.execute(f"CREATE OR REPLACE TEMP TABLE merged {EVENTS_COLUMNS}")

    def insert(self, rows: Sequence[RecordBatch]) -> int:
        """Put the rows that are marked aside; return how many."""
        with self._rows.holding(rows):
            return int(self._cursor.execute(INSERT.format(table=_MERGED)).fetchall()[0][0])

    def delete_duplicates(self, inserted: int) -> int:  # noqa: ARG002 - of the protocol
        """Delete duplicates that lie in different inserts of a long chunk; return how many."""
        return int(self._cursor.execute(_DELETE_DUPLICATES).fetchall()[0][0])

    def reject(self, lines: Sequence[RejectedLine]) -> None:
        """Keep lines that are not events and that no earlier request brought."""
        self._rejected += journal.add_rejected(self._cursor, self._schema, self._name, self._dates, lines)

    def commit(self, record: ChunkRecord, counts: ChunkCounts) -> ChunkCounts:
        """Merge, write the journal and commit. Return the counts, with how many rows more the table has.

        If another process has requested the dates later, its rows stay.
        """
        if journal.is_newer(self._cursor, self._schema, self._name, self._dates, record.fetched_at):
            self.roll_back()
            return replace(counts, rows=0, rejected=0, first_rejected=None)
        before = self._count()
        self._execute(_DELETE_OTHERS)
        self._delete(_SINCE, since=self._since)
        self._delete(_IS_OLDER.format(table=self._table))
        self._cursor.execute(f"INSERT INTO {self._table} ({EVENT_NAMES}) SELECT {EVENT_NAMES} FROM {_MERGED}")
        more = max(0, self._count() - before)
        journal.record_merge(self._cursor, self._schema, self._name, record, self._rejected)
        self._commit()
        return replace(counts, rows=more, rejected=self._rejected, first_rejected=None)

    def commit_rejected(self) -> None:
        """Never called: a merge without any event is whole."""
        raise NotImplementedError

    def roll_back(self) -> None:
        """Undo everything; do nothing if it is over."""
        if self._is_over:
            return
        self._is_over = True
        with suppress(duckdb.Error):  # as for a `TableSink`
            self._cursor.execute("ROLLBACK")

    def _commit(self) -> None:
        self._cursor.execute(f"DROP TABLE {_MERGED}")
        self._cursor.execute("COMMIT")
        self._is_over = True

    def _count(self) -> int:
        found = self._execute(f"SELECT count(*) FROM {{table}} WHERE {WITHIN}")
        return int(found.fetchall()[0][0])

    def _delete(self, which: str, **values: object) -> None:
        out_of_range.delete_within(self._cursor, self._schema, self._name, self._dates, which, **values)

    def _execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        """Run a statement, which may use `{table}`, `$first`, `$last` and `$since`."""
        values = {"first": self._dates[0], "last": self._dates[1], "since": self._since}
        used = {name: value for name, value in values.items() if f"${name}" in statement}
        return self._cursor.execute(statement.format(table=self._table), used)
