"""Compresses pieces with gzip, as one member or as several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

try:
    from isal import isal_zlib as zlib
except ImportError:  # pragma: no cover
    import zlib  # type: ignore[no-redef]

MAX_PLAIN_BYTES = 1400
"""Bodies of at most this many bytes are not compressed (Mixpanel's docs)."""

_GZIP_WBITS = 31


def gzip_pieces(pieces: Iterable[bytes], *, members: int = 1) -> Iterator[bytes]:
    """Compress the pieces into one or two gzip members."""
    if members > 1:
        pieces = _split_first(pieces)
    iterator = iter(pieces)
    for _ in range(members - 1):
        yield from _one_member(islice(iterator, 1))
    yield from _one_member(iterator)


def _one_member(pieces: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WBITS)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def _split_first(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Split the first piece after the line in its middle."""
    iterator = iter(pieces)
    first = next(iterator, b"")
    middle = first.find(b"\n", len(first) // 2) + 1
    yield first[:middle]
    yield first[middle:]
    yield from iterator
