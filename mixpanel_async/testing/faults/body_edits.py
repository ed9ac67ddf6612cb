"""Changes to an answer's pieces on their way out; pure, and they hold no more than a piece or two.

A piece may be empty: so whoever makes pieces can be stopped between any two, however few bytes they hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

Edit = Callable[[Iterable[bytes]], Iterator[bytes]]


class _LineCut:
    """Pieces parted after a number of lines: first ``head()``, and when that is done, ``tail()``."""

    __slots__ = ("_iterator", "_left", "_rest")

    def __init__(self, pieces: Iterable[bytes], after: int | None) -> None:
        self._iterator = iter(pieces)
        self._left = after
        self._rest = b""

    def head(self) -> Iterator[bytes]:
        """Yield the first lines; all there are if no number was given."""
        while self._left is None or self._left > 0:
            piece = next(self._iterator, None)
            if piece is None:
                return
            end = self._end_within(piece)
            yield piece[:end]
            self._rest = piece[end:]

    def tail(self) -> Iterator[bytes]:
        """Yield what follows."""
        if self._rest:
            yield self._rest
        yield from filter(None, self._iterator)

    def _end_within(self, piece: bytes) -> int:
        """Return where in ``piece`` the first lines end, and count those that it holds."""
        if self._left is None:
            return len(piece)
        held = piece.count(b"\n")
        if held < self._left:
            self._left -= held
            return len(piece)
        end = 0
        for _ in range(self._left):
            end = piece.index(b"\n", end) + 1
        self._left = 0
        return end


def first_lines(pieces: Iterable[bytes], after: int | None) -> Iterator[bytes]:
    """Keep the first lines."""
    return _LineCut(pieces, after).head()


def ended(pieces: Iterable[bytes], *, after: int | None, text: bytes) -> Iterator[bytes]:
    """Keep the first lines and end with ``text``."""
    yield from first_lines(pieces, after)
    yield text


def halved(pieces: Iterable[bytes], *, after: int) -> Iterator[bytes]:
    """Keep the first lines and half of the next."""
    cut = _LineCut(pieces, after)
    yield from cut.head()
    line = next(cut.tail(), b"").partition(b"\n")[0]
    yield line[: len(line) // 2]


def inserted(pieces: Iterable[bytes], *, after: int, text: bytes) -> Iterator[bytes]:
    """Put ``text`` after the first lines and go on."""
    cut = _LineCut(pieces, after)
    yield from cut.head()
    yield text
    yield from cut.tail()


def split(pieces: Iterable[bytes], *, line: int, by: bytes = b"\n") -> Iterator[bytes]:
    """Put bytes into the middle of one line, counted from 1."""
    cut = _LineCut(pieces, line - 1)
    yield from cut.head()
    for number, piece in enumerate(cut.tail()):
        middle = len(piece.partition(b"\n")[0]) // 2
        yield piece[:middle] + by + piece[middle:] if number == 0 else piece


def separated(pieces: Iterable[bytes], *, by: bytes) -> Iterator[bytes]:
    """End lines otherwise."""
    for piece in pieces:
        yield piece.replace(b"\n", by)


def first_bytes(pieces: Iterable[bytes], *, count: int) -> Iterator[bytes]:
    """Keep the first bytes."""
    for piece in pieces:
        if count <= 0:
            return
        yield piece[:count]
        count -= len(piece)


def without_last(pieces: Iterable[bytes], *, count: int) -> Iterator[bytes]:
    """Leave out the last bytes."""
    held = b""
    for piece in pieces:
        held += piece
        if len(held) > count:
            yield held[: len(held) - count]
            held = held[len(held) - count :]


def with_bad_crc(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Turn over the bits of the checksum in a gzip trailer."""
    held = b""
    for piece in pieces:
        held += piece
        yield held[:-8]
        held = held[-8:]
    yield bytes(byte ^ 0xFF for byte in held[:4]) + held[4:]


def corrupted(pieces: Iterable[bytes], *, at: int) -> Iterator[bytes]:
    """Turn over the bits of one byte, counted from 0."""
    passed = 0
    for piece in pieces:
        place = at - passed
        if 0 <= place < len(piece):
            yield piece[:place] + bytes([piece[place] ^ 0xFF]) + piece[place + 1 :]
        else:
            yield piece
        passed += len(piece)


def followed_by(pieces: Iterable[bytes], *, data: bytes) -> Iterator[bytes]:
    """Add bytes at the end."""
    yield from pieces
    yield data


def without_results(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Leave ``results`` out of a page of profiles, which is held whole for that."""
    page = json.loads(b"".join(pieces))
    yield json.dumps({name: value for name, value in page.items() if name != "results"}).encode()
