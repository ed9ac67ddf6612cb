"""Tells the caller's `progress` hook how far a fetch is."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from mixpanel_async.progress import HookCalls
from mixpanel_async.types import FetchProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mixpanel_async.api.waiting import Waiting, Waits
    from mixpanel_async.export.results import Outcome

    ProgressHook = Callable[[FetchProgress], object]

BYTES_EVERY = 0.25
"""Seconds between two calls that only tell of more bytes."""


class FetchMeter:
    """Counts what happens in one call, and tells it at once; of bytes a few times a second."""

    def __init__(self, hook: ProgressHook | None, total_chunks: int) -> None:
        self.hooks: HookCalls[FetchProgress] = HookCalls(hook)
        """Its `running` makes the calls."""
        self._total_chunks = total_chunks
        self._chunks = self._rows = self._bytes = self._retries = self._rejected_rows = 0
        self._waiting: dict[Waits, Waiting] = {}
        self._told_at = 0.0

    @contextmanager
    def watching(self, *watched: Waits) -> Iterator[None]:
        """Tell also of long waits, while the block runs; first of all that nothing has come yet."""
        with ExitStack() as stack:
            for waits in watched:
                watcher = partial(self._waits, waits)
                watcher(waits.current)
                waits.watchers.append(watcher)
                stack.callback(waits.watchers.remove, watcher)
            yield

    def received(self, size: int) -> None:
        """Count bytes."""
        self._bytes += size
        if time.monotonic() >= self._told_at + BYTES_EVERY:
            self._tell()

    def retried(self) -> None:
        """Count a request that is sent again."""
        self._retries += 1
        self._tell()

    def ended(self, outcome: Outcome) -> None:
        """Count a chunk that is committed or has failed."""
        self._chunks += 1
        self._rows += outcome.result.rows
        self._rejected_rows += outcome.rejected_rows
        self._tell()

    def _waits(self, waits: Waits, waiting: Waiting | None) -> None:
        self._waiting.pop(waits, None)
        if waiting is not None:
            self._waiting[waits] = waiting
        self._tell()

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        until, reason = next(((each.until, each.reason) for each in self._waiting.values()), (None, None))
        self.hooks.notify_latest(
            FetchProgress(
                self._total_chunks,
                self._chunks,
                self._rows,
                self._bytes,
                self._retries,
                self._rejected_rows,
                until,
                reason,
            )
        )
