"""How far a call is: told to the caller's `progress` hook, or shown as a bar."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Literal

from mixpanel_async.progress import HookCalls
from mixpanel_async.tasks import cancel_all
from mixpanel_async.types import FetchProgress
from mixpanel_async.written import ExportProgress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from mixpanel_async.api.waiting import Waiting, Waits

    ProgressHook = Callable[[FetchProgress], object]
    Progress = ProgressHook | bool | None
    ExportHook = Callable[[ExportProgress], object]

EVERY = 0.25
"""Seconds between two calls that only tell of more bytes."""


class FetchMeter:
    """Counts what happens in one call, and tells it at once; of bytes a few times a second."""

    def __init__(
        self,
        progress: Progress,
        table: str,
        total_chunks: int = 0,
        *,
        chunks: Literal["chunks", "pages"] = "chunks",
    ) -> None:
        """`chunks` is what the bar calls them."""
        self._hooks: HookCalls[FetchProgress] = HookCalls(None if isinstance(progress, bool) else progress)
        self._bar = partial(_bar, progress, table, chunks)
        self._total_chunks = total_chunks
        self._chunks = self._rows = self._bytes = self._retries = self._rejected_rows = self._failed_chunks = 0
        self._waiting: dict[Waits, Waiting] = {}
        self._told_at = 0.0

    @asynccontextmanager
    async def running(self, *watched: Waits) -> AsyncIterator[None]:
        """Tell the hook, or show the bar, while the block runs: first of all that nothing has come yet. After an error
        the hook hears nothing more. Long waits are those of `watched`.
        """
        async with self._hooks.running(), self._bar(self.now):
            with self._watching(*watched):
                yield

    def expect(self, chunks: int) -> None:
        """Set how many chunks there are in all, before the next is counted."""
        self._total_chunks = chunks

    def received(self, size: int) -> None:
        """Count bytes."""
        self._bytes += size
        if time.monotonic() >= self._told_at + EVERY:
            self._tell()

    def retried(self) -> None:
        """Count a request that is sent again."""
        self._retries += 1
        self._tell()

    def ended(self, rows: int, *, rejected_rows: int = 0, has_failed: bool = False) -> None:
        """Count a chunk that is committed or has failed."""
        self._chunks += 1
        self._rows += rows
        self._rejected_rows += rejected_rows
        self._failed_chunks += has_failed
        self._tell()

    def begin_again(self) -> None:
        """Forget the chunks: all of them are requested again."""
        self._chunks = self._rows = self._failed_chunks = 0

    def now(self) -> FetchProgress:
        """Return how far the call is."""
        until, reason = next(((each.until, each.reason) for each in self._waiting.values()), (None, None))
        return FetchProgress(
            self._total_chunks,
            self._chunks,
            self._rows,
            self._bytes,
            self._retries,
            self._rejected_rows,
            until,
            reason,
            self._failed_chunks,
        )

    @contextmanager
    def _watching(self, *watched: Waits) -> Iterator[None]:
        with ExitStack() as stack:
            for waits in watched:
                watcher = partial(self._waits, waits)
                watcher(waits.current)
                waits.watchers.append(watcher)
                stack.callback(waits.watchers.remove, watcher)
            yield

    def _waits(self, waits: Waits, waiting: Waiting | None) -> None:
        self._waiting.pop(waits, None)
        if waiting is not None:
            self._waiting[waits] = waiting
        self._tell()

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        self._hooks.notify_latest(self.now())


class ExportMeter:
    """Counts what one export writes, in the thread that writes it; tells it a few times a second, on the event loop."""

    def __init__(self, table: str, *, progress: ExportHook | bool | None) -> None:
        self._hooks: HookCalls[ExportProgress] = HookCalls(None if isinstance(progress, bool) else progress)
        self._bar = partial(_bar, progress, table, "files")
        self._total_files = self._files = self._rows = self._bytes = 0
        self._sizes: tuple[int, Path | None] = (0, None)  # one value, because two threads use it
        self._told: ExportProgress | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell the hook, or show the bar, while the block runs, and once more at its end. After an error the hook
        hears nothing more.
        """
        async with self._hooks.running(), self._bar(self._as_fetch):
            telling = asyncio.create_task(self._tell_often())
            try:
                yield
            finally:
                _, cancelled = await cancel_all([telling])
                if cancelled is not None:
                    raise cancelled
            self._tell()

    def expect(self, files: int) -> None:
        """Set how many files there are in all, and begin with the first one: an export may be written again."""
        self._total_files, self._files, self._rows = files, 0, 0

    def began(self, file: Path) -> None:
        """Count, from now on, the bytes of a file that is not complete."""
        self._sizes = self._sizes[0], file

    def wrote(self, rows: int) -> None:
        """Count rows."""
        self._rows += rows

    def ended(self, file: Path) -> None:
        """Count a complete file."""
        self._sizes = self._sizes[0] + file.stat().st_size, None
        self._files += 1

    def now(self) -> ExportProgress:
        """Return how far the export is."""
        complete, writing = self._sizes
        self._bytes = max(self._bytes, complete + _size(writing))
        return ExportProgress(self._total_files, self._files, self._rows, self._bytes)

    def _as_fetch(self) -> FetchProgress:
        now = self.now()
        return FetchProgress(now.total_files, now.files, now.rows, now.bytes)

    async def _tell_often(self) -> None:
        while True:
            self._tell()
            await asyncio.sleep(EVERY)

    def _tell(self) -> None:
        if (now := self.now()) != self._told:
            self._told = now
            self._hooks.notify_latest(now)


def _size(file: Path | None) -> int:
    """Return the bytes of a file; 0 if it has its final name by now."""
    try:
        return 0 if file is None else file.stat().st_size
    except OSError:
        return 0


def _bar(
    progress: object, table: str, chunks: str, now: Callable[[], FetchProgress]
) -> AbstractAsyncContextManager[None]:
    """Show a bar while the block runs, if `progress` is True."""
    if progress is not True:
        return nullcontext()
    from mixpanel_async.progress_bar import shown  # noqa: PLC0415 - it imports tqdm, which takes a while

    return shown(now, table, chunks)
