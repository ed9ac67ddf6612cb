"""For tables: insert ids that occur more than once in a long chunk, found before it is decoded.

A row that is deleted after its insert makes DuckDB write its whole chunk a second time, so duplicates should be
in memory together. In a long chunk they can be a million rows apart. This first pass reads only the ids, which is
cheap. It misses ids that are spelled in an unusual way; their duplicates are deleted from the table at the end.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from mixpanel_async.decode.event_batches import GROUP_SIZE
from mixpanel_async.decode.gunzip import gunzip
from mixpanel_async.decode.lines import Blocks
from mixpanel_async.errors import ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

LONG_DAY = 8 << 20
"""This pass is worth its cost if a day's body, still gzip, has at least so many bytes; a shorter one fits in memory."""

_SLOTS = 1 << 28
"""Bits that ids are hashed to. Of five million ids, one in a hundred shares a bit with another by chance; then its row
is only held longer."""

_FOUND_MAX = 1 << 20
"""Ids that are recorded. The rows of so many do not fit in memory (`duck.dedup.HELD_FOR_DUPLICATES`)."""

_MARK = b'"$insert_id":"'


class IdSet:
    """A set of insert ids, as their hashes: eight bytes each. Two ids share a hash with a chance of 1 in 2^64."""

    def __init__(self, hashes: Iterable[int] = ()) -> None:
        """`hashes` are Python's, of the ids as UTF-8."""
        self._hashes: NDArray[np.int64] = np.unique(np.fromiter(hashes, np.int64))

    def __len__(self) -> int:
        return len(self._hashes)

    def contains(self, insert_ids: Iterable[str | None]) -> NDArray[np.bool_]:
        """Return which of these ids are in the set."""
        hashes = np.fromiter((hash((insert_id or "").encode()) for insert_id in insert_ids), np.int64)
        if not len(self):
            return np.zeros(len(hashes), np.bool_)
        places = np.searchsorted(self._hashes, hashes)
        return np.equal(self._hashes[np.minimum(places, len(self) - 1)], hashes)


class RepeatedIds:
    """Reads a chunk's bodies a step at a time, in a thread."""

    def __init__(self, bodies: Iterable[Iterable[bytes]]) -> None:
        self._blocks = chain.from_iterable(Blocks(gunzip(body)) for body in bodies)
        self._seen = np.zeros(_SLOTS >> 3, np.uint8).data  # lazily zeroed, unlike a bytearray
        self._found = array("q")

    def found(self) -> IdSet:
        """Return the ids that occurred more than once so far, and a few that only share a bit with another.

        If there are more than `_FOUND_MAX`, some are missing: their duplicates are deleted from the table, too.
        """
        return IdSet(self._found)

    def read(self) -> bool:
        """Read about `GROUP_SIZE` bytes; return whether there is more. A body that is not whole ends it."""
        size = 0
        with suppress(ConnectionLostError):  # `decode` will raise it
            for block in self._blocks:
                self._read_block(block)
                size += len(block)
                if self._is_full():
                    return False
                if size >= GROUP_SIZE:
                    return True
        return False

    def _read_block(self, block: bytes) -> None:
        seen, found = self._seen, self._found
        for text in islice(block.split(_MARK), 1, None):
            insert_id = text[: text.find(b'"')]
            hashed = hash(insert_id)
            slot = hashed % _SLOTS
            byte, bit = slot >> 3, 1 << (slot & 7)
            if seen[byte] & bit:
                found.append(hashed)
            seen[byte] |= bit

    def _is_full(self) -> bool:
        """Whether no more ids can be recorded. An id that occurs often is recorded often until there are too many."""
        if len(self._found) < 2 * _FOUND_MAX:
            return False
        self._found = array("q", np.unique(self._found).tobytes())
        return len(self._found) >= _FOUND_MAX
