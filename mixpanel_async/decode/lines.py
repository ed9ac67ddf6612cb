"""From a body's text to blocks of whole lines."""

from __future__ import annotations

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
        held_size = 0
        for part in self._parts:
            held.append(part)
            held_size += len(part)
            if held_size >= self._size and (end := part.rfind(b"\n") + 1):
                held[-1], rest = part[:end], part[end:]
                yield b"".join(held)
                held, held_size = [rest], len(rest)
            elif held_size > LINE_MAX + self._size:
                before, line = _split_last_line(b"".join(held))
                if before:
                    yield before
                long, rest = self._skip_rest(line)
                yield long
                held, held_size = [rest], len(rest)
        if last := b"".join(held):
            self.is_ended = last.endswith(b"\n")
            yield last if self.is_ended else last + b"\n"

    def _skip_rest(self, line: bytes) -> tuple[LongLine, bytes]:
        """Read a line to its end without keeping it; also return what came after it."""
        size = len(line)
        for part in self._parts:
            end = part.find(b"\n")
            size += len(part) if end < 0 else end
            if end >= 0:
                long = LongLine(line[:_BEGINNING] + b"\n")
                long.size = size
                return long, part[end + 1 :]
        raise ConnectionLostError("The response was cut: its last line is not whole")


def _split_last_line(text: bytes) -> tuple[bytes, bytes]:
    start = text.rfind(b"\n") + 1
    return text[:start], text[start:]


def last_line(block: bytes) -> bytes:
    """Return a block's last line, without its line break."""
    return block[block.rfind(b"\n", 0, -1) + 1 : -1]
