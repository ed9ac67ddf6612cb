"""Arrow batches as a table that SQL reads."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from arro3.core import RecordBatch, Schema, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb


class ArrowInput:
    """A table of this name, which holds whatever batches it is given for a statement.

    It is registered once, before the transaction: what is registered within one stays in memory until its end.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection, name: str, schema: Schema) -> None:
        self._empty = self._table = Table.from_batches([], schema=schema)
        cursor.register(name, self)

    @contextmanager
    def holding(self, batches: Sequence[RecordBatch]) -> Iterator[None]:
        """Hold these batches while the block runs."""
        self._table = Table.from_batches(batches) if batches else self._empty
        try:
            yield
        finally:
            self._table = self._empty

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)
