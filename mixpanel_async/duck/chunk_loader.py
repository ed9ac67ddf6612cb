"""Loads a chunk: parses its batches, leaves out duplicates, and hands the rows to a sink."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mixpanel_async.duck.dedup import DedupBuffer
from mixpanel_async.duck.translation import translate_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from mixpanel_async.decode.event import RejectedLine
    from mixpanel_async.decode.event_batches import EventBatch
    from mixpanel_async.decode.repeated_ids import IdSet
    from mixpanel_async.duck.workbench import Workbench, Workbenches
    from mixpanel_async.records import ChunkCounts, ChunkRecord
    from mixpanel_async.sinks import ChunkSink

HELD = 64 << 20
"""Bytes of a chunk's text that are held before they are inserted: all of it, for most chunks."""


class ChunkLoader:
    """Loads one chunk. Its methods block, so they run in threads, never two at a time.

    After `commit` or `roll_back` it is over.
    """

    def __init__(  # noqa: PLR0913 - what a chunk is loaded with
        self,
        benches: Workbenches,
        sink: Callable[[Workbench], ChunkSink],
        name: str,
        *,
        make_room: Callable[[int], None],
        deduplicate: bool,
        on_commit: Callable[[], None],
    ) -> None:
        """`benches` has what parses and compares rows, and the sink's cursor. `name` is what errors call the chunk.

        `make_room` is called with the bytes of a row before such rows are parsed; see `Database.make_room`. `on_commit`
        is called after the commit of a chunk that did not fail.
        """
        self._benches = benches
        self._bench = bench = benches.take()
        self._name = name
        self._sink = sink(bench)
        self._make_room = make_room
        self._deduplicate = deduplicate
        self._on_commit = on_commit
        self._parser = bench.parser
        self._buffer = DedupBuffer(bench, self._sink.insert, deduplicate=deduplicate)
        self._is_over = False
        self._rejected = 0
        self._first_rejected: RejectedLine | None = None

    @property
    def rejected_in(self) -> str:
        """Where lines are kept that are not events, for messages."""
        return self._sink.rejected_in

    def begin(self) -> None:
        """Begin."""
        with self._translate_errors():
            self._sink.begin()

    def hold_for_duplicates(self, insert_ids: IdSet) -> None:
        """Hold rows of these ids in memory, as many as possible, until `commit`: duplicates may lie far apart."""
        self._buffer.hold_for_duplicates(insert_ids)

    def load(self, batches: Sequence[EventBatch]) -> None:
        """Take batches in, in the order of their body."""
        with self._translate_errors():
            self._make_room(max((batch.row_bytes for batch in batches), default=0))
            if self._buffer.rows.nbytes >= HELD:
                self._buffer.flush_completed()
            if rejected := self._parser.parse(batches, self._buffer.rows):
                self._sink.reject(rejected)
                self._rejected += len(rejected)
                self._first_rejected = self._first_rejected or rejected[0]

    def commit(self, record: ChunkRecord) -> ChunkCounts:
        """Insert what is held, drop duplicates, and commit. Call `roll_back` after an error.

        If no line is an event (`ChunkCounts.failure`), only the lines are kept.

        Where the error came from the disk the chunk may have been committed nevertheless: the journal tells, once the
        file is opened again.
        """
        with self._translate_errors():
            self._buffer.flush()
            counts = replace(self._buffer.counts, rejected=self._rejected, first_rejected=self._first_rejected)
            if counts.failure is not None and self._sink.needs_events:
                self._sink.commit_rejected()
            else:
                if self._buffer.inserts > 1 and self._deduplicate:
                    deleted = self._sink.delete_duplicates(counts.rows)
                    counts = replace(counts, rows=counts.rows - deleted, duplicates=counts.duplicates + deleted)
                counts = self._sink.commit(record, counts)
                self._on_commit()
        self._is_over = True
        self._benches.give_back(self._bench)
        return counts

    def roll_back(self) -> None:
        """Undo everything; do nothing if it is over."""
        if not self._is_over:
            self._is_over = True
            try:
                self._sink.roll_back()
            finally:
                self._bench.close()

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_errors(f"{self._name} could not be written")
