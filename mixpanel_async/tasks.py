"""Several tasks: which error of them is raised, the result of one, and cancelling all."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from mixpanel_async.threads import wait_for_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


@contextmanager
def raise_first_cause() -> Iterator[None]:
    """Raise the first error of a task group instead of the group, so that callers can catch it by its class."""
    try:
        yield
    except BaseExceptionGroup as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


async def result_of(task: asyncio.Task[T]) -> T:
    """Return the result of a stream's task.

    Raises:
        RuntimeError: the task was cancelled and the caller was not: the client was closed.
    """
    try:
        return await task
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if task.cancelled() and current is not None and not current.cancelling():
            raise RuntimeError("The client was closed while this stream ran.") from None
        raise


def has_failed(task: asyncio.Task[T]) -> bool:
    """Whether it has ended without a result."""
    return task.done() and (task.cancelled() or task.exception() is not None)


async def cancel_all(tasks: Sequence[asyncio.Task[T]]) -> tuple[list[T], asyncio.CancelledError | None]:
    """Cancel tasks and wait for them, however often the caller is cancelled.

    Returns:
        The results of those that had one, and the caller's last cancel, which it should raise.
    """
    for task in tasks:
        task.cancel()
    cancelled = await wait_for_all(tasks)
    return [task.result() for task in tasks if not has_failed(task)], cancelled


def check_workers(max_workers: int) -> None:
    """Check the argument. Raises ValueError, which says the rule."""
    if isinstance(max_workers, bool) or not isinstance(max_workers, int) or max_workers < 1:
        raise ValueError(f"max_workers must be a whole number, 1 or more, not {max_workers!r}.")
