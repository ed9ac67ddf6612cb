"""A chunk's blocks before they are in the table: read, held, freed of duplicates, and inserted in one statement.

DuckDB writes what a transaction inserts straight to its place in the file, once, unless the transaction deletes a
part of it again: then all of it goes through the write-ahead log too. So duplicates are looked for before the insert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema

from mixpanel_async.errors import StoreError
from mixpanel_async.store.duplicates import HASH, KEY, duplicates_of
from mixpanel_async.store.feed import PROPERTIES, Feed

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    import duckdb

# The properties stay the text they came as, since json_extract would write their numbers anew. TRY makes a NULL of
# what the parser refuses, so that one bad value fails no block.
_PARSED = r"""
    SELECT line, name AS event_name, time AS event_time, list[2] AS distinct_id, list[3] AS insert_id,
        TRY_CAST(list[4] AS BIGINT) AS processed, coalesce({condition}, false) AS taken, event, properties
    FROM (
        SELECT *,
            CASE WHEN contains(event, '\') THEN TRY(json_extract_string(event, '$')) ELSE event[2:-2] END AS name,
            TRY(make_timestamp((list[1]::DOUBLE * 1e6)::BIGINT)) AS time
        FROM (
            SELECT *, TRY(json_extract_string(
                properties, ['$.time', '$.distinct_id', '$."$insert_id"', '$.mp_processing_time_ms']
            )) AS list
            FROM block
        )
    )
"""

_USABLE = "name IS NOT NULL AND time BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'"

# DuckDB's parser takes these, and no other does. They may also stand inside a text: that is judged elsewhere.
_STRICT = rf"""{_USABLE} AND NOT contains(properties, 'NaN') AND NOT contains(properties, 'Infinity')
    AND NOT regexp_matches(properties, ',[ \t\r]*[}}\]]')"""

_READ = (
    f"SELECT line, event_name, event_time, distinct_id, insert_id, {HASH} AS hash, processed, taken FROM ({{parsed}})"
)

_REFUSED = "SELECT line, event, properties FROM ({parsed}) WHERE NOT taken"

_HELD_ROWS = f"SELECT row, processed, hash, {KEY} FROM held WHERE {{rows}}"
_DUPLICATES = duplicates_of(_HELD_ROWS, processed="processed")

_INSERT = """
    INSERT INTO {table} SELECT event_name, event_time, distinct_id, insert_id, properties FROM held
    WHERE {rows} AND row NOT IN (SELECT unnest(?::UINTEGER[]))
"""


AWAITING = 256 << 20
"""Bytes of rows that may await their copies. Beyond, they are inserted, and duplicates are deleted from the table."""

_ROW = Field("row", DataType.uint32())
_REPEATED = Schema([Field("insert_id", DataType.utf8())])
_AWAITING = "coalesce(insert_id IN (FROM repeated), false)"

BLOCK = Schema([Field("line", DataType.uint32()), Field("event", DataType.utf8()), PROPERTIES])
"""A block: the number of each line in its body, and the texts of the event's name and its properties, each JSON."""

_HELD = Schema(
    [
        Field("line", DataType.uint32()),
        Field("event_name", DataType.utf8()),
        Field("event_time", DataType.timestamp("us")),
        Field("distinct_id", DataType.utf8()),
        Field("insert_id", DataType.utf8()),
        Field("hash", DataType.uint64()),
        Field("processed", DataType.int64()),
        Field("taken", DataType.bool()),
        _ROW,
        PROPERTIES,
    ]
)


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row of a block that is not taken, for a stricter and more patient eye."""

    line: int
    event: str
    properties: str


class Window:
    """Blocks on a cursor, which must have no transaction yet."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, table: str) -> None:
        self._cursor = cursor
        self._table = table
        self._block = Feed(cursor, "block", BLOCK)
        self._window = Feed(cursor, "held", _HELD)
        self._repeated = Feed(cursor, "repeated", _REPEATED)
        self._insert_ids: list[RecordBatch] = []
        self._held: list[RecordBatch] = []
        self._awaiting: list[RecordBatch] = []
        self._rows = 0
        self.nbytes = 0
        """Of what is held, but for what awaits its copies: that is `AWAITING` at the most."""

    def read(self, blocks: Sequence[RecordBatch]) -> list[RefusedRow]:
        """Take blocks in; gives the rows that DuckDB made no event of, or that need a stricter look."""
        return self._read(blocks, _STRICT)

    def read_judged(self, block: RecordBatch) -> None:
        """Take rows in that were found to be events after all.

        Raises:
            StoreError: DuckDB does not think so.
        """
        if refused := self._read([block], _USABLE):
            raise StoreError(f"DuckDB refuses {len(refused)} of {block.num_rows} events that are valid JSON.")

    def await_copies(self, insert_ids: set[str]) -> None:
        """Hold rows of these ids until `insert`, or until they are too many."""
        self._insert_ids = [
            RecordBatch.from_arrays([Array(sorted(insert_ids), type=DataType.utf8())], schema=_REPEATED)
        ]

    def insert(self, *, deduplicate: bool) -> tuple[int, int]:
        """Insert what is held, and hold nothing any more; gives how many rows, and how many were duplicates."""
        self._held, self._awaiting = self._awaiting + self._held, []
        return self._insert("taken", deduplicate=deduplicate)

    def insert_settled(self, *, deduplicate: bool) -> tuple[int, int]:
        """The same, but for rows whose duplicates may still come: those that await them, and the latest day's, if there
        is an earlier one.

        Where a body goes from day to day, no duplicate is in another window then.
        """
        latest = self._latest_day()
        later = "false" if latest is None else f"event_time >= DATE '{latest}'"
        awaiting = _AWAITING if self._insert_ids else "false"
        with self._window.of(self._held), self._repeated.of(self._insert_ids):
            waits = self._of_held(f"taken AND {awaiting}") if self._insert_ids else []
            remains = self._of_held(f"taken AND NOT {awaiting} AND {later}") if latest else []
            done = self._insert(f"taken AND NOT {awaiting} AND NOT {later}", deduplicate=deduplicate)
        self._awaiting += waits
        self._held, self.nbytes = remains, _nbytes(remains)
        if _nbytes(self._awaiting) >= AWAITING:
            self._held, self._awaiting, self._insert_ids = self._awaiting + remains, [], []
            self.nbytes = _nbytes(self._held)
        return done

    def _latest_day(self) -> dt.date | None:
        """The last of several days that are held; `None` where there is but one."""
        with self._window.of(self._held):
            days = "SELECT DISTINCT event_time::DATE AS day FROM held WHERE taken ORDER BY day DESC LIMIT 2"
            latest = [day for (day,) in self._cursor.execute(days).fetchall()]
        return latest[0] if len(latest) == 2 else None

    def _of_held(self, rows: str) -> list[RecordBatch]:
        """Copies of some rows that are held."""
        columns = RecordBatchReader.from_stream(self._cursor.sql(f"SELECT * FROM held WHERE {rows}")).read_all()
        return [batch.with_schema(_HELD) for batch in columns.to_batches()]

    def _insert(self, rows: str, *, deduplicate: bool) -> tuple[int, int]:
        if not self._held:
            return 0, 0
        with self._window.of(self._held):
            duplicates = self._duplicates(rows) if deduplicate else []
            statement = _INSERT.format(table=self._table, rows=rows)
            inserted = int(self._cursor.execute(statement, [duplicates]).fetchall()[0][0])
        self._held, self.nbytes = [], 0
        return inserted, len(duplicates)

    def _duplicates(self, rows: str) -> list[int]:
        return [row for (row,) in self._cursor.execute(_DUPLICATES.format(rows=rows)).fetchall()]

    def _read(self, blocks: Sequence[RecordBatch], condition: str) -> list[RefusedRow]:
        parsed = _PARSED.format(condition=condition)
        with self._block.of(blocks):
            columns = RecordBatchReader.from_stream(self._cursor.sql(_READ.format(parsed=parsed)))
            read = columns.read_all().combine_chunks().to_batches()[0]
            self._hold(blocks, read)
            if all(read.column("taken").to_pylist()):
                return []
            refused = self._cursor.execute(_REFUSED.format(parsed=parsed)).fetchall()
        return [RefusedRow(*row) for row in refused]

    def _hold(self, blocks: Sequence[RecordBatch], read: RecordBatch) -> None:
        """Put the columns that were read beside the properties they were read from."""
        at = 0
        for block in blocks:
            columns = read.slice(at, block.num_rows)
            if not columns.select(["line"]).equals(block.select(["line"])):
                raise StoreError(
                    "DuckDB gave rows in another order than they came: SET preserve_insertion_order = true."
                )
            rows = Array(range(self._rows, self._rows + block.num_rows), type=DataType.uint32())
            batch = columns.append_column(_ROW, rows)
            self._held.append(batch.append_column(PROPERTIES, block.column("properties")))
            self._rows += block.num_rows
            self.nbytes += block.nbytes
            at += block.num_rows


def _nbytes(batches: Sequence[RecordBatch]) -> int:
    return sum(batch.nbytes for batch in batches)
