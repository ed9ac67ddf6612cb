"""For tables: insert ids that occur more than once in a long chunk, found before it is decoded.

A row that is deleted after its insert makes DuckDB write its whole chunk a second time, so duplicates should be
in memory together. In a long chunk they can be a million rows apart. This first pass reads only the ids, which is
cheap. It misses ids that are spelled in an unusual way; their duplicates are deleted from the table at the end.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from mixpanel_async.decode.event_batches import GROUP_SIZE
from mixpanel_async.decode.gunzip import gunzip
from mixpanel_async.decode.lines import Blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

LONG_DAY = 8 << 20
"""This pass is worth its cost if a day's body, still gzip, has at least so many bytes; a shorter one fits in memory."""

_SLOTS = 1 << 28
"""Bits that ids are hashed to. Of five million ids, one in a hundred shares a bit with another by chance; then its row
is only held longer."""

_MARK = b'"$insert_id":"'


class RepeatedIds:
    """Reads a chunk's bodies a step at a time, in a thread."""

    def __init__(self, bodies: Iterable[Iterable[bytes]]) -> None:
        self._blocks = chain.from_iterable(Blocks(gunzip(body)) for body in bodies)
        self._seen = np.zeros(_SLOTS >> 3, np.uint8).data  # lazily zeroed, unlike a bytearray
        self.insert_ids: set[str] = set()
        """The ids that occurred more than once so far, and a few that only share a bit with another."""

    def read(self) -> bool:
        """Read about `GROUP_SIZE` bytes; return whether there is more.

        Raises:
            ConnectionLostError: the gzip is cut or damaged.
        """
        size = 0
        for block in self._blocks:
            self._read_block(block)
            size += len(block)
            if size >= GROUP_SIZE:
                return True
        return False

    def _read_block(self, block: bytes) -> None:
        seen = self._seen
        for text in islice(block.split(_MARK), 1, None):
            insert_id = text[: text.find(b'"')]
            slot = hash(insert_id) % _SLOTS
            byte, bit = slot >> 3, 1 << (slot & 7)
            if seen[byte] & bit:
                self.insert_ids.add(insert_id.decode("utf-8", "replace"))
            seen[byte] |= bit
