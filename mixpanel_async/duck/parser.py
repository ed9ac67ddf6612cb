"""Parses the lines of event batches with DuckDB's JSON parser: the fast parser of tables.

It accepts a line only where its values are surely those that `event.parse_event`, which defines what an event is,
reads: a time of ten digits, and ids that are texts or plain whole numbers. All other lines are given to `parse_event`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from arro3.core import RecordBatchReader

from mixpanel_async.decode.event import NotAnEventError, RejectedLine, parse_event
from mixpanel_async.decode.event_batches import parsed_batch
from mixpanel_async.decode.layout import PARSED, UNPARSED
from mixpanel_async.duck.arrow_input import ArrowInput
from mixpanel_async.duck.keys import MICROS_KEY
from mixpanel_async.duck.row_buffer import PROPERTIES, RowBuffer
from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    from arro3.core import RecordBatch

    from mixpanel_async.decode.event_batches import EventBatch

_NOT_AS_IT_CAME = r"^(?:[\[{-]|0$|[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?$|[0-9]+[eE][+-]?[0-9]+$)"
"""Ids that DuckDB may spell in another way than they came: arrays, objects, negative numbers, -0 and fractions."""

# DuckDB's parser accepts NaN and Infinity; a text may contain these words, too. TRY makes a NULL of what the parser
# refuses, so that one bad line fails no other. The parser checks the UTF-8 of both texts, too. `properties` is never
# extracted, because json_extract would write its numbers in another way.
_LINES = f"""
    SELECT line, event, properties, name AS event_name,
        CASE WHEN has_time THEN seconds * 1_000_000 ELSE 0 END AS micros,
        list[2] AS distinct_id, list[3] AS insert_id, TRY_CAST(list[4] AS BIGINT) AS processed,
        coalesce(
            name IS NOT NULL AND has_time
            AND (list[2] IS NULL OR NOT regexp_matches(list[2], '{_NOT_AS_IT_CAME}'))
            AND (list[3] IS NULL OR NOT regexp_matches(list[3], '{_NOT_AS_IT_CAME}'))
            AND suspect = 0 AND NOT contains(properties, 'NaN') AND NOT contains(properties, 'Infinity'),
            false
        ) AS is_event
    FROM (
        SELECT *, TRY(json_extract_string(event, '$')) AS name, TRY_CAST(list[1] AS BIGINT) AS seconds,
            seconds BETWEEN 1_000_000_000 AND 9_999_999_999 AND strlen(list[1]) = 10 AS has_time
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
    SELECT line, {_COLUMNS}, is_event::UTINYINT AS is_event, (is_event AND insert_id IS NOT NULL)::UTINYINT AS has_key
    FROM ({_LINES})
"""
_LEFT_OVER = f"SELECT line, encode(event), encode(properties) FROM ({_LINES}) WHERE NOT is_event"
_SLOW = f"SELECT {_COLUMNS}, 1::UTINYINT AS is_event, (insert_id IS NOT NULL)::UTINYINT AS has_key FROM parsed"


class EventParser:
    """Parses event batches on a cursor, which must have no transaction yet when this is made."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self._unparsed = ArrowInput(cursor, "unparsed", UNPARSED)
        self._parsed = ArrowInput(cursor, "parsed", PARSED)
        self._fast = cursor.sql(_FAST)
        self._slow = cursor.sql(_SLOW)

    def parse(self, batches: Sequence[EventBatch], rows: RowBuffer) -> list[RejectedLine]:
        """Add the events to `rows`; return the lines that are not events."""
        rejected = [line for batch in batches for line in batch.rejected]
        if unparsed := [batch.unparsed for batch in batches if batch.unparsed is not None]:
            rejected += self._parse(unparsed, rows)
        if parsed := [batch.parsed for batch in batches if batch.parsed is not None]:
            self._add(parsed, rows)
        return rejected

    def _parse(self, unparsed: Sequence[RecordBatch], rows: RowBuffer) -> list[RejectedLine]:
        with self._unparsed.holding(unparsed):
            parsed = _result(self._fast)
            lines = np.concatenate([batch.column("line").to_numpy() for batch in unparsed])
            if not np.array_equal(parsed.column("line").to_numpy(), lines):
                raise StoreError(
                    "DuckDB returned rows in another order than they were read: SET preserve_insertion_order = true."
                )
            all_events = bool(parsed.column("is_event").to_numpy().all())
            left_over = [] if all_events else self._cursor.execute(_LEFT_OVER).fetchall()
        _add_slices(parsed.remove_column(0), unparsed, rows)
        return self._parse_slowly(left_over, rows)

    def _parse_slowly(self, lines: Sequence[tuple[int, bytes, bytes]], rows: RowBuffer) -> list[RejectedLine]:
        events, rejected = [], []
        for number, name, properties in lines:
            line = b'{"event":%b,"properties":%b}' % (name, properties)
            try:
                events.append(parse_event(line))
            except NotAnEventError as error:
                rejected.append(RejectedLine(number, str(error), line))
        if events:
            self._add([parsed_batch(events)], rows)
        return rejected

    def _add(self, parsed: Sequence[RecordBatch], rows: RowBuffer) -> None:
        with self._parsed.holding(parsed):
            _add_slices(_result(self._slow), parsed, rows)


def _result(statement: duckdb.DuckDBPyRelation) -> RecordBatch:
    return RecordBatchReader.from_stream(statement).read_all().combine_chunks().to_batches()[0]


def _add_slices(result: RecordBatch, batches: Sequence[RecordBatch], rows: RowBuffer) -> None:
    """Add a statement's result, cut into the batches that it was read from."""
    start = 0
    for batch in batches:
        rows.add(result.slice(start, batch.num_rows), batch.column("texts"))
        start += batch.num_rows
