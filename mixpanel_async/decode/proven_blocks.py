"""For streams: a body proven whole, in blocks small enough to be parsed on the event loop.

If a body is broken, the transaction of a table is rolled back. Events that were yielded cannot be taken back, and the
rest of a body cannot be requested: the export has no cursor and no reliable order. So a stream first reads each body to
its end. Faults that only show there (no gzip trailer, a last line that is cut, `terminated early`, an error) are known
before the first event is yielded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from mixpanel_async.decode.event import HEAD
from mixpanel_async.decode.gunzip import gunzip
from mixpanel_async.decode.lines import Blocks, LongLine, last_line
from mixpanel_async.decode.slow_parser import SlowParser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mixpanel_async.decode.event import RejectedLine

SMALL_BLOCK = 64 << 10
"""Bytes of a small block, about: it takes some 0.3 ms to parse, and its objects stay in the processor's cache."""


class Line(msgspec.Struct, gc=False):
    """A line of Mixpanel's own shape, as msgspec parses it."""

    event: str
    properties: dict[str, Any]


_parse_line = msgspec.json.Decoder(Line).decode


class SmallBlock(NamedTuple):
    """Whole lines of one body."""

    text: bytes
    lines: int
    looks_ordinary: bool
    """Whether each of them begins as an event does, and the last is whole, so that no event was cut apart there."""


def small_blocks(block: bytes) -> Iterator[SmallBlock]:
    """Cut a block into small ones."""
    if isinstance(block, LongLine):
        yield SmallBlock(block, 1, looks_ordinary=False)
        return
    start = at = lines = 0
    looks_ordinary = True
    find, starts = block.find, block.startswith
    while at < len(block):
        looks_ordinary = starts(HEAD, at) and looks_ordinary
        at = find(b"\n", at) + 1
        lines += 1
        if at - start >= SMALL_BLOCK or at == len(block):
            text = block[start:at]
            yield SmallBlock(text, lines, looks_ordinary and _is_whole(last_line(text)))
            start, lines, looks_ordinary = at, 0, True


def _is_whole(line: bytes) -> bool:
    """Whether a line is not the beginning of an event that was cut apart, or cut off; much faster than `is_event`."""
    try:
        _parse_line(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def proven_blocks(body: Iterable[bytes], known_end: bytes | None = None) -> Iterator[list[SmallBlock]]:
    """Yield a body's lines: for each block, the small blocks that it is cut into.

    The body is proven whole only when this ends without an error. `known_end` is as in `event_batches.decode`.

    Raises:
        ConnectionLostError: it is cut, or damaged, or Mixpanel broke it off.
        ServerError: it contains an error of Mixpanel's.
    """
    prover = SlowParser(_ignore)
    text = Blocks(gunzip(body))
    for block in text:
        small = list(small_blocks(block))
        for each in small:
            _check_lines(prover, each)
        yield small
    prover.check_end(is_ended=text.is_ended, known_end=known_end)


def _check_lines(prover: SlowParser, block: SmallBlock) -> None:
    """Look for a line by which Mixpanel broke off. Raises its error."""
    if block.looks_ordinary and not prover.is_waiting:
        prover.skip(block.lines)
        return
    for _ in prover.parse(block.text):
        pass


def _ignore(_: RejectedLine) -> None:
    """Ignore a rejected line here: the reader of the proven blocks reports it."""
