"""Work in threads that is never abandoned."""

from __future__ import annotations

import asyncio
import contextvars
import os
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


CORES = max(2, os.cpu_count() or 2)


class Cores:
    """Work that keeps a core busy: as much of it at once as there are cores, so that the event loop finds one free."""

    def __init__(self, count: int = CORES) -> None:
        self._free = asyncio.Semaphore(count)

    async def finish(self, function: Callable[..., T], *arguments: object) -> T:
        """Wait for a core, then do as `finish_in_thread`. A cancel that comes while it waits leaves nothing begun."""
        async with self._free:
            return await finish_in_thread(function, *arguments)


async def finish_in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run `function` in a thread and wait for its end, however often the caller is cancelled meanwhile.

    A cancelled `asyncio.to_thread` returns at once while the thread goes on, so that a rollback could overtake the
    insert it means to undo. Here a cancel is remembered and raised when the thread has ended; if the thread failed
    too, its error is noted on the cancel.
    """
    call = partial(contextvars.copy_context().run, _guarded, function, *arguments)
    # A plain future, not a task: `asyncio.run` cancels every task at its end, and the thread would be abandoned.
    work = asyncio.get_running_loop().run_in_executor(None, call)
    if (cancelled := await outlast([work])) is not None:
        if (failure := work.exception()) is not None:
            cancelled.add_note(f"and the thread that was waited for failed: {failure!r}")
        raise cancelled
    return work.result()


async def outlast(works: Sequence[asyncio.Future[T]]) -> asyncio.CancelledError | None:
    """Wait until all are done, however often that is cancelled; gives the last cancel, for the caller to raise."""
    cancelled: asyncio.CancelledError | None = None
    while not all(work.done() for work in works):
        try:
            await asyncio.wait(works)  # unlike `await work`, this never cancels it
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


def _guarded(function: Callable[..., T], *arguments: object) -> T:
    try:
        return function(*arguments)
    except StopIteration as error:  # a future refuses it, and would never be done
        raise RuntimeError("StopIteration was raised in a thread") from error
