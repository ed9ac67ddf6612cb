"""Parses the lines of event batches with DuckDB's JSON parser: the fast parser of tables.

It accepts a line only where its values are surely those that `event.parse_event`, which defines what an event is,
reads: a time of ten digits (seconds) or thirteen (milliseconds), and ids that are texts or plain whole numbers. All
other lines are left to `parse_event`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from arro3.core import RecordBatchReader

from mixpanel_async.decode.event import NotAnEventError, RejectedLine, parse_event
from mixpanel_async.decode.event_batches import parsed_batch
from mixpanel_async.decode.layout import PARSED, UNPARSED
from mixpanel_async.duck.arrow_input import ArrowInput
from mixpanel_async.duck.keys import HAS_KEY, MICROS_KEY
from mixpanel_async.duck.row_buffer import PROPERTIES, RowBuffer
from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb
    from arro3.core import RecordBatch

    from mixpanel_async.decode.event_batches import EventBatch

    _LeftOver = tuple[int, bytes, bytes]
    """The number of a line, and the JSON texts of its name and its properties."""

_RESPELLED_NUMBER = r"^(?:0|[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)$"
"""Numbers that DuckDB may spell in another way than they came: -0, fractions and exponents."""


def _is_as_it_came(value: str) -> str:
    """Return an SQL condition: an id is a text or a plain whole number, which DuckDB surely spells as it came."""
    return f"""CASE WHEN {value} >= '0' AND {value} < ':' THEN NOT regexp_matches({value}, '{_RESPELLED_NUMBER}')
            ELSE coalesce({value}[1] NOT IN ('[', '{{', '-'), true) END"""


# DuckDB's parser accepts NaN and Infinity; a text may contain these words, too. TRY makes a NULL of what the parser
# refuses, so that one bad line fails no other. The parser checks the UTF-8 of both texts, too. `properties` is never
# extracted, because json_extract would write its numbers in another way. A time is compared with its own text, because
# DuckDB also casts texts such as `1_7e9` and `0x6592` to a number.
_LINES = f"""
    SELECT line, event, properties, name AS event_name,
        CASE WHEN has_time THEN time * CASE WHEN time < 10_000_000_000 THEN 1_000_000 ELSE 1000 END
            ELSE 0 END AS micros,
        distinct_id, insert_id, TRY_CAST(list[4] AS BIGINT) AS processed,
        coalesce(
            name IS NOT NULL AND has_time
            AND {_is_as_it_came("distinct_id")}
            AND {_is_as_it_came("insert_id")}
            AND suspect = 0 AND NOT contains(properties, 'NaN') AND NOT contains(properties, 'Infinity'),
            false
        ) AS is_event
    FROM (
        SELECT *, TRY(json_extract_string(event, '$')) AS name, TRY_CAST(list[1] AS BIGINT) AS time,
            list[2] AS distinct_id, list[3] AS insert_id,
            (time BETWEEN 1_000_000_000 AND 9_999_999_999 OR time BETWEEN 1_000_000_000_000 AND 9_999_999_999_999)
                AND time::VARCHAR = list[1] AS has_time
        FROM (
            SELECT *, TRY(json_extract_string(
                properties, ['$.time', '$.distinct_id', '$."$insert_id"', '$.mp_processing_time_ms']
            )) AS list
            FROM (SELECT line, suspect, texts[1] AS event, {PROPERTIES} AS properties FROM unparsed)
        )
    )
"""

_COLUMNS = f"event_name, micros, distinct_id, insert_id, processed, hash({MICROS_KEY}) AS hash"

_FAST = f"""
    SELECT line, {_COLUMNS}, is_event::UTINYINT AS is_event, (is_event AND {HAS_KEY})::UTINYINT AS has_key
    FROM ({_LINES})
"""
_LEFT_OVER = f"SELECT line, encode(event), encode(properties) FROM ({_LINES}) WHERE NOT is_event"
_SLOW = f"SELECT {_COLUMNS}, 1::UTINYINT AS is_event, {HAS_KEY}::UTINYINT AS has_key FROM parsed"


class EventParser:
    """Parses event batches on a cursor, which must have no transaction yet when this is made."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self._unparsed = ArrowInput(cursor, "unparsed", UNPARSED)
        self._parsed = ArrowInput(cursor, "parsed", PARSED)
        self._fast = cursor.sql(_FAST)
        self._slow = cursor.sql(_SLOW)

    def parse(self, batches: Sequence[EventBatch], rows: RowBuffer) -> list[RejectedLine]:
        """Add the events to `rows`, in order; return the lines that are not events.

        Lines that only `parse_event` accepts come last.
        """
        fast, left_over = self._parse_fast([batch.unparsed for batch in batches if batch.unparsed is not None])
        slow = self._hash_parsed([batch.parsed for batch in batches if batch.parsed is not None])
        for batch in batches:
            for source, results in ((batch.unparsed, fast), (batch.parsed, slow)):
                if source is not None:
                    rows.add(next(results), source.column("texts"))
        rejected = [line for batch in batches for line in batch.rejected]
        return rejected + self._parse_slowly(left_over, rows)

    def _parse_fast(self, batches: Sequence[RecordBatch]) -> tuple[Iterator[RecordBatch], list[_LeftOver]]:
        """Return the columns of each batch, and the lines that are left to `parse_event`."""
        if not batches:
            return iter(()), []
        with self._unparsed.holding(batches):
            result = _result(self._fast)
            lines = np.concatenate([batch.column("line").to_numpy() for batch in batches])
            if not np.array_equal(result.column("line").to_numpy(), lines):
                raise StoreError(
                    "DuckDB returned rows in another order than they were read: SET preserve_insertion_order = true."
                )
            all_events = bool(result.column("is_event").to_numpy().all())
            left_over = [] if all_events else self._cursor.execute(_LEFT_OVER).fetchall()
        return _slices(result.remove_column(0), batches), left_over

    def _parse_slowly(self, lines: Sequence[_LeftOver], rows: RowBuffer) -> list[RejectedLine]:
        events, rejected = [], []
        for number, name, properties in lines:
            line = b'{"event":%b,"properties":%b}' % (name, properties)
            try:
                events.append(parse_event(line))
            except NotAnEventError as error:
                rejected.append(RejectedLine(number, str(error), line))
        if events:
            batch = parsed_batch(events)
            rows.add(next(self._hash_parsed([batch])), batch.column("texts"))
        return rejected

    def _hash_parsed(self, batches: Sequence[RecordBatch]) -> Iterator[RecordBatch]:
        """Return the columns of each batch of events that were read one by one."""
        if not batches:
            return iter(())
        with self._parsed.holding(batches):
            return _slices(_result(self._slow), batches)


def _result(statement: duckdb.DuckDBPyRelation) -> RecordBatch:
    return RecordBatchReader.from_stream(statement).read_all().combine_chunks().to_batches()[0]


def _slices(result: RecordBatch, batches: Sequence[RecordBatch]) -> Iterator[RecordBatch]:
    """Yield a statement's result, cut into the batches that it was read from."""
    start = 0
    for batch in batches:
        yield result.slice(start, batch.num_rows)
        start += batch.num_rows
