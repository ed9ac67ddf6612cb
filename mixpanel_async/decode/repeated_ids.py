"""Insert ids that come twice in a chunk, seen before it is decoded: a hint, so that copies wait for one another.

A row that is deleted after its insert costs its whole chunk a second way to disk, so copies must be in memory
together. In a long chunk they can be a million rows apart. Looking at the ids alone is cheap; what is overlooked (an
id that is spelled in an unusual way) is found in the table later.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from mixpanel_async.decode.arrow_blocks import GROUP, LongLineError, blocks, gunzip

if TYPE_CHECKING:
    from collections.abc import Iterable

LONG = 8 << 20
"""Bytes of a day's body, still gzip, from which on it is looked through: no more text than the store holds at a time
comes of less."""

_SLOTS = 1 << 28
"""Bits that ids are hashed to: of five million ids one in a hundred is taken for another's copy, and only waits."""

_MARK = b'"$insert_id":"'


class RepeatedIds:
    """Reads a chunk's bodies a part at a time, in a thread."""

    def __init__(self, bodies: Iterable[Iterable[bytes]]) -> None:
        self._blocks = chain.from_iterable(blocks(gunzip(body)) for body in bodies)
        self._seen = np.zeros(_SLOTS >> 3, np.uint8).data  # a bytearray's zeros are written: the loop would wait
        self.found: set[str] = set()
        """The ids that came twice so far, and a few that only share a slot with another."""

    def read(self) -> bool:
        """Read on; gives whether there is more.

        Raises:
            ConnectionLostError: as in decoding, which comes next.
        """
        size = 0
        with suppress(LongLineError):  # decoding will tell where
            for block in self._blocks:
                self._look(block)
                size += len(block)
                if size >= GROUP:
                    return True
        return False

    def _look(self, block: bytes) -> None:
        seen = self._seen
        for piece in islice(block.split(_MARK), 1, None):
            insert_id = piece[: piece.find(b'"')]
            slot = hash(insert_id) % _SLOTS
            byte, bit = slot >> 3, 1 << (slot & 7)
            if seen[byte] & bit:
                self.found.add(insert_id.decode("utf-8", "replace"))
            seen[byte] |= bit
