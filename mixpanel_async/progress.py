"""What the caller hears while a fetch runs: one call after the other, in a task of its own."""

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
    """A hook's calls, waiting in line. `tell` never blocks, so a slow hook holds nothing back."""

    def __init__(self, hook: Callable[[T], Awaitable[None] | None] | None) -> None:
        self._hook = hook
        self._line: asyncio.Queue[T | None] = asyncio.Queue()

    def tell(self, news: T) -> None:
        """Queue one call."""
        if self._hook is not None:
            self._line.put_nowait(news)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make the calls while the block runs. At its end wait for those still in line; on an error drop them."""
        if self._hook is None:
            yield
            return
        calls = asyncio.create_task(self._make(self._hook))
        try:
            yield
            self._line.put_nowait(None)
            await calls
        finally:
            calls.cancel()
            await asyncio.gather(calls, return_exceptions=True)

    async def _make(self, hook: Callable[[T], Awaitable[None] | None]) -> None:
        while (news := await self._line.get()) is not None:
            try:
                await _call(hook, news)
            except Exception:
                logger.exception("A progress hook failed; the fetch goes on.")


async def _call(hook: Callable[[T], Any], news: T) -> None:
    """Await a coroutine function here; give a plain function a thread, where it may take its time."""
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__):
        await hook(news)
        return
    answer = await finish_in_thread(hook, news)
    if inspect.isawaitable(answer):
        await answer
