"""Tells the caller's `progress` hook how far a fetch is."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
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
        self._now = FetchProgress(total_chunks)
        self._told_at = 0.0

    @contextmanager
    def watching(self, waits: Waits) -> Iterator[None]:
        """Tell also of long waits, while the block runs; first of all that nothing has come yet."""
        self._waiting(waits.current)
        waits.watchers.append(self._waiting)
        try:
            yield
        finally:
            waits.watchers.remove(self._waiting)

    def received(self, size: int) -> None:
        """Count bytes."""
        self._now = replace(self._now, bytes=self._now.bytes + size)
        if time.monotonic() >= self._told_at + BYTES_EVERY:
            self._tell()

    def retried(self) -> None:
        """Count a request that is sent again."""
        self._now = replace(self._now, retries=self._now.retries + 1)
        self._tell()

    def ended(self, outcome: Outcome) -> None:
        """Count a chunk that is committed or has failed."""
        now = self._now
        self._now = replace(
            now,
            chunks=now.chunks + 1,
            rows=now.rows + outcome.result.rows,
            rejected_rows=now.rejected_rows + outcome.rejected_rows,
        )
        self._tell()

    def _waiting(self, waiting: Waiting | None) -> None:
        until, reason = (None, None) if waiting is None else (waiting.until, waiting.reason)
        self._now = replace(self._now, waiting_until=until, waiting_for=reason)
        self._tell()

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        self.hooks.notify_latest(self._now)
