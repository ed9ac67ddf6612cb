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
INTERRUPT_AGAIN = 0.02
"""Seconds between two calls of an `interrupt`."""


class Cores:
    """Runs work that keeps a core busy: no more at once than there are cores, so that the event loop finds one free."""

    def __init__(self, count: int = CORES) -> None:
        self._free = asyncio.Semaphore(count)

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Wait for a core, then do as `finish_in_thread`. A cancel while it waits starts nothing."""
        async with self._free:
            return await finish_in_thread(function, *arguments)


async def finish_in_thread(
    function: Callable[..., T], *arguments: object, interrupt: Callable[[], object] | None = None
) -> T:
    """Run `function` in a thread and wait for its end, however often the caller is cancelled meanwhile.

    A cancelled `asyncio.to_thread` returns at once while the thread goes on, so a rollback could overtake the insert
    that it should undo. Here a cancel is raised when the thread has ended. If the thread failed, too, its error is
    added to the cancel as a note.

    `interrupt` is called on the event loop after a cancel, again and again until the thread has ended: it may come
    between two statements, where it has no effect.
    """
    call = partial(contextvars.copy_context().run, _without_stop_iteration, function, *arguments)
    # A plain future, not a task: `asyncio.run` cancels every task at its end, and would abandon the thread.
    work = asyncio.get_running_loop().run_in_executor(None, call)
    if (cancelled := await wait_for_all([work], interrupt)) is not None:
        if (failure := work.exception()) is not None:
            cancelled.add_note(f"and the thread that was waited for failed: {failure!r}")
        raise cancelled
    return work.result()


async def wait_for_all(
    works: Sequence[asyncio.Future[T]], interrupt: Callable[[], object] | None = None
) -> asyncio.CancelledError | None:
    """Wait until all are done, however often the caller is cancelled; return the last cancel, for the caller to
    raise. For `interrupt`, see `finish_in_thread`.
    """
    cancelled: asyncio.CancelledError | None = None
    while not all(work.done() for work in works):
        again = None if cancelled is None or interrupt is None else INTERRUPT_AGAIN
        try:
            await asyncio.wait(works, timeout=again)  # unlike `await work`, this never cancels it
        except asyncio.CancelledError as error:
            cancelled = error
        if cancelled is not None and interrupt is not None:
            interrupt()
    return cancelled


def _without_stop_iteration(function: Callable[..., T], *arguments: object) -> T:
    try:
        return function(*arguments)
    except StopIteration as error:  # a future refuses it, and would never be done
        raise RuntimeError("StopIteration was raised in a thread") from error
