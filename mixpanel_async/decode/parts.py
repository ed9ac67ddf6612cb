"""Parts of a block: small enough to be parsed on the event loop, and what is seen of their lines in passing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = 64 << 10
"""Bytes of a part, about: some 0.3 ms to parse, and its objects stay in the processor's cache."""

BEGINNING = b'{"event":'
"""How Mixpanel begins a line that is an event."""


class Part(NamedTuple):
    """Whole lines of one body."""

    text: bytes
    lines: int
    is_regular: bool
    """Whether each of them begins as an event does."""


def parts(block: bytes) -> Iterator[Part]:
    """Cut a block into parts."""
    start = at = lines = 0
    is_regular = True
    find, starts = block.find, block.startswith
    while at < len(block):
        is_regular = starts(BEGINNING, at) and is_regular
        at = find(b"\n", at) + 1
        lines += 1
        if at - start >= PART or at == len(block):
            yield Part(block[start:at], lines, is_regular)
            start, lines, is_regular = at, 0, True
