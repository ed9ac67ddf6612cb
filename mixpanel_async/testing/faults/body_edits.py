r"""Edits that faults make to a body. Pure functions from pieces to pieces.

The pieces are the body's bytes, before or after gzip. An edit keeps at most two pieces in memory. A piece may be empty,
so that making a body can be cancelled between any two pieces, however few bytes they contain. Lines end with ``\n``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mixpanel_async.testing.data.json_lines import dump_json

Edit = Callable[[Iterable[bytes]], Iterator[bytes]]


class _LineSplitter:
    """Splits pieces after a number of lines. Read all of ``head()`` before ``tail()``."""

    __slots__ = ("_iterator", "_lines_left", "_rest")

    def __init__(self, pieces: Iterable[bytes], after: int | None) -> None:
        self._iterator = iter(pieces)
        self._lines_left = after
        self._rest = b""

    def head(self) -> Iterator[bytes]:
        """Yield the first lines; all lines if ``after`` is None."""
        while self._lines_left is None or self._lines_left > 0:
            piece = next(self._iterator, None)
            if piece is None:
                return
            end = self._end_in(piece)
            yield piece[:end]
            self._rest = piece[end:]

    def tail(self) -> Iterator[bytes]:
        """Yield the bytes after the first lines."""
        if self._rest:
            yield self._rest
        yield from filter(None, self._iterator)

    def _end_in(self, piece: bytes) -> int:
        """Return where the first lines end in ``piece``, and subtract its lines from those that are left."""
        if self._lines_left is None:
            return len(piece)
        lines = piece.count(b"\n")
        if lines < self._lines_left:
            self._lines_left -= lines
            return len(piece)
        end = 0
        for _ in range(self._lines_left):
            end = piece.index(b"\n", end) + 1
        self._lines_left = 0
        return end


def first_lines(pieces: Iterable[bytes], after: int | None) -> Iterator[bytes]:
    """Keep only the first ``after`` lines; all lines if it is None."""
    return _LineSplitter(pieces, after).head()


def end_with(pieces: Iterable[bytes], *, after: int | None, text: bytes) -> Iterator[bytes]:
    """Keep only the first ``after`` lines, and end with ``text``."""
    yield from first_lines(pieces, after)
    yield text


def cut_in_line(pieces: Iterable[bytes], *, after: int) -> Iterator[bytes]:
    """Keep only the first ``after`` lines and half of the next line."""
    splitter = _LineSplitter(pieces, after)
    yield from splitter.head()
    line = next(splitter.tail(), b"").partition(b"\n")[0]
    yield line[: len(line) // 2]


def insert_after(pieces: Iterable[bytes], *, after: int, text: bytes) -> Iterator[bytes]:
    """Insert ``text`` after the first ``after`` lines."""
    splitter = _LineSplitter(pieces, after)
    yield from splitter.head()
    yield text
    yield from splitter.tail()


def insert_in_line(pieces: Iterable[bytes], *, line: int, text: bytes = b"\n") -> Iterator[bytes]:
    """Insert ``text`` in the middle of a line, counted from 1."""
    splitter = _LineSplitter(pieces, line - 1)
    yield from splitter.head()
    for number, piece in enumerate(splitter.tail()):
        middle = len(piece.partition(b"\n")[0]) // 2
        yield piece[:middle] + text + piece[middle:] if number == 0 else piece


def replace_newlines(pieces: Iterable[bytes], *, text: bytes) -> Iterator[bytes]:
    r"""Replace each ``\n`` by ``text``."""
    for piece in pieces:
        yield piece.replace(b"\n", text)


def first_bytes(pieces: Iterable[bytes], *, count: int) -> Iterator[bytes]:
    """Keep only the first ``count`` bytes."""
    for piece in pieces:
        if count <= 0:
            return
        yield piece[:count]
        count -= len(piece)


def drop_last_bytes(pieces: Iterable[bytes], *, count: int) -> Iterator[bytes]:
    """Drop the last ``count`` bytes."""
    kept = b""
    for piece in pieces:
        kept += piece
        if len(kept) > count:
            yield kept[: len(kept) - count]
            kept = kept[len(kept) - count :]


def break_crc(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Invert the checksum in the gzip trailer."""
    kept = b""
    for piece in pieces:
        kept += piece
        yield kept[:-8]
        kept = kept[-8:]
    yield bytes(byte ^ 0xFF for byte in kept[:4]) + kept[4:]


def invert_byte(pieces: Iterable[bytes], *, at: int) -> Iterator[bytes]:
    """Invert one byte, counted from 0."""
    passed = 0
    for piece in pieces:
        place = at - passed
        if 0 <= place < len(piece):
            yield piece[:place] + bytes([piece[place] ^ 0xFF]) + piece[place + 1 :]
        else:
            yield piece
        passed += len(piece)


def append(pieces: Iterable[bytes], *, data: bytes) -> Iterator[bytes]:
    """Append bytes."""
    yield from pieces
    yield data


def edit_page(pieces: Iterable[bytes], *, edit: Callable[[dict[str, Any]], object]) -> Iterator[bytes]:
    """Replace a page of profiles by what ``edit`` makes of it. Needs the whole page in memory."""
    yield dump_json(edit(json.loads(b"".join(pieces))))


def drop_results(page: dict[str, Any]) -> dict[str, Any]:
    """Return a page of profiles without its ``results``."""
    return {name: value for name, value in page.items() if name != "results"}
