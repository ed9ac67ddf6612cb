"""From parts of a body to Arrow record batches: the columns of a table, `properties` as the JSON text that came.

msgspec looks a line over for its keys and makes no object of the rest.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from mixpanel_async.decode.dicts import EPOCH, UNREADABLE, PatientReader
from mixpanel_async.decode.event import FIRST_TIME, LAST_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.decode.parts import Part

    Columns = tuple[list[Any], list[Any], list[Any], list[Any], list[Any]]
    """Names, microseconds since 1970, distinct ids, insert ids, properties as UTF-8."""

BATCH = 8 << 20
"""Bytes of lines in a batch, about: what is made Arrow at a time, in some 5 ms."""

_MICROSECOND = dt.timedelta(microseconds=1)


class _Line(msgspec.Struct, gc=False):
    event: str
    properties: msgspec.Raw


class _Keys(msgspec.Struct, gc=False):
    time: int
    distinct_id: str | None = None
    insert_id: str | None = msgspec.field(default=None, name="$insert_id")


_read_lines = msgspec.json.Decoder(_Line).decode_lines
_read_keys = msgspec.json.Decoder(_Keys).decode


class BatchReader:
    """Reads one body's events, some 8 MB in a batch; the last batch is what is left."""

    def __init__(self, reject: Callable[[RejectedLine], None], *, pyarrow: Any) -> None:  # noqa: ANN401 - a module
        self._patient = PatientReader(reject)
        self._pa = pyarrow
        self._text, self._bytes = pyarrow.string(), pyarrow.binary()
        self._time = pyarrow.timestamp("us", tz="UTC")
        self._columns: Columns = ([], [], [], [], [])
        self._size = 0

    def read(self, part: Part) -> Iterable[pa.RecordBatch]:
        """Read the next part, in order, and give a batch where there is one."""
        columns = None if self._patient.is_waiting else self._read_at_once(part)
        if columns is None:
            columns = _columns_of(self._patient.read(part))
        else:
            self._patient.skip(part)
        for column, more in zip(self._columns, columns, strict=True):
            column.extend(more)
        self._size += len(part.text)
        return self._batch() if self._size >= BATCH else ()

    def end(self) -> Iterable[pa.RecordBatch]:
        """Give what is left."""
        self._patient.end()
        return self._batch()

    def _read_at_once(self, part: Part) -> Columns | None:
        """The columns of a part; `None` where a line of it needs a closer look."""
        try:
            self._pa.array([part.text], self._bytes).cast(self._text)  # msgspec takes what is no UTF-8
            lines = _read_lines(part.text)
            keys = [_read_keys(line.properties) for line in lines]
        except UNREADABLE:
            return None
        times = [key.time for key in keys]
        if len(lines) != part.lines or not FIRST_TIME <= min(times) <= max(times) < LAST_TIME:
            return None
        return (
            [line.event for line in lines],
            [time * 1_000_000 for time in times],
            [key.distinct_id for key in keys],
            [key.insert_id for key in keys],
            [bytes(line.properties) for line in lines],
        )

    def _batch(self) -> Iterable[pa.RecordBatch]:
        names, times, distinct_ids, insert_ids, properties = self._columns
        self._columns, self._size = ([], [], [], [], []), 0
        if not names:
            return ()
        arrays = {
            "event_name": self._pa.array(names, self._text),
            "event_time": self._pa.array(times, self._time),
            "distinct_id": self._pa.array(distinct_ids, self._text),
            "insert_id": self._pa.array(insert_ids, self._text),
            "properties": self._pa.array(properties, self._bytes).view(self._text),
        }
        return (self._pa.RecordBatch.from_pydict(arrays),)


def _columns_of(rows: Iterator[tuple[bytes, dict[str, Any]]]) -> Columns:
    columns: Columns = ([], [], [], [], [])
    for properties, event in rows:
        time = (event["event_time"] - EPOCH) // _MICROSECOND
        row = event["event_name"], time, event["distinct_id"], event["insert_id"], properties
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return columns
