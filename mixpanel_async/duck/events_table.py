"""A chunk's rows: one transaction from the first block to the journal row."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import duckdb

from mixpanel_async.duck import journal as chunks
from mixpanel_async.duck import out_of_range as strays
from mixpanel_async.duck.connection import in_words
from mixpanel_async.duck.dedup import Window
from mixpanel_async.duck.duplicates import HASH, KEY, counts_of, duplicates_of
from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from arro3.core import RecordBatch

    from mixpanel_async.duck.connection import Database
    from mixpanel_async.duck.dedup import Inserted, RefusedRow
    from mixpanel_async.duck.journal import ChunkRecord, Dates

LOCAL_ROWS = 36_028_797_018_960_000
"""DuckDB numbers the rows of an open transaction from here (`MAX_ROW_ID`), so they can be told from all others.

It is no documented number: each use of it checks that it finds as many rows as were inserted.
"""

WINDOW = 64 << 20
"""Bytes of a chunk's text that are held before they are inserted: all of it, for most chunks."""

_ROWS = f"SELECT rowid AS row, properties, {KEY}, {HASH} AS hash FROM {{table}} WHERE rowid >= {LOCAL_ROWS}"
_COUNTS = counts_of(_ROWS)
_PROCESSED = "TRY_CAST(TRY(properties->>'$.mp_processing_time_ms') AS BIGINT)"

# As in a window, but after the insert: the duplicates lie in different windows of a long chunk.
_DROP = f"DELETE FROM {{table}} WHERE rowid IN ({duplicates_of(_ROWS, processed=_PROCESSED)})"


class Line(Protocol):
    """A line that is no event."""

    @property
    def line_number(self) -> int:
        """From 1, in its body."""
        ...

    @property
    def reason(self) -> str:
        """Why it is none."""
        ...

    @property
    def line(self) -> bytes:
        """Word for word."""
        ...


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit made true."""

    rows: int
    duplicates: int


class ChunkTransaction:
    """One chunk, on a cursor of its own. Each method is one thread's work, and never two at a time.

    After `commit` or `roll_back` it is over and its cursor closed.
    """

    def __init__(
        self, database: Database, table: str, dates: Dates, *, deduplicate: bool, final_to: dt.date | None
    ) -> None:
        self._database = database
        self._schema = database.schema
        self._name = table
        self._table = database.schema.table(table)
        self._dates = dates
        self._deduplicate = deduplicate
        self._final_to = final_to
        self._over = False
        self._rows = 0
        self._duplicates = 0
        self._rejected = 0
        self._windows: list[Inserted] = []
        self._cursor = database.cursor()
        self._window = Window(self._cursor, self._table)

    def begin(self) -> None:
        """Open the transaction, and take away in it what the table holds for these dates."""
        with self._explained():
            self._cursor.execute("BEGIN")
            chunks.replace(self._cursor, self._schema, self._name, self._dates)

    def await_copies(self, insert_ids: set[str]) -> None:
        """Hold rows of these ids in memory, as many as may be, until `commit`: copies of them may lie far apart."""
        self._window.await_copies(insert_ids)

    def insert(self, blocks: Sequence[RecordBatch]) -> list[RefusedRow]:
        """Insert blocks; gives the rows that DuckDB could not make an event of, or that need a stricter look."""
        self._database.make_room(max(block.nbytes // max(1, block.num_rows) for block in blocks))
        with self._explained():
            if self._window.nbytes >= WINDOW:
                self._count(self._window.insert_settled(deduplicate=self._deduplicate))
            return self._window.read(blocks)

    def insert_judged(self, block: RecordBatch) -> None:
        """Insert rows that were found to be events after all.

        Raises:
            StoreError: DuckDB does not think so.
        """
        with self._explained():
            self._window.read_judged(block)

    def reject(self, lines: Sequence[Line]) -> None:
        """Keep lines that are no events."""
        self._rejected += len(lines)
        with self._explained():
            self._cursor.executemany(
                f"INSERT INTO {self._schema}._mixpanel_rejected VALUES (lower(?), ?, ?, ?, ?, ?)",
                [[self._name, *self._dates, line.line_number, line.reason, line.line] for line in lines],
            )

    def commit(self, chunk: ChunkRecord) -> Committed:
        """Drop duplicates, write the journal, commit.

        After an error call `roll_back`. Where the error came of the disk the chunk may be there for all that, whole:
        the journal tells, once the file is opened anew.
        """
        with self._explained():
            self._count(self._window.insert(deduplicate=self._deduplicate))
            if len(self._windows) > 1 and self._deduplicate:
                self._drop_duplicates()
            astray = self._has_strays() and strays.keep(self._cursor, self._schema, self._name, self._dates, LOCAL_ROWS)
            self._journal(chunk, divisible=not astray)
            self._cursor.execute("COMMIT")
        self._over = True
        self._cursor.close()
        return Committed(self._rows, self._duplicates)

    def roll_back(self) -> None:
        """Undo all of it; nothing where it is over."""
        if self._over:
            return
        self._over = True
        try:
            self._cursor.execute("ROLLBACK")
        except duckdb.Error:
            pass  # a COMMIT that failed, or a database that was lost, has ended the transaction already
        finally:
            self._cursor.close()

    def _count(self, inserted: Inserted) -> None:
        self._rows += inserted.rows
        self._duplicates += inserted.duplicates
        self._windows.append(inserted)

    def _has_strays(self) -> bool:
        first, last = map(dt.date.fromisoformat, self._dates)
        spans = (each.dates for each in self._windows if each.dates)
        return any(earliest < first or last < latest for earliest, latest in spans)

    def _journal(self, chunk: ChunkRecord, *, divisible: bool) -> None:
        """One row for the chunk, or two: for its dates that are over, and for those that may still grow."""
        first, last = map(dt.date.fromisoformat, self._dates)
        over = self._final_to
        counts = {"rows": self._rows, "duplicates": self._duplicates, "rejected": self._rejected}
        if divisible and over is not None and first <= over < last:
            count = f"SELECT count(*) FROM {self._table} WHERE rowid >= {LOCAL_ROWS} AND event_time < ?::DATE + 1"
            settled = int(self._cursor.execute(count, [over]).fetchall()[0][0])
            whole = replace(chunk, dates=(self._dates[0], over.isoformat()))
            chunks.record(self._cursor, self._schema, self._name, whole, final=True, **{**counts, "rows": settled})
            chunks.shorten_rejected(self._cursor, self._schema, self._name, self._dates, over)
            first = over + dt.timedelta(days=1)
            chunk = replace(chunk, dates=(first.isoformat(), self._dates[1]), bytes=0, retries=0)
            counts = {"rows": self._rows - settled, "duplicates": 0, "rejected": 0}
        final = over is not None and last <= over
        chunks.record(self._cursor, self._schema, self._name, chunk, final=final, **counts)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Tell what DuckDB could not do, without the values in its texts."""
        try:
            yield
        except duckdb.Error as error:
            dates = " to ".join(self._dates)
            raise StoreError(f"{dates} could not be written to {self._name}: {in_words(error)}") from None

    def _drop_duplicates(self) -> None:
        counts = self._cursor.execute(_COUNTS.format(table=self._table)).fetchall()[0]
        if counts[0] != self._rows:
            raise StoreError(
                f"{counts[0]} rows of {self._dates} are found and {self._rows} were inserted: this DuckDB "
                "numbers rows in another way. Pass deduplicate=False, or use DuckDB 2.0."
            )
        if counts[1] != counts[2]:
            dropped = int(self._cursor.execute(_DROP.format(table=self._table)).fetchall()[0][0])
            self._rows -= dropped
            self._duplicates += dropped
