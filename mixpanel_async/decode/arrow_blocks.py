"""From a body, still gzip, to blocks of events, and the proof that it is whole.

Plain generators, one feeding the next, run in a thread a block at a time: `gunzip` bytes, `blocks` of whole lines,
`decode` to Arrow. Python touches blocks here, and a single line only where a block has an odd one.

A body is whole when each gzip member ended with its trailer (length and CRC) and its last line is whole. A body
that is not gzip, or is cut exactly between two members, cannot be told from a whole one by its bytes; there the
HTTP framing has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import nanoarrow
import numpy as np
from arro3.core import Array, RecordBatch, fixed_size_list_array
from nanoarrow.c_array import c_array_from_buffers

from mixpanel_async.decode.event import NoEventError, RejectedLine, read_line
from mixpanel_async.decode.offsets import Cuts, cut
from mixpanel_async.decode.slow_parser import OddLines
from mixpanel_async.duck.rows import BLOCK as COLUMNS
from mixpanel_async.duck.rows import PIECES
from mixpanel_async.errors import ConnectionLostError, DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

try:
    from isal import isal_zlib as gzip_library
except ImportError:  # no wheel for this platform: the same interface, at half the speed
    import zlib as gzip_library  # type: ignore[no-redef]

GzipError: type[Exception] = gzip_library.error  # type: ignore[assignment] # isal's stub calls it an instance

BLOCK = 1 << 19
"""Bytes of text in a block, about: small, so that no step that looks at each line holds the interpreter for 1 ms."""

_BLOCKS = 4
"""So many of them are cut at a time, which holds it hardly at all; a thread that wants it often waits often."""

_FEW = 1 << 15
"""Bytes of a block that is not halved any more to find an odd line in it."""

GROUP = 16 << 20
"""Bytes of events that travel and are inserted together: a step costs a change of threads and some statements."""

LINE_MAX = 64 << 20
"""Bytes of one line; Mixpanel takes no event of more than 1 MB."""

_PIECE = 1 << 18
"""Bytes of text that gunzip makes at a time at the most: a bomb of zeros stays small."""

_TEXT = nanoarrow.string()
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class EventBlock:
    """Events that passed by their shape, and lines that are none."""

    events: RecordBatch | None
    """Columns as in `store.rows.BLOCK`; `None` where there is no event."""
    rejected: tuple[RejectedLine, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of the events."""
        return 0 if self.events is None else self.events.nbytes


def decode(body: Iterable[bytes]) -> Iterator[EventBlock]:
    """Decode a body to its end.

    Raises:
        ConnectionLostError: it is cut, or damaged, or Mixpanel broke it off.
        ServerError: an error of Mixpanel's stands in it.
        DecodeError: a line is longer than `LINE_MAX`.
    """
    lines = _Lines()
    waiting: bytes | None = None
    try:
        for block in blocks(gunzip(body), _BLOCKS * BLOCK):
            if waiting is not None:
                yield from lines.read(waiting)
            waiting = block
    except LongLineError as long:
        raise long.after(lines.count + (waiting or b"").count(b"\n")) from None
    if waiting is not None:
        yield from lines.read_last(waiting)


def groups(blocks: Iterable[EventBlock]) -> Iterator[list[EventBlock]]:
    """Blocks in groups of about `GROUP` bytes."""
    group: list[EventBlock] = []
    size = 0
    for block in blocks:
        group.append(block)
        size += block.nbytes
        if size >= GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group


def gunzip(body: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a gzip body of one or more members, or of a plain one, told apart by its first two bytes.

    Zero bytes after a member are padding and allowed.

    Raises:
        ConnectionLostError: the gzip ends without its trailer, or is damaged.
    """
    pieces = iter(body)
    head = b""
    while len(head) < 2 and (piece := next(pieces, None)) is not None:
        head += piece
    if head.startswith(_GZIP):
        yield from _members(chain((head,), pieces))
    else:
        yield from chain((head,), pieces)


def opening(body: bytes) -> bytes:
    """The first text of a body, gzip or plain, of which only the first bytes are there."""
    try:
        return next(gunzip((body,)), b"")
    except ConnectionLostError:
        return body


def _members(pieces: Iterable[bytes]) -> Iterator[bytes]:
    member = None
    for piece in pieces:
        rest = piece
        while rest:
            if member is None:
                if not rest.strip(b"\0"):
                    break
                member = gzip_library.decompressobj(31)
            try:
                text = member.decompress(rest, _PIECE)
            except GzipError as error:
                raise ConnectionLostError(f"The answer's gzip is damaged: {error}") from None
            if text:
                yield text
            rest, member = (member.unused_data, None) if member.eof else (member.unconsumed_tail, member)
    if member is not None:
        raise ConnectionLostError("The answer was cut: its gzip ends without a trailer")


def blocks(text: Iterable[bytes], about: int | None = None) -> Iterator[bytes]:
    r"""Cut into blocks of whole lines of `about` so many bytes, else `BLOCK`. They end at `\n` and at nothing else.

    The last line may lack its end; it is given one.

    Raises:
        LongLineError: a line is longer than `LINE_MAX`.
    """
    about = about or BLOCK
    held: list[bytes] = []
    size = 0
    for piece in text:
        held.append(piece)
        size += len(piece)
        if size >= about and (end := piece.rfind(b"\n") + 1):
            held[-1], rest = piece[:end], piece[end:]
            yield b"".join(held)
            held, size = [rest], len(rest)
        elif size > LINE_MAX + about:
            raise LongLineError(b"".join(held))
    if last := b"".join(held):
        yield last if last.endswith(b"\n") else last + b"\n"


class LongLineError(Exception):
    """A line beyond `LINE_MAX`: how many stand before it in the text that was not given yet, and how it begins."""

    def __init__(self, text: bytes) -> None:
        start = text.rfind(b"\n") + 1
        self.lines_before = text.count(b"\n")
        self.begins = text[start : start + 80]

    def after(self, lines: int) -> DecodeError:
        """What to tell of it, where so many lines were given before."""
        number = lines + self.lines_before + 1
        return DecodeError(f"Line {number} is longer than {LINE_MAX} bytes; it begins {self.begins!r}")


@dataclass(slots=True)
class _Lines:
    """Reads blocks one after the other: by their shape, and one by one where a line is odd."""

    odd: OddLines = field(default_factory=OddLines)

    @property
    def count(self) -> int:
        """Lines read so far."""
        return self.odd.count

    def read(self, block: bytes) -> Iterator[EventBlock]:
        """Read a block that is not the last."""
        if self.odd.broken is None and (cuts := cut(block)) is not None:
            first = self.count + 1
            self.odd.count += len(cuts.offsets)
            yield EventBlock(_batch(np.arange(first, self.count + 1), block, cuts))
        elif len(block) > _FEW and 0 < (middle := block.find(b"\n", len(block) // 2) + 1) < len(block):
            yield from self.read(block[:middle])
            yield from self.read(block[middle:])
        else:
            yield self._read_one_by_one(block)

    def read_last(self, block: bytes) -> Iterator[EventBlock]:
        """Read the last block, and hold the last line to what a whole answer ends with."""
        last = block.rstrip(b"\r\n \t").rpartition(b"\n")[2]
        try:
            read_line(last)
        except NoEventError as error:
            if error.broken:
                yield self._read_broken_end(block)
                return
        yield from self.read(block)

    def _read_broken_end(self, block: bytes) -> EventBlock:
        read = self._read_one_by_one(block)
        if self.odd.broken is not None:
            raise ConnectionLostError("The answer was cut: its last line is not whole")
        return read

    def _read_one_by_one(self, block: bytes) -> EventBlock:
        events, numbers, rejected = [], [], []
        for line in self.odd.read(block):
            if isinstance(line, RejectedLine):
                rejected.append(line)
            else:
                numbers.append(line.line_number)
                events.append((line.event, line.properties))
        return EventBlock(batch(events, numbers) if events else None, tuple(rejected))


def batch(events: Sequence[tuple[bytes, bytes]], lines: Sequence[int]) -> RecordBatch:
    """Events that were read one by one, and the numbers of their lines, as Arrow."""
    sizes = [(len(name), 0, len(properties), 0) for name, properties in events]
    offsets = np.cumsum([0, *chain.from_iterable(sizes)])[:-1].reshape(-1, 4)
    cuts = Cuts(offsets.astype(np.int32), np.zeros(len(events), np.uint8))
    return _batch(np.array(lines), b"".join(chain.from_iterable(events)), cuts)


def _batch(lines: NDArray[np.integer], text: bytes, cuts: Cuts) -> RecordBatch:
    """Events as Arrow, without copying their text."""
    offsets = np.append(cuts.offsets, np.int32(len(text)))
    pieces = c_array_from_buffers(_TEXT, cuts.offsets.size, (None, offsets, text), null_count=0)
    columns = [
        Array.from_numpy(lines.astype(np.uint32)),
        Array.from_numpy(cuts.suspects),
        fixed_size_list_array(Array.from_arrow(pieces), 4, type=PIECES.type),
    ]
    return RecordBatch.from_arrays(columns, schema=COLUMNS)
