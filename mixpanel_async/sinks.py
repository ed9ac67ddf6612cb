"""Where a chunk's rows go: a table of DuckDB, or anything else that implements `ChunkSink`.

What decodes, parses and deduplicates knows this protocol only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arro3.core import RecordBatch

    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.records import ChunkCounts, ChunkRecord


class ChunkSink(Protocol):
    """Takes one chunk's rows: all of them become visible with `commit`, or none.

    Its methods block, so they run in threads, never two at a time. After `commit` or `roll_back` it is over.
    """

    needs_events: bool
    """Whether a chunk fails of which lines came and none is an event."""

    @property
    def rejected_in(self) -> str:
        """Where `reject` keeps lines, for messages."""
        ...

    def begin(self) -> None:
        """Begin; what is there for the chunk's dates will be replaced."""
        ...

    def insert(self, rows: Sequence[RecordBatch]) -> int:
        """Insert the rows whose `marked` is 1; the columns are those of `duck.row_buffer.MARKED`. Return how many."""
        ...

    def delete_duplicates(self, inserted: int) -> int:
        """Delete duplicates among the rows of several calls of `insert`, `inserted` in all. Return how many."""
        ...

    def reject(self, lines: Sequence[RejectedLine]) -> None:
        """Keep lines that are not events."""
        ...

    def commit(self, record: ChunkRecord, counts: ChunkCounts) -> ChunkCounts:
        """Make rows, rejected lines and the record visible at once. Return the counts of what is new then."""
        ...

    def commit_rejected(self) -> None:
        """Keep the lines that are not events, and nothing else: what is there for the chunk's dates stays."""
        ...

    def roll_back(self) -> None:
        """Undo everything; do nothing if it is over."""
        ...
