"""Rows held in memory until they are inserted, duplicates left out.

DuckDB writes what a transaction inserts straight to its place in the file, once, unless the transaction deletes some of
it again: then all of it goes through the write-ahead log, too. So duplicates are looked for before the insert.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np

from mixpanel_async.decode.repeated_ids import IdSet
from mixpanel_async.duck.keys import KEY, older_of
from mixpanel_async.duck.row_buffer import RowBuffer
from mixpanel_async.records import ChunkCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from arro3.core import RecordBatch
    from numpy.typing import NDArray

    from mixpanel_async.duck.workbench import Workbench

_OLDER = older_of(
    f"SELECT row, processed, {KEY} FROM (SELECT *, make_timestamp(micros) AS event_time FROM held WHERE marked = 1)",
    processed="processed",
)

_DAY = 86_400_000_000
"""Microseconds."""

HELD_FOR_DUPLICATES = 128 << 20
"""Bytes of rows that may be held because their insert id occurs again. If there are more, all are inserted, and
duplicates are deleted from the table at the end."""

HELD_FOR_DAY = 32 << 20
"""Bytes of rows that may be held because their day goes on. If there are more, they are inserted."""


class DedupBuffer:
    """Holds the rows of one chunk, and inserts them without duplicates."""

    def __init__(
        self,
        bench: Workbench,
        insert: Callable[[Sequence[RecordBatch]], int],
        *,
        deduplicate: bool,
    ) -> None:
        """`insert` is that of a `ChunkSink`."""
        self.rows = RowBuffer()
        """The rows that are held; add to them."""
        self.inserts = 0
        """How often rows were inserted. More than once: duplicates may lie in different inserts."""
        self._bench = bench
        self._insert_rows = insert
        self._deduplicate = deduplicate
        self._waiting = RowBuffer()
        self._repeated = IdSet()
        self._inserted = self._duplicates = 0
        self._span: tuple[dt.date, dt.date] | None = None

    @property
    def counts(self) -> ChunkCounts:
        """What was inserted so far."""
        return ChunkCounts(self._inserted, self._duplicates, span=self._span)

    def hold_for_duplicates(self, insert_ids: IdSet) -> None:
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

        Rows of a repeated id are kept, up to `HELD_FOR_DUPLICATES`. So are those of the last row's day, if there are
        several days, up to `HELD_FOR_DAY`: in a body that goes from day to day, duplicates are then never in different
        inserts. `HELD_FOR_DAY` is half of `chunk_loader.HELD`, after which this is called, so a row is seldom copied
        twice.
        """
        is_event, waits = self.rows.flags("is_event"), self._waits()
        waiting = self._nbytes(waits)
        # If a quarter comes at once, the rest will not fit either: then it need not be copied.
        if waiting >= HELD_FOR_DUPLICATES / 4 or self._waiting.nbytes + waiting >= HELD_FOR_DUPLICATES:
            self._stop_waiting()
            return
        of_last_day = self._of_last_day(is_event & ~waits)
        self._insert(is_event & ~waits & ~of_last_day)
        self._waiting.extend(self.rows.copied(is_event & waits).joined())
        self.rows = self.rows.copied(of_last_day)
        if self.rows.nbytes >= HELD_FOR_DAY:
            self._insert(np.ones(len(self.rows), np.bool_))
            self.rows = RowBuffer()
        if self._waiting.nbytes >= HELD_FOR_DUPLICATES:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        """Insert all rows, and hold none for duplicates from now on."""
        self._repeated = IdSet()
        self.flush()

    def _waits(self) -> NDArray[np.bool_]:
        if not len(self._repeated):
            return np.zeros(len(self.rows), np.bool_)
        return self._repeated.contains(self.rows.insert_ids()) & self.rows.flags("has_key")

    def _nbytes(self, which: NDArray[np.bool_]) -> float:
        """Return about how many bytes these rows have."""
        return float(which.mean()) * self.rows.nbytes

    def _of_last_day(self, which: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which of these rows are of the last one's day; none if that is all, or too many to be kept."""
        if not which.any():
            return which
        days = self.rows.numbers("micros") // _DAY
        last = which & (days == days[which][-1])
        keep = last.sum() < which.sum() and self._nbytes(last) < HELD_FOR_DAY
        return last if keep else np.zeros_like(last)

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
        with self._bench.held.holding(self.rows.marked(suspects)):
            return [row for (row,) in self._bench.cursor.execute(_OLDER).fetchall()]


def _date(micros: np.int64) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=int(micros // _DAY))
