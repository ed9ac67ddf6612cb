"""How Arrow comes into a statement: as a table of some name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from arro3.core import DataType, Field, RecordBatch, Schema, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

_JSON_TYPE = {"ARROW:extension:name": "arrow.json", "ARROW:extension:metadata": ""}

# Known as JSON, texts are stored as they come; one that is cast to JSON DuckDB would parse once more.
JSON = Field("item", DataType.utf8(), metadata=_JSON_TYPE)


class Feed:
    """What a query reads as a table of this name: whichever blocks are put here.

    It is registered once, before the transaction. What is registered within one stays in memory until its end.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection, name: str, schema: Schema) -> None:
        self._empty = self._table = Table.from_batches([], schema=schema)
        cursor.register(name, self)

    @contextmanager
    def of(self, blocks: Sequence[RecordBatch]) -> Iterator[None]:
        """Feed these."""
        self._table = Table.from_batches(blocks) if blocks else self._empty
        try:
            yield
        finally:
            self._table = self._empty

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)
