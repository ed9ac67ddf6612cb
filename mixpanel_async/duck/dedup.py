"""A window of a chunk: rows that are held in memory until they are inserted, duplicates left out, in one statement.

DuckDB writes what a transaction inserts straight to its place in the file, once, unless the transaction deletes a
part of it again: then all of it goes through the write-ahead log too. So duplicates are looked for before the insert.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from arro3.core import RecordBatchReader

from mixpanel_async.duck.arrow_input import Feed
from mixpanel_async.duck.duplicates import KEY, older_of
from mixpanel_async.duck.rows import BLOCK, MARKED, NAME, PROPERTIES, Rows
from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    from arro3.core import RecordBatch
    from numpy.typing import NDArray

# The properties stay the text they came as, since json_extract would write their numbers anew. TRY makes a NULL of
# what the parser refuses, so that one bad value fails no block; the parser proves the UTF-8 of both texts, too.
_PARSED = f"""
    SELECT line, event, properties, name AS event_name, coalesce(micros, 0) AS micros,
        list[2] AS distinct_id, list[3] AS insert_id, TRY_CAST(list[4] AS BIGINT) AS processed,
        coalesce({{condition}}, false) AS taken
    FROM (
        SELECT *, TRY(json_extract_string(event, '$')) AS name, TRY((list[1]::DOUBLE * 1e6)::BIGINT) AS micros
        FROM (
            SELECT *, TRY(json_extract_string(
                properties, ['$.time', '$.distinct_id', '$."$insert_id"', '$.mp_processing_time_ms']
            )) AS list
            FROM (SELECT line, suspect, {NAME} AS event, {PROPERTIES} AS properties FROM block)
        )
    )
"""

_USABLE = (
    "name IS NOT NULL AND micros BETWEEN epoch_us(TIMESTAMP '0001-01-01') "
    "AND epoch_us(TIMESTAMP '9999-12-31 23:59:59.999999')"
)

# DuckDB's parser takes these, and no other does. They may also stand inside a text: that is judged elsewhere.
_STRICT = f"{_USABLE} AND suspect = 0 AND NOT contains(properties, 'NaN') AND NOT contains(properties, 'Infinity')"

_READ = f"""
    SELECT line, event_name, micros, distinct_id, insert_id, processed,
        hash({KEY.replace("event_time", "micros")}) AS hash,
        taken::UTINYINT AS taken, (taken AND insert_id IS NOT NULL)::UTINYINT AS keyed
    FROM ({_PARSED})
"""

# As bytes: what is no UTF-8 is refused too.
_REFUSED = f"SELECT line, encode(event), encode(properties) FROM ({_PARSED}) WHERE NOT taken"

_TIMED = "(SELECT *, make_timestamp(micros) AS event_time FROM held WHERE marked = 1)"
_OLDER = older_of(f"SELECT row, processed, {KEY} FROM {_TIMED}", processed="processed")
_INSERT = f"INSERT INTO {{table}} SELECT event_name, event_time, distinct_id, insert_id, {PROPERTIES} FROM {_TIMED}"

_DAY = 86_400_000_000
"""Microseconds."""

AWAITING = 256 << 20
"""Bytes of rows that may await their copies. Beyond, they are inserted, and duplicates are deleted from the table."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row of a block that is not taken, for a stricter and more patient eye."""

    line: int
    event: bytes
    properties: bytes


@dataclass(frozen=True, slots=True)
class Inserted:
    """What was inserted."""

    rows: int = 0
    duplicates: int = 0
    """Rows that were left out."""
    dates: tuple[dt.date, dt.date] | None = None
    """The first and the last date of the rows; `None` where there is no row."""


class Window:
    """Blocks on a cursor, which must have no transaction yet."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, table: str) -> None:
        self._cursor = cursor
        self._table = table
        self._block = Feed(cursor, "block", BLOCK)
        self._marked = Feed(cursor, "held", MARKED)
        self._strict = cursor.sql(_READ.format(condition=_STRICT))
        self._held = Rows()
        self._awaiting = Rows()
        self._repeated: set[str] = set()

    @property
    def nbytes(self) -> int:
        """Of what is held, but for what awaits its copies: that is `AWAITING` at the most."""
        return self._held.nbytes

    def read(self, blocks: Sequence[RecordBatch]) -> list[RefusedRow]:
        """Take blocks in; gives the rows that DuckDB made no event of, or that need a stricter look."""
        with self._block.of(blocks):
            if self._read(blocks, self._strict):
                return []
            refused = self._cursor.execute(_REFUSED.format(condition=_STRICT)).fetchall()
        return [RefusedRow(*row) for row in refused]

    def read_judged(self, block: RecordBatch) -> None:
        """Take rows in that were found to be events after all.

        Raises:
            StoreError: DuckDB does not think so.
        """
        with self._block.of([block]):
            if not self._read([block], self._cursor.sql(_READ.format(condition=_USABLE))):
                raise StoreError(f"DuckDB refuses some of {block.num_rows} events that are valid JSON.")

    def await_copies(self, insert_ids: set[str]) -> None:
        """Hold rows of these ids until `insert`, or until they are too many."""
        self._repeated = insert_ids

    def insert(self, *, deduplicate: bool) -> Inserted:
        """Insert what is held, and hold nothing any more."""
        self._awaiting.extend(self._held)
        self._held, self._awaiting = self._awaiting, Rows()
        if not len(self._held):
            return Inserted()
        inserted = self._insert(self._held.flags("taken"), deduplicate=deduplicate)
        self._held = Rows()
        return inserted

    def insert_settled(self, *, deduplicate: bool) -> Inserted:
        """The same, but for rows whose duplicates may still come: those that await them, and the latest day's, if there
        is an earlier one.

        Where a body goes from day to day, no duplicate is in another window then.
        """
        taken, awaiting = self._held.flags("taken"), self._awaits()
        later = self._of_the_latest_day(taken) & ~awaiting
        inserted = self._insert(taken & ~awaiting & ~later, deduplicate=deduplicate)
        self._awaiting.extend(self._held.copied(taken & awaiting).joined())
        self._held = self._held.copied(taken & later)
        if self._awaiting.nbytes >= AWAITING:
            self._awaiting.extend(self._held)
            self._held, self._awaiting, self._repeated = self._awaiting, Rows(), set()
        return inserted

    def _awaits(self) -> NDArray[np.bool_]:
        if not self._repeated:
            return np.zeros(len(self._held), np.bool_)
        return np.fromiter((insert_id in self._repeated for insert_id in self._held.insert_ids()), np.bool_)

    def _of_the_latest_day(self, taken: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows are of the last of several days; none where there is but one."""
        days = self._held.numbers("micros") // _DAY
        several = taken.any() and days[taken].min() < days[taken].max()
        return days == days[taken].max() if several else np.zeros_like(taken)

    def _insert(self, which: NDArray[np.bool_], *, deduplicate: bool) -> Inserted:
        if not which.any():
            return Inserted()
        duplicates = self._duplicates(which) if deduplicate else []
        which[duplicates] = False
        with self._marked.of(self._held.marked(which)):
            rows = int(self._cursor.execute(_INSERT.format(table=self._table)).fetchall()[0][0])
        times = self._held.numbers("micros")[which]
        return Inserted(rows, len(duplicates), (_date(times.min()), _date(times.max())))

    def _duplicates(self, which: NDArray[np.bool_]) -> list[int]:
        """The numbers of rows that repeat others: DuckDB compares those whose hashes come twice."""
        keyed = np.flatnonzero(which & self._held.flags("keyed"))
        hashes = self._held.numbers("hash")[keyed]
        order = hashes.argsort()
        again = hashes[order[1:]] == hashes[order[:-1]]
        if not again.any():
            return []
        suspects = np.zeros_like(which)
        suspects[keyed[order[1:][again]]] = True
        suspects[keyed[order[:-1][again]]] = True
        with self._marked.of(self._held.marked(suspects)):
            return [row for (row,) in self._cursor.execute(_OLDER).fetchall()]

    def _read(self, blocks: Sequence[RecordBatch], statement: duckdb.DuckDBPyRelation) -> bool:
        """Read blocks; gives whether all of their rows are taken."""
        read = RecordBatchReader.from_stream(statement).read_all().combine_chunks().to_batches()[0]
        lines = np.concatenate([block.column("line").to_numpy() for block in blocks])
        if not np.array_equal(read.column("line").to_numpy(), lines):
            raise StoreError("DuckDB gave rows in another order than they came: SET preserve_insertion_order = true.")
        columns, at = read.remove_column(0), 0
        for block in blocks:
            self._held.add(columns.slice(at, block.num_rows), block)
            at += block.num_rows
        return bool(read.column("taken").to_numpy().all())


def _date(micros: np.int64) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=int(micros // _DAY))
