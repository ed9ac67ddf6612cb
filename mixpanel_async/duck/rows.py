"""Rows of events in memory: what was read of each, beside the texts that it was read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from arro3.core import Array, DataType, Field, RecordBatch, Schema, Table

from mixpanel_async.duck.arrow_input import JSON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PIECES = Field("pieces", DataType.list(JSON, 4))
"""An event's line, cut without copying it: its name, what follows, its properties, what follows."""

NAME, PROPERTIES = "pieces[1]", "pieces[3]"
"""The two in SQL."""

BLOCK = Schema([Field("line", DataType.uint32()), Field("suspect", DataType.uint8()), PIECES])
"""A block of events: the number of each line in its body; whether it may hold what only DuckDB takes for JSON, 0 or 1;
and its texts, which nobody has parsed yet."""

_READ = [
    Field("event_name", DataType.utf8()),
    Field("micros", DataType.int64()),
    Field("distinct_id", DataType.utf8()),
    Field("insert_id", DataType.utf8()),
    Field("processed", DataType.int64()),
    Field("hash", DataType.uint64()),
    Field("taken", DataType.uint8()),
    Field("keyed", DataType.uint8()),
]
"""What is read of an event: its time in microseconds since 1970, a number that its copies share, whether it is an event
at all, and whether it is one that can have copies."""

_HELD = Schema([*_READ, PIECES])
MARKED = Schema([*_READ, PIECES, Field("row", DataType.uint32()), Field("marked", DataType.uint8())])
"""Rows in a statement, each with its number."""


class Rows:
    """Rows in the order in which they came, by their numbers from 0."""

    def __init__(self) -> None:
        self._batches: list[RecordBatch] = []
        self.nbytes = 0
        """Of the texts; the columns beside them are a tenth of that, and blocks share them."""

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self._batches)

    def add(self, read: RecordBatch, block: RecordBatch) -> None:
        """Add a block, with what was read of it."""
        self._batches.append(RecordBatch.from_arrays([*read.columns, block.column("pieces")], schema=_HELD))
        self.nbytes += block.nbytes

    def extend(self, others: Rows) -> None:
        """Add others at the end."""
        self._batches += others._batches
        self.nbytes += others.nbytes

    def numbers(self, column: str) -> NDArray[np.int64]:
        """A column of numbers."""
        return np.concatenate([batch.column(column).to_numpy() for batch in self._batches])

    def flags(self, column: str) -> NDArray[np.bool_]:
        """A column of 0 and 1."""
        return self.numbers(column).view(np.bool_)

    def insert_ids(self) -> Iterator[str | None]:
        """The insert id of each."""
        for batch in self._batches:
            yield from batch.column("insert_id").to_pylist()

    def copied(self, which: NDArray[np.bool_]) -> Rows:
        """Copies of some; what they were copied from may be let go."""
        copies = Rows()
        for batch, here in self._parts(which):
            if here.any():
                copy = batch.take(Array.from_numpy(np.flatnonzero(here).astype(np.uint32)))
                copies._batches.append(copy)
                copies.nbytes += copy.nbytes
        return copies

    def joined(self) -> Rows:
        """Copies of all in one batch: many of few rows each would cost a call, and the interpreter's lock, each."""
        copies = Rows()
        if self._batches:
            copies._batches = Table.from_batches(self._batches).combine_chunks().to_batches()
        copies.nbytes = self.nbytes
        return copies

    def marked(self, which: NDArray[np.bool_]) -> list[RecordBatch]:
        """All of them, and `marked` is 1 for some; nothing is copied."""
        batches, first = [], 0
        for batch, here in self._parts(which):
            numbers = np.arange(first, first + batch.num_rows, dtype=np.uint32)
            more = [Array.from_numpy(numbers), Array.from_numpy(here.view(np.uint8))]
            batches.append(RecordBatch.from_arrays([*batch.columns, *more], schema=MARKED))
            first += batch.num_rows
        return batches

    def _parts(self, which: NDArray[np.bool_]) -> Iterator[tuple[RecordBatch, NDArray[np.bool_]]]:
        first = 0
        for batch in self._batches:
            yield batch, which[first : first + batch.num_rows]
            first += batch.num_rows
