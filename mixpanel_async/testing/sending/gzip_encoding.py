"""Gzip, as one member or as two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

try:
    from isal import isal_zlib as zlib
except ImportError:  # pragma: no cover
    import zlib  # type: ignore[no-redef]

SMALL = 1400
"""Bodies up to this many bytes are not compressed (Mixpanel's docs)."""

_GZIP = 31


def gzipped(pieces: Iterable[bytes], *, members: int = 1) -> Iterator[bytes]:
    """Compress the pieces, as one gzip member or as two."""
    if members > 1:
        pieces = _halved(pieces)
    iterator = iter(pieces)
    for _ in range(members - 1):
        yield from _one_member(islice(iterator, 1))
    yield from _one_member(iterator)


def _one_member(pieces: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def _halved(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Split the first piece after the line in its middle."""
    iterator = iter(pieces)
    first = next(iterator, b"")
    middle = first.find(b"\n", len(first) // 2) + 1
    yield first[:middle]
    yield first[middle:]
    yield from iterator
