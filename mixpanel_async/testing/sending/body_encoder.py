"""From a text and a fault to the bytes that travel and how they travel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from mixpanel_async.testing.faults.body_edits import Edit, first_bytes
from mixpanel_async.testing.faults.fault import Fault
from mixpanel_async.testing.http.response import TEXT
from mixpanel_async.testing.sending.body_cache import Make, Shelf
from mixpanel_async.testing.sending.gzip_encoding import SMALL, gzipped
from mixpanel_async.testing.sending.streaming import Delivery, ahead


@dataclass(frozen=True, slots=True)
class Rendering:
    """One answer: its text, and what goes wrong with it."""

    text: Make
    fault: Fault
    threads: Executor
    content_type: str = TEXT
    shelf: Shelf | None = None
    key: object = None
    """What the text is kept under on the shelf."""

    async def rendered(self, *, accepts_gzip: bool) -> tuple[Iterator[bytes], Delivery]:
        """Return the pieces that travel, and how they do. What has to be made first is made on threads."""
        small = await self._small()
        gzip = accepts_gzip and (small is None or self.fault.needs_gzip)
        make = partial(self._packed, gzip=gzip)
        headers = (("Content-Type", self.content_type), *((("Content-Encoding", "gzip"),) if gzip else ()))
        whole = await self._whole_length(make, None if small is None or gzip else len(small))
        pieces, delivery = make(), self._delivery(headers, whole)
        count = self._cut(whole)
        return (pieces if count is None else first_bytes(pieces, count=count)), delivery

    def _text(self) -> Iterator[bytes]:
        return _edited(self.text(), self.fault.line_edits)

    def _packed(self, *, gzip: bool) -> Iterator[bytes]:
        """Make what travels, up to a cut; from the shelf if it may be kept there."""
        plain = not self.fault.line_edits and self.fault.members == 1
        make = partial(gzipped, self._text(), members=self.fault.members) if gzip else self._text
        pieces = self.shelf.kept((self.key, gzip), make) if self.shelf and plain else make()
        return _edited(pieces, self.fault.gzip_edits) if gzip else pieces

    async def _whole_length(self, make: Make, known: int | None) -> int | None:
        """Return how long the uncut body is, where that has to be known; it is made once for that."""
        needed = self.fault.cut_fraction is not None or self.fault.framing == "content-length"
        if known is not None or not needed:
            return known
        async with aclosing(ahead(make(), self.threads)) as pieces:
            return sum([len(piece) async for piece in pieces])

    async def _small(self) -> bytes | None:
        """Return the whole text if it is so small that Mixpanel would not compress it."""
        text = b""
        async with aclosing(ahead(self._text(), self.threads)) as pieces:
            async for piece in pieces:
                text += piece
                if len(text) > SMALL:
                    return None
        return text

    def _cut(self, whole: int | None) -> int | None:
        if self.fault.cut_fraction is None or whole is None:
            return self.fault.cut_bytes
        return int(whole * self.fault.cut_fraction)

    def _delivery(self, headers: tuple[tuple[str, str], ...], whole: int | None) -> Delivery:
        fault = self.fault
        is_cut = fault.cut_bytes is not None or fault.cut_fraction is not None or fault.ending != "clean"
        announced = whole is not None and (fault.framing == "content-length" or not is_cut)
        return Delivery(
            headers=headers,
            framing=fault.framing,
            length=whole if announced and fault.framing != "close" else None,
            ending=fault.ending,
            bytes_per_second=fault.bytes_per_second,
            write_size=fault.write_size,
            stall_after=fault.stall_after,
            stall_seconds=fault.stall_seconds,
        )


def _edited(pieces: Iterable[bytes], line_edits: tuple[Edit, ...]) -> Iterator[bytes]:
    for edit in line_edits:
        pieces = edit(pieces)
    return iter(pieces)
