"""Holds a body, still gzip, between its download and its decoding: in memory up to a limit that all chunks share,
above it in an unnamed temporary file.
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

MEMORY_SIZE = 48 << 20
"""Bytes in memory, for all spools of a call together."""

SPILL = 1 << 20
"""Bytes that are written to the file, or read from it, at a time."""


class MemoryBudget:
    """Bytes of memory that several users share."""

    def __init__(self, size: int = MEMORY_SIZE) -> None:
        self.free = size
        self._lock = threading.Lock()  # acquired on the event loop, released in threads

    def acquire(self, size: int) -> bool:
        """Take `size` bytes; return False, and take none, if fewer are free."""
        with self._lock:
            if size > self.free:
                return False
            self.free -= size
            return True

    def release(self, size: int) -> None:
        """Return bytes that were acquired."""
        with self._lock:
            self.free += size


class Spool:
    """One body: written on the event loop as it arrives, then read in a thread.

    An async context manager: at its end memory and file are freed, whether the body was read or not. The file is closed
    in a thread, because the system may take half a second to free some hundred MB.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self.size = 0
        """Bytes written."""
        self._budget = budget
        self._memory: deque[bytes] = deque()
        self._unwritten: list[bytes] = []
        self._file: IO[bytes] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Free memory and file; do nothing if that is done."""
        while self._memory:
            self._pop()
        self._unwritten.clear()
        if self._file is not None:
            with suppress(OSError):  # closing writes again what a full disk did not take
                await finish_in_thread(self._file.close)

    @property
    def is_on_disk(self) -> bool:
        """Whether some of it is in a file."""
        return self._file is not None

    async def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            StoreError: the directory for temporary files is full.
        """
        self.size += len(data)
        if self._file is None and not self._unwritten and self._budget.acquire(len(data)):
            self._memory.append(data)
            return
        self._unwritten.append(data)
        if sum(map(len, self._unwritten)) >= SPILL:
            await finish_in_thread(self._spill)

    def peek(self) -> Iterator[bytes]:
        """Yield the body, which can be read again. Blocks on the file, so it runs in a thread."""
        yield from self._memory
        yield from self._spilled()

    def read(self) -> Iterator[bytes]:
        """Yield the body once; memory is freed on the way. Blocks on the file, so it runs in a thread."""
        while self._memory:
            yield self._pop()
        yield from self._spilled()

    def _spilled(self) -> Iterator[bytes]:
        if self._file is not None:
            self._file.seek(0)
            while data := self._file.read(SPILL):
                yield data
        yield from self._unwritten

    def _pop(self) -> bytes:
        data = self._memory.popleft()
        self._budget.release(len(data))
        return data

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
