"""BodyEncoder: applies gzip and a fault to a body's text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from mixpanel_async.testing.faults.body_edits import Edit, first_bytes
from mixpanel_async.testing.faults.fault import Fault
from mixpanel_async.testing.http.response import TEXT
from mixpanel_async.testing.sending.body_cache import BodyCache, MakePieces
from mixpanel_async.testing.sending.gzip_encoding import MAX_PLAIN_BYTES, gzip_pieces
from mixpanel_async.testing.sending.streaming import Delivery, prefetch


@dataclass(frozen=True, slots=True)
class BodyEncoder:
    """A body's text, and the fault that happens to it."""

    make_text: MakePieces
    fault: Fault
    threads: Executor
    """Where pieces are made."""
    content_type: str = TEXT
    cache: BodyCache | None = None
    """Where encoded bodies are kept; None to make each body again."""
    cache_key: object = None
    """Identifies the text in the cache."""

    async def encode(self, *, accepts_gzip: bool) -> tuple[Iterator[bytes], Delivery]:
        """Return the encoded pieces, and how they are sent."""
        small = await self._text_if_small()
        gzip = accepts_gzip and (small is None or self.fault.needs_gzip)
        make = partial(self._encoded, gzip=gzip)
        headers = (("Content-Type", self.content_type), *((("Content-Encoding", "gzip"),) if gzip else ()))
        length = await self._length(make, None if small is None or gzip else len(small))
        pieces, delivery = make(), self._delivery(headers, length)
        cut = self._cut_position(length)
        return (pieces if cut is None else first_bytes(pieces, count=cut)), delivery

    def _edited_text(self) -> Iterator[bytes]:
        return _apply_edits(self.make_text(), self.fault.line_edits)

    def _encoded(self, *, gzip: bool) -> Iterator[bytes]:
        """Make the encoded body without its cut, or take it from the cache if no fault changes it."""
        cacheable = not self.fault.line_edits and self.fault.gzip_members == 1
        make = partial(gzip_pieces, self._edited_text(), members=self.fault.gzip_members) if gzip else self._edited_text
        pieces = self.cache.get_or_make((self.cache_key, gzip), make) if self.cache and cacheable else make()
        return _apply_edits(pieces, self.fault.gzip_edits) if gzip else pieces

    async def _length(self, make: MakePieces, known: int | None) -> int | None:
        """Return the length of the encoded body without its cut.

        None if it is unknown and the fault does not need it. If the fault needs it, the body is made once to measure
        it.
        """
        needed = self.fault.cut_fraction is not None or self.fault.framing == "content-length"
        if known is not None or not needed:
            return known
        async with aclosing(prefetch(make(), self.threads)) as pieces:
            return sum([len(piece) async for piece in pieces])

    async def _text_if_small(self) -> bytes | None:
        """Return the whole text if Mixpanel would not compress it; None if it is longer."""
        text = b""
        async with aclosing(prefetch(self._edited_text(), self.threads)) as pieces:
            async for piece in pieces:
                text += piece
                if len(text) > MAX_PLAIN_BYTES:
                    return None
        return text

    def _cut_position(self, length: int | None) -> int | None:
        if self.fault.cut_fraction is None or length is None:
            return self.fault.cut_bytes
        return int(length * self.fault.cut_fraction)

    def _delivery(self, headers: tuple[tuple[str, str], ...], length: int | None) -> Delivery:
        fault = self.fault
        is_cut = fault.cut_bytes is not None or fault.cut_fraction is not None or fault.ending != "clean"
        announced = length is not None and (fault.framing == "content-length" or not is_cut)
        return Delivery(
            headers=headers,
            framing=fault.framing,
            length=length if announced and fault.framing != "close" else None,
            ending=fault.ending,
            bytes_per_second=fault.bytes_per_second,
            write_size=fault.write_size,
            stall_after=fault.stall_after,
            stall_seconds=fault.stall_seconds,
        )


def _apply_edits(pieces: Iterable[bytes], edits: tuple[Edit, ...]) -> Iterator[bytes]:
    for edit in edits:
        pieces = edit(pieces)
    return iter(pieces)
