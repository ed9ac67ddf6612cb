"""For streams: from small blocks to pyarrow record batches with the columns of a table, `properties` as JSON text.

msgspec reads the keys of a line that become columns, and makes no objects of the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mixpanel_async.decode.dicts import NEEDS_SLOW_PARSER, plain_id_text
from mixpanel_async.decode.event import END_TIME, END_TIME_MS, FIRST_TIME
from mixpanel_async.decode.slow_parser import SlowParser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.decode.proven_blocks import SmallBlock
    from mixpanel_async.decode.slow_parser import EventLine

    Columns = tuple[list[Any], list[Any], list[Any], list[Any], list[Any]]
    """Names, microseconds since 1970, distinct ids, insert ids, properties as UTF-8."""

BATCH_SIZE = 8 << 20
"""Bytes of lines in a batch, about: what is turned into Arrow at a time, in some 5 ms."""


class _Line(msgspec.Struct, gc=False):
    event: str
    properties: msgspec.Raw


class _Keys(msgspec.Struct, gc=False):
    time: int
    distinct_id: str | int | None = None
    insert_id: str | int | None = msgspec.field(default=None, name="$insert_id")


_parse_lines = msgspec.json.Decoder(_Line).decode_lines
_parse_keys = msgspec.json.Decoder(_Keys).decode


class RecordBatchReader:
    """Reads one body's events as record batches of some 8 MB; the last batch holds what is left."""

    def __init__(self, reject: Callable[[RejectedLine], None], *, pyarrow: Any) -> None:  # noqa: ANN401 - a module
        """`reject` is called for each line that is not an event, in order."""
        self._slow = SlowParser(reject)
        self._pa = pyarrow
        self._text, self._bytes = pyarrow.string(), pyarrow.binary()
        self._columns: Columns = ([], [], [], [], [])
        self._size = 0

    def read(self, block: SmallBlock) -> Iterable[pa.RecordBatch]:
        """Read the next small block; return a batch when enough has come together."""
        columns = None if self._slow.is_waiting else self._read_fast(block)
        if columns is None:
            columns = _columns_of(self._slow.parse(block.text))
        else:
            self._slow.skip(block.lines)
        for column, more in zip(self._columns, columns, strict=True):
            column.extend(more)
        self._size += len(block.text)
        return self._batch() if self._size >= BATCH_SIZE else ()

    def end(self) -> Iterable[pa.RecordBatch]:
        """End the body; return what is left."""
        self._slow.end()
        return self._batch()

    def _read_fast(self, block: SmallBlock) -> Columns | None:
        """Return the columns of a block; `None` where it needs the slow parser."""
        if not block.looks_ordinary:  # as in `dicts`
            return None
        try:
            self._pa.array([block.text], self._bytes).cast(self._text)  # msgspec accepts what is not UTF-8
            lines = _parse_lines(block.text)
            keys = [_parse_keys(line.properties) for line in lines]
            distinct_ids, insert_ids = (
                [plain_id_text(key.distinct_id) for key in keys],
                [plain_id_text(key.insert_id) for key in keys],
            )
        except NEEDS_SLOW_PARSER:
            return None
        if len(lines) != block.lines or (micros := _micros([key.time for key in keys])) is None:
            return None
        return (
            [line.event for line in lines],
            micros,
            distinct_ids,
            insert_ids,
            [bytes(line.properties) for line in lines],
        )

    def _batch(self) -> Iterable[pa.RecordBatch]:
        columns = self._columns
        self._columns, self._size = ([], [], [], [], []), 0
        return (_to_arrow(columns, self._pa),) if columns[0] else ()


def empty_batch(pyarrow: Any) -> pa.RecordBatch:  # noqa: ANN401 - a module
    """Return a batch without rows, for its schema."""
    return _to_arrow(([], [], [], [], []), pyarrow)


def _to_arrow(columns: Columns, pyarrow: Any) -> pa.RecordBatch:  # noqa: ANN401 - a module
    names, times, distinct_ids, insert_ids, properties = columns
    text = pyarrow.string()
    arrays = {
        "event_name": pyarrow.array(names, text),
        "event_time": pyarrow.array(times, pyarrow.timestamp("us", tz="UTC")),
        "distinct_id": pyarrow.array(distinct_ids, text),
        "insert_id": pyarrow.array(insert_ids, text),
        "properties": pyarrow.array(properties, pyarrow.binary()).view(text),
    }
    return pyarrow.RecordBatch.from_pydict(arrays)


def _micros(times: list[int]) -> list[int] | None:
    """Return usable times in microseconds; `None` where they are not all in one unit."""
    first, last = min(times), max(times)
    if first >= END_TIME and last < END_TIME_MS:
        return [time * 1000 for time in times]
    return [time * 1_000_000 for time in times] if first >= FIRST_TIME and last < END_TIME else None


def _columns_of(lines: Iterable[EventLine]) -> Columns:
    columns: Columns = ([], [], [], [], [])
    for line in lines:
        event = line.event
        row = event.name, event.micros, event.distinct_id, event.insert_id, event.properties
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return columns
