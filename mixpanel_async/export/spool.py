"""Where a body waits, still gzip, between its download and its decoding: in memory up to a bound that all chunks
share, in an unnamed temporary file beyond it.
"""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from mixpanel_async.errors import StoreError
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

MEMORY = 64 << 20
"""Bytes in memory, for all spools of a run together."""

SPILL = 1 << 20
"""Bytes that are written to the file at a time, and read from it."""


class Budget:
    """Bytes of memory that several spools share."""

    def __init__(self, left: int = MEMORY) -> None:
        self.left = left
        self._turn = threading.Lock()  # taken from on the event loop, given back to in threads

    def take(self, size: int) -> bool:
        """Take `size` bytes, or none where there are not so many."""
        with self._turn:
            if size > self.left:
                return False
            self.left -= size
            return True

    def give_back(self, size: int) -> None:
        """Return what was taken."""
        with self._turn:
            self.left += size


class Spool:
    """One body: written piece by piece from the event loop, then read from a thread; what is read is given back.

    An async context manager: the memory and the file are given back at its end, read or not. To let go of a file of
    some hundred MB takes the system up to half a second, so that is for a thread too.
    """

    def __init__(self, budget: Budget) -> None:
        self.size = 0
        """Bytes written."""
        self._budget = budget
        self._memory: deque[bytes] = deque()
        self._unwritten: list[bytes] = []
        self._file: IO[bytes] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._memory:
            self._give_back()
        self._unwritten.clear()
        if self._file is not None:
            with suppress(OSError):  # what a full disk did not take it tries to write once more
                await finish_in_thread(self._file.close)

    @property
    def is_on_disk(self) -> bool:
        """Whether some of it is in a file."""
        return self._file is not None

    async def write(self, piece: bytes) -> None:
        """Keep a piece.

        Raises:
            StoreError: the directory for temporary files takes no more.
        """
        self.size += len(piece)
        if self._file is None and not self._unwritten and self._budget.take(len(piece)):
            self._memory.append(piece)
            return
        self._unwritten.append(piece)
        if sum(map(len, self._unwritten)) >= SPILL:
            await finish_in_thread(self._spill)

    def look(self) -> Iterator[bytes]:
        """The body, which stays to be read. Blocks on the file, so it is for a thread."""
        yield from self._memory
        yield from self._spilled()

    def pieces(self) -> Iterator[bytes]:
        """The body, once. Blocks on the file, so it is for a thread."""
        while self._memory:
            yield self._give_back()
        yield from self._spilled()

    def _spilled(self) -> Iterator[bytes]:
        if self._file is not None:
            self._file.seek(0)
            while piece := self._file.read(SPILL):
                yield piece
        yield from self._unwritten

    def _give_back(self) -> bytes:
        piece = self._memory.popleft()
        self._budget.give_back(len(piece))
        return piece

    def _spill(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="mixpanel-async-")  # noqa: SIM115
            self._file.write(b"".join(self._unwritten))
            self._file.flush()
        except OSError as error:
            directory = tempfile.tempdir or "any directory for temporary files"
            raise StoreError(
                f"No room for a downloaded chunk in {directory}: {error.strerror}. Free some space, or set TMPDIR."
            ) from None
        self._unwritten.clear()
