"""Several tasks: what a group of them raises, what became of one, and the end of all."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from mixpanel_async.threads import outlast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


@contextmanager
def first_alone() -> Iterator[None]:
    """Raise the first cause of a group: what a caller can catch by name."""
    try:
        yield
    except BaseExceptionGroup as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


async def result_of(task: asyncio.Task[T]) -> T:
    """What a stream's task gives.

    Raises:
        RuntimeError: it was cancelled, and who waits was not: the client was closed.
    """
    try:
        return await task
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if task.cancelled() and current is not None and not current.cancelling():
            raise RuntimeError("The client was closed while this stream ran.") from None
        raise


def has_failed(task: asyncio.Task[T]) -> bool:
    """Whether it is over and gave nothing."""
    return task.done() and (task.cancelled() or task.exception() is not None)


async def end(tasks: Sequence[asyncio.Task[T]]) -> tuple[list[T], asyncio.CancelledError | None]:
    """Cancel tasks and wait for them, however often that is cancelled; gives what they gave, and a cancel to raise."""
    for task in tasks:
        task.cancel()
    cancelled = await outlast(tasks)
    return [task.result() for task in tasks if not has_failed(task)], cancelled
