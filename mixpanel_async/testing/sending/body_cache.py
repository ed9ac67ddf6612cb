"""BodyCache: encoded bodies that are kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

MakePieces = Callable[[], Iterator[bytes]]
"""Makes the pieces of a body. Each call makes the same pieces."""


class BodyCache:
    """Keeps bodies in memory by a key. Only a body that was made completely is kept."""

    __slots__ = ("_bodies",)

    def __init__(self) -> None:
        """Start with an empty cache."""
        self._bodies: dict[object, tuple[bytes, ...]] = {}

    def get_or_make(self, key: object, make: MakePieces) -> Iterator[bytes]:
        """Yield the cached pieces for ``key``; otherwise make them, yield them and cache them."""
        if (body := self._bodies.get(key)) is not None:
            yield from body
            return
        pieces = []
        for piece in make():
            pieces.append(piece)
            yield piece
        self._bodies[key] = tuple(pieces)
