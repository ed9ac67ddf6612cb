"""From a body's text to blocks of whole lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixpanel_async.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK_SIZE = 1 << 19
"""Bytes of text in a block, about: a step that looks at each line holds the interpreter's lock for less than 1 ms."""

LINE_MAX = 64 << 20
"""Bytes of one line; Mixpanel takes no event of more than 1 MB (its docs of `/import`)."""


def blocks(text: Iterable[bytes], size: int = BLOCK_SIZE) -> Iterator[bytes]:
    r"""Cut text into blocks of whole lines, each of about `size` bytes. Lines end at `\n` and at nothing else.

    If the last line has no line break, one is added.

    Raises:
        LineTooLongError: a line is longer than `LINE_MAX`.
    """
    held: list[bytes] = []
    held_size = 0
    for part in text:
        held.append(part)
        held_size += len(part)
        if held_size >= size and (end := part.rfind(b"\n") + 1):
            held[-1], rest = part[:end], part[end:]
            yield b"".join(held)
            held, held_size = [rest], len(rest)
        elif held_size > LINE_MAX + size:
            raise LineTooLongError(b"".join(held))
    if last := b"".join(held):
        yield last if last.endswith(b"\n") else last + b"\n"


class LineTooLongError(Exception):
    """A line is longer than `LINE_MAX`."""

    def __init__(self, text: bytes) -> None:
        """`text` is what `blocks` has not yielded yet; the line is its last."""
        start = text.rfind(b"\n") + 1
        self._lines_before = text.count(b"\n")
        self._begins = text[start : start + 80]

    def as_decode_error(self, lines: int) -> DecodeError:
        """Return the error to raise where `lines` lines were yielded before."""
        number = lines + self._lines_before + 1
        return DecodeError(f"Line {number} is longer than {LINE_MAX} bytes; it begins {self._begins!r}")
