"""Parsed rows in memory, beside the texts that they were parsed from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from arro3.core import Array, DataType, Field, RecordBatch, Schema, Table

from mixpanel_async.decode.layout import COLUMNS, TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PROPERTIES = "texts[3]"
"""In SQL: an event's properties."""

_FIELDS = [
    *COLUMNS,
    Field("hash", DataType.uint64()),  # equal for rows with equal keys
    Field("is_event", DataType.uint8()),  # 1, or 0 for a row to leave out
    Field("has_key", DataType.uint8()),  # 1 for a row that can have duplicates, else 0
    TEXTS,
]

ROW = Schema(_FIELDS)
MARKED = Schema([*_FIELDS, Field("row", DataType.uint32()), Field("marked", DataType.uint8())])
"""Rows in a statement, each with its number; only those with `marked` 1 are meant."""

SMALL_BATCH = 1 << 17
"""Bytes of a batch below which it is better copied into a larger one."""


class RowBuffer:
    """Rows in the order in which they came, numbered from 0."""

    def __init__(self) -> None:
        self._batches: list[RecordBatch] = []
        self.nbytes = 0
        """Of the texts. The other columns are a tenth of that."""

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self._batches)

    def add(self, parsed: RecordBatch, texts: Array) -> None:
        """Add rows, and the texts that they were parsed from."""
        self._batches.append(RecordBatch.from_arrays([*parsed.columns, texts], schema=ROW))
        self.nbytes += texts.nbytes

    def extend(self, others: RowBuffer) -> None:
        """Append the rows of another buffer."""
        self._batches += others._batches
        self.nbytes += others.nbytes

    def numbers(self, column: str) -> NDArray[np.int64]:
        """Return a column of numbers."""
        return np.concatenate([batch.column(column).to_numpy() for batch in self._batches])

    def flags(self, column: str) -> NDArray[np.bool_]:
        """Return a column of 0 and 1 as booleans."""
        return self.numbers(column).view(np.bool_)

    def insert_ids(self) -> Iterator[str | None]:
        """Yield the insert id of each row."""
        for batch in self._batches:
            yield from batch.column("insert_id").to_pylist()

    def copied(self, which: NDArray[np.bool_]) -> RowBuffer:
        """Return copies of some rows, so that the batches they came from can be freed."""
        copies = RowBuffer()
        for batch, here in self._slices(which):
            if here.any():
                copy = batch.take(Array.from_numpy(np.flatnonzero(here).astype(np.uint32)))
                copies._batches.append(copy)
                copies.nbytes += copy.nbytes
        return copies

    def joined(self) -> RowBuffer:
        """Return small batches as one, copied: each of many costs calls and the interpreter's lock."""
        if self.nbytes >= SMALL_BATCH * len(self._batches):
            return self
        copies = RowBuffer()
        if self._batches:
            copies._batches = Table.from_batches(self._batches).combine_chunks().to_batches()
        copies.nbytes = self.nbytes
        return copies

    def marked(self, which: NDArray[np.bool_]) -> list[RecordBatch]:
        """Return all rows without copying, `marked` 1 for some."""
        batches, first = [], 0
        for batch, here in self._slices(which):
            numbers = np.arange(first, first + batch.num_rows, dtype=np.uint32)
            more = [Array.from_numpy(numbers), Array.from_numpy(here.view(np.uint8))]
            batches.append(RecordBatch.from_arrays([*batch.columns, *more], schema=MARKED))
            first += batch.num_rows
        return batches

    def _slices(self, which: NDArray[np.bool_]) -> Iterator[tuple[RecordBatch, NDArray[np.bool_]]]:
        first = 0
        for batch in self._batches:
            yield batch, which[first : first + batch.num_rows]
            first += batch.num_rows
