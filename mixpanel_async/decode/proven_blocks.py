"""For streams: a body proven whole, in blocks small enough to be parsed on the event loop.

If a body is broken, the transaction of a table is rolled back. Events that were yielded cannot be taken back, and the
rest of a body cannot be requested: the export has no cursor and no reliable order. So a stream first reads each body to
its end. Faults that only show there (no gzip trailer, a last line that is cut, `terminated early`, an error) are known
before the first event is yielded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mixpanel_async.decode.ending import check_last_line, error_from_line
from mixpanel_async.decode.event import NotAnEventError, parse_event
from mixpanel_async.decode.gunzip import gunzip
from mixpanel_async.decode.lines import LineTooLongError, blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SMALL_BLOCK = 64 << 10
"""Bytes of a small block, about: it takes some 0.3 ms to parse, and its objects stay in the processor's cache."""

_HEAD = b'{"event":'
"""How Mixpanel begins a line that is an event."""


class SmallBlock(NamedTuple):
    """Whole lines of one body."""

    text: bytes
    lines: int
    looks_ordinary: bool
    """Whether each of them begins as an event does."""


def small_blocks(block: bytes) -> Iterator[SmallBlock]:
    """Cut a block into small ones."""
    start = at = lines = 0
    looks_ordinary = True
    find, starts = block.find, block.startswith
    while at < len(block):
        looks_ordinary = starts(_HEAD, at) and looks_ordinary
        at = find(b"\n", at) + 1
        lines += 1
        if at - start >= SMALL_BLOCK or at == len(block):
            yield SmallBlock(block[start:at], lines, looks_ordinary)
            start, lines, looks_ordinary = at, 0, True


def proven_blocks(body: Iterable[bytes]) -> Iterator[list[SmallBlock]]:
    """Yield a body's lines: for each block, the small blocks that it is cut into.

    The body is proven whole only when this ends without an error.

    Raises:
        ConnectionLostError: it is cut, or damaged, or Mixpanel broke it off.
        ServerError: it contains an error of Mixpanel's.
        DecodeError: a line is longer than `lines.LINE_MAX`.
    """
    lines = 0
    before = last = b""
    try:
        for block in blocks(gunzip(body)):
            before, last = last, block
            small = list(small_blocks(block))
            for each in small:
                lines += each.lines
                if not each.looks_ordinary:
                    _check_lines(each.text)
            yield small
    except LineTooLongError as error:
        raise error.as_decode_error(lines) from None
    check_last_line(before[before.rfind(b"\n", 0, -1) + 1 :] + last)


def _check_lines(text: bytes) -> None:
    """Raise the error of a line by which Mixpanel broke off."""
    for line in text.split(b"\n"):
        if line.startswith(_HEAD) or not line.strip():
            continue
        try:
            parse_event(line)
        except NotAnEventError:
            if (error := error_from_line(line)) is not None:
                raise error from None
