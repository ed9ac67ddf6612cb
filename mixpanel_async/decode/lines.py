"""From a body's text to blocks of whole lines."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from mixpanel_async.errors import ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK_SIZE = 1 << 19
"""Bytes of text in a block, about: a step that looks at each line holds the interpreter's lock for less than 1 ms."""

LINE_MAX = 64 << 20
"""Bytes of one line; Mixpanel takes no event of more than 1 MB (its docs of `/import`)."""

_BEGINNING = 500
"""Bytes that are kept of a line that is too long."""


class LongLine(bytes):
    """A block of its own: the beginning of a line that is longer than `LINE_MAX`, and a line break."""

    size: int
    """Bytes of the whole line."""

    @property
    def reason(self) -> str:
        """Why it is not an event."""
        return f"longer than {LINE_MAX} bytes: it has {self.size}, and only its beginning is kept"


class Blocks:
    r"""Cuts text into blocks of whole lines, each of about `size` bytes. Lines end at `\n` and at nothing else.

    If the last line has no line break, one is added. A line that is too long is a `LongLine`.
    """

    def __init__(self, text: Iterable[bytes], size: int = BLOCK_SIZE) -> None:
        self._parts = iter(text)
        self._size = size
        self.is_ended = True
        """Whether the last line has a line break of its own; known at the end."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the blocks, once.

        Raises:
            ConnectionLostError: the last line is too long, and has no line break.
        """
        held: list[bytes] = []
        held_size = line_size = 0
        for part in self._parts:
            held.append(part)
            held_size += len(part)
            if line_size + len(part) > LINE_MAX and self._is_too_long(line_size, part):
                text, start = b"".join(held), held_size - len(part) - line_size
                if start:
                    yield text[:start]
                long, rest = self._long_line(text[start:])
                yield long
                held, held_size, line_size = [rest], len(rest), len(rest) - rest.rfind(b"\n") - 1
                continue
            end = part.rfind(b"\n") + 1
            line_size = len(part) - end if end else line_size + len(part)
            if end and held_size >= self._size:
                held[-1], rest = part[:end], part[end:]
                yield b"".join(held)
                held, held_size = [rest], len(rest)
        if last := b"".join(held):
            self.is_ended = last.endswith(b"\n")
            yield last if self.is_ended else last + b"\n"

    def _is_too_long(self, line_size: int, part: bytes) -> bool:
        """Whether a line is, of which `line_size` bytes came before this part."""
        end = part.find(b"\n")
        return line_size + (len(part) if end < 0 else end) > LINE_MAX

    def _long_line(self, text: bytes) -> tuple[LongLine, bytes]:
        """Read a line to its end without keeping it; also return what came after it."""
        size, beginning = 0, text[:_BEGINNING]
        for part in chain((text,), self._parts):
            end = part.find(b"\n")
            size += len(part) if end < 0 else end
            if end >= 0:
                long = LongLine(beginning + b"\n")
                long.size = size
                return long, part[end + 1 :]
        raise ConnectionLostError("The response was cut: its last line is not whole")


def last_line(block: bytes) -> bytes:
    """Return a block's last line, without its line break."""
    return block[block.rfind(b"\n", 0, -1) + 1 : -1]
