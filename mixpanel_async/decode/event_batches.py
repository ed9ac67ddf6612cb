"""For tables: from a body, still gzip, to Arrow batches of events, with the proof that the body is whole.

These are plain generators; each step runs in a thread. Python handles blocks here. It handles single lines only where a
block has an unusual one: numpy cuts out the texts of ordinary lines, and DuckDB parses them (`duck.parser`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import nanoarrow
import numpy as np
from arro3.core import Array, RecordBatch, fixed_size_list_array
from nanoarrow.c_array import c_array_from_buffers

from mixpanel_async.decode.event import HEAD, is_event
from mixpanel_async.decode.gunzip import gunzip
from mixpanel_async.decode.layout import COLUMNS, PARSED, TEXTS, UNPARSED
from mixpanel_async.decode.lines import BLOCK_SIZE, Blocks, LongLine, last_line
from mixpanel_async.decode.offsets import find_offsets
from mixpanel_async.decode.slow_parser import SlowParser

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixpanel_async.decode.event import Event, RejectedLine
    from mixpanel_async.decode.offsets import Offsets

_BLOCKS_AT_ONCE = 4
"""Blocks whose offsets are found in one step. numpy releases the interpreter's lock meanwhile. A thread that takes the
lock back often also waits for it often."""

_SMALL = 1 << 15
"""Bytes of a block that is not halved any more to find an unusual line in it."""

GROUP_SIZE = 16 << 20
"""Bytes of events that travel to the writer together: each step costs a change of threads and some SQL statements."""

_BEGIN = b"\n" + HEAD

_TEXT = nanoarrow.string()


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one body, in order, and its lines that are not events."""

    unparsed: RecordBatch | None = None
    """Lines that look like events, with the columns `layout.UNPARSED`."""
    parsed: RecordBatch | None = None
    """Events that were read one by one, with the columns `layout.PARSED`."""
    rejected: tuple[RejectedLine, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of the events."""
        return sum(batch.nbytes for batch in self._parts)

    @property
    def row_bytes(self) -> int:
        """Bytes of an event, on average; 0 without events."""
        return self.nbytes // max(1, sum(batch.num_rows for batch in self._parts))

    @property
    def _parts(self) -> list[RecordBatch]:
        return [batch for batch in (self.unparsed, self.parsed) if batch is not None]


def decode(body: Iterable[bytes], known_end: bytes | None = None) -> Iterator[EventBatch]:
    """Decode a body to its end.

    `known_end` is the `BrokenEndError.end` of an earlier attempt, if this body is surely whole: see `SlowParser`.

    Raises:
        ConnectionLostError: it is cut, or damaged, or Mixpanel broke it off.
        ServerError: it contains an error of Mixpanel's.
    """
    decoder = _Decoder()
    text = Blocks(gunzip(body), _BLOCKS_AT_ONCE * BLOCK_SIZE)
    for block in text:
        yield from decoder.decode(block)
    yield from decoder.end(is_ended=text.is_ended, known_end=known_end)


def grouped(batches: Iterable[EventBatch]) -> Iterator[list[EventBatch]]:
    """Collect batches into lists of about `GROUP_SIZE` bytes."""
    group: list[EventBatch] = []
    size = 0
    for batch in batches:
        group.append(batch)
        size += batch.nbytes
        if size >= GROUP_SIZE:
            yield group
            group, size = [], 0
    if group:
        yield group


def parsed_batch(events: Sequence[Event]) -> RecordBatch:
    """Return events that were read one by one as Arrow, with the columns `layout.PARSED`."""
    values = (
        [event.name for event in events],
        [event.micros for event in events],
        [event.distinct_id for event in events],
        [event.insert_id for event in events],
        [event.processed for event in events],
    )
    arrays = [
        Array(cast("Sequence[object]", column), type=each.type) for column, each in zip(values, COLUMNS, strict=True)
    ]
    ends = np.cumsum([len(event.properties) for event in events], dtype=np.int32)
    starts = np.concatenate([np.zeros(1, np.int32), ends[:-1]])
    texts = _texts(b"".join(event.properties for event in events), np.stack([starts, starts, starts, ends], axis=1))
    return RecordBatch.from_arrays([*arrays, texts], schema=PARSED)


class _Decoder:
    """Decodes the blocks of one body in order: those of ordinary lines as they are, the others line by line."""

    def __init__(self) -> None:
        self._rejected: list[RejectedLine] = []
        self._slow = SlowParser(self._rejected.append)

    def decode(self, block: bytes) -> Iterator[EventBatch]:
        """Decode a block of whole lines."""
        if self._may_be_ordinary(block) and (offsets := find_offsets(block)) is not None:
            first = self._slow.lines + 1
            self._slow.skip(len(offsets.texts))
            yield EventBatch(_unparsed_batch(np.arange(first, self._slow.lines + 1), block, offsets))
        elif len(block) > _SMALL and 0 < (middle := _middle(block)) < len(block):
            yield from self.decode(block[:middle])
            yield from self.decode(block[middle:])
        else:
            events = [line.event for line in self._slow.parse(block)]
            yield EventBatch(parsed=parsed_batch(events) if events else None, rejected=self._take_rejected())

    def end(self, *, is_ended: bool, known_end: bytes | None) -> Iterator[EventBatch]:
        """End the body; see `SlowParser.check_end`."""
        self._slow.check_end(is_ended=is_ended, known_end=known_end)
        if rejected := self._take_rejected():
            yield EventBatch(rejected=rejected)

    def _may_be_ordinary(self, block: bytes) -> bool:
        """Whether the fast way may take a block: no event that was cut apart reaches into it, or out of it."""
        return not (self._slow.is_waiting or isinstance(block, LongLine)) and is_event(last_line(block))

    def _take_rejected(self) -> tuple[RejectedLine, ...]:
        rejected = tuple(self._rejected)
        self._rejected.clear()
        return rejected


def _middle(block: bytes) -> int:
    """Return where to cut a block in two: before a line that begins an event, because another may go on with one."""
    middle = block.find(_BEGIN, len(block) // 2) + 1
    return middle or block.find(b"\n", len(block) // 2) + 1


def _unparsed_batch(lines: NDArray[np.integer], block: bytes, offsets: Offsets) -> RecordBatch:
    """Return lines as Arrow, without copying their texts."""
    columns = [
        Array.from_numpy(lines.astype(np.uint32)),
        Array.from_numpy(offsets.suspects),
        _texts(block, offsets.texts),
    ]
    return RecordBatch.from_arrays(columns, schema=UNPARSED)


def _texts(text: bytes, starts: NDArray[np.int32]) -> Array:
    """Return the texts that begin at `starts`, four to a row, each ending where the next begins, without copying."""
    offsets = np.append(starts, np.int32(len(text)))
    texts = c_array_from_buffers(_TEXT, starts.size, (None, offsets, text), null_count=0)
    return fixed_size_list_array(Array.from_arrow(texts), 4, type=TEXTS.type)
