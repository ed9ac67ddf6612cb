"""Bodies that are kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Make = Callable[[], Iterator[bytes]]
"""Makes a body's pieces; each call makes the same ones anew."""


class Shelf:
    """Keeps bodies that were made whole."""

    __slots__ = ("_bodies",)

    def __init__(self) -> None:
        """Start empty."""
        self._bodies: dict[object, tuple[bytes, ...]] = {}

    def kept(self, key: object, make: Make) -> Iterator[bytes]:
        """Yield what is kept under ``key``, or else make it and keep it."""
        if (body := self._bodies.get(key)) is not None:
            yield from body
            return
        pieces = []
        for piece in make():
            pieces.append(piece)
            yield piece
        self._bodies[key] = tuple(pieces)
