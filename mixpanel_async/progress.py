"""The caller's hooks: called while a fetch runs, one call after the other, in a task of their own."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

logger = logging.getLogger("mixpanel_async")
T = TypeVar("T")


class HookCalls(Generic[T]):
    """The calls of one hook, in a queue. `notify` never blocks, so a slow hook holds nothing back."""

    def __init__(self, hook: Callable[[T], Awaitable[None] | None] | None) -> None:
        self._hook = hook
        self._queue: asyncio.Queue[T | None] = asyncio.Queue()

    def notify(self, progress: T) -> None:
        """Queue one call."""
        if self._hook is not None:
            self._queue.put_nowait(progress)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make the calls while the block runs. At its end wait for those in the queue; after an error drop them."""
        if self._hook is None:
            yield
            return
        calls = asyncio.create_task(self._make_calls(self._hook))
        try:
            yield
            self._queue.put_nowait(None)
            await calls
        finally:
            calls.cancel()
            await asyncio.gather(calls, return_exceptions=True)

    async def _make_calls(self, hook: Callable[[T], Awaitable[None] | None]) -> None:
        while (progress := await self._queue.get()) is not None:
            try:
                await _call(hook, progress)
            except Exception:
                logger.exception("A progress hook failed; the fetch goes on.")


async def _call(hook: Callable[[T], Any], progress: T) -> None:
    """Await a coroutine function here; call a plain function in a thread, where it may block."""
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__):
        await hook(progress)
        return
    result = await finish_in_thread(hook, progress)
    if inspect.isawaitable(result):
        await result
