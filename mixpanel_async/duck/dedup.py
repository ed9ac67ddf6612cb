"""Rows held in memory until they are inserted, duplicates left out.

DuckDB writes what a transaction inserts straight to its place in the file, once, unless the transaction deletes some of
it again: then all of it goes through the write-ahead log, too. So duplicates are looked for before the insert.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np

from mixpanel_async.duck.arrow_input import ArrowInput
from mixpanel_async.duck.keys import KEY, older_of
from mixpanel_async.duck.row_buffer import MARKED, RowBuffer
from mixpanel_async.records import ChunkCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb
    from arro3.core import RecordBatch
    from numpy.typing import NDArray

_OLDER = older_of(
    f"SELECT row, processed, {KEY} FROM (SELECT *, make_timestamp(micros) AS event_time FROM held WHERE marked = 1)",
    processed="processed",
)

_DAY = 86_400_000_000
"""Microseconds."""

HELD_FOR_DUPLICATES = 256 << 20
"""Bytes of rows that may be held because their insert id occurs again. If there are more, all are inserted, and
duplicates are deleted from the table at the end."""


class DedupBuffer:
    """Holds the rows of one chunk, and inserts them without duplicates."""

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        insert: Callable[[Sequence[RecordBatch]], int],
        *,
        deduplicate: bool,
    ) -> None:
        """`cursor` must have no transaction yet; `insert` is that of a `ChunkSink`."""
        self.rows = RowBuffer()
        """The rows that are held; add to them."""
        self.inserts = 0
        """How often rows were inserted. More than once: duplicates may lie in different inserts."""
        self._cursor = cursor
        self._held = ArrowInput(cursor, "held", MARKED)
        self._insert_rows = insert
        self._deduplicate = deduplicate
        self._waiting = RowBuffer()
        self._repeated: set[str] = set()
        self._inserted = self._duplicates = 0
        self._span: tuple[dt.date, dt.date] | None = None

    @property
    def counts(self) -> ChunkCounts:
        """What was inserted so far."""
        return ChunkCounts(self._inserted, self._duplicates, span=self._span)

    def hold_for_duplicates(self, insert_ids: set[str]) -> None:
        """Hold rows of these ids until `flush`, or until they are too many."""
        self._repeated = insert_ids

    def flush(self) -> None:
        """Insert all rows."""
        self._waiting.extend(self.rows)
        self.rows, self._waiting = self._waiting, RowBuffer()
        if len(self.rows):
            self._insert(self.rows.flags("is_event"))
        self.rows = RowBuffer()

    def flush_completed(self) -> None:
        """Insert rows whose duplicates have all come.

        Rows of a repeated id are kept. So are those of the latest day, if there are several days: in a body that goes
        from day to day, duplicates are then never in different inserts.
        """
        is_event, waits = self.rows.flags("is_event"), self._waits()
        later = self._of_the_latest_day(is_event) & ~waits
        self._insert(is_event & ~waits & ~later)
        self._waiting.extend(self.rows.copied(is_event & waits).joined())
        self.rows = self.rows.copied(is_event & later)
        if self._waiting.nbytes >= HELD_FOR_DUPLICATES:
            self._waiting.extend(self.rows)
            self.rows, self._waiting, self._repeated = self._waiting, RowBuffer(), set()

    def _waits(self) -> NDArray[np.bool_]:
        if not self._repeated:
            return np.zeros(len(self.rows), np.bool_)
        return np.fromiter((insert_id in self._repeated for insert_id in self.rows.insert_ids()), np.bool_)

    def _of_the_latest_day(self, is_event: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which rows are of the latest day; none if there is only one day."""
        days = self.rows.numbers("micros") // _DAY
        several = is_event.any() and days[is_event].min() < days[is_event].max()
        return days == days[is_event].max() if several else np.zeros_like(is_event)

    def _insert(self, which: NDArray[np.bool_]) -> None:
        self.inserts += 1
        if not which.any():
            return
        duplicates = self._find_duplicates(which) if self._deduplicate else []
        which[duplicates] = False
        self._inserted += self._insert_rows(self.rows.marked(which))
        self._duplicates += len(duplicates)
        times = self.rows.numbers("micros")[which]
        dates = [_date(times.min()), _date(times.max()), *(self._span or ())]
        self._span = min(dates), max(dates)

    def _find_duplicates(self, which: NDArray[np.bool_]) -> list[int]:
        """Return the numbers of duplicate rows: DuckDB compares those whose hashes occur more than once."""
        with_key = np.flatnonzero(which & self.rows.flags("has_key"))
        hashes = self.rows.numbers("hash")[with_key]
        order = hashes.argsort()
        again = hashes[order[1:]] == hashes[order[:-1]]
        if not again.any():
            return []
        suspects = np.zeros_like(which)
        suspects[with_key[order[1:][again]]] = True
        suspects[with_key[order[:-1][again]]] = True
        with self._held.holding(self.rows.marked(suspects)):
            return [row for (row,) in self._cursor.execute(_OLDER).fetchall()]


def _date(micros: np.int64) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=int(micros // _DAY))
