"""The caller's hooks: called while a fetch runs, one call after the other, in a task of their own."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

logger = logging.getLogger(__name__)
T = TypeVar("T")


def check_progress(progress: object) -> None:
    """Check a `progress` argument: a hook, True, False or None. Raises ValueError, as `check_hook`."""
    if not isinstance(progress, bool):
        check_hook("progress", progress, others="True (a bar), ")


def check_hook(argument: str, hook: object, *, others: str = "") -> None:
    """Check that a caller's hook can be called with one argument. `others` are values that it may also have.

    Raises:
        ValueError: names the argument and what it must be.
    """
    if hook is None:
        return
    if not callable(hook):
        raise ValueError(f"{argument} must be {others}a function or a coroutine function, not {hook!r}.")  # noqa: TRY004
    try:
        inspect.signature(hook).bind(object())
    except TypeError:
        raise ValueError(f"{argument} is called with one argument, which {hook!r} does not take.") from None
    except ValueError:  # a builtin without a signature
        return


class _Latest:
    """In a queue: the value that is the latest when it is taken out."""


_LATEST = _Latest()


class HookCalls(Generic[T]):
    """The calls of one hook, in a queue. `notify` never blocks, so a slow hook holds nothing back."""

    def __init__(self, hook: Callable[[T], object] | None) -> None:
        self._hook = hook
        self._queue: asyncio.Queue[T | _Latest | None] = asyncio.Queue()
        self._latest: list[T] = []
        self._failures = 0

    def notify(self, progress: T) -> None:
        """Queue one call."""
        if self._hook is not None:
            self._queue.put_nowait(progress)

    def notify_latest(self, progress: T) -> None:
        """Queue one call, in place of one that was queued in this way and was not made yet."""
        if self._hook is not None:
            if not self._latest:
                self._queue.put_nowait(_LATEST)
            self._latest = [progress]

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
            if self._failures > 1:
                logger.warning("The progress hook failed %d times.", self._failures)

    async def _make_calls(self, hook: Callable[[T], object]) -> None:
        while (queued := await self._queue.get()) is not None:
            progress = self._latest.pop() if isinstance(queued, _Latest) else queued
            try:
                await _call(hook, progress)
            except asyncio.CancelledError as error:
                current = asyncio.current_task()
                if current is None or current.cancelling():
                    raise
                self._log_failure(error)  # the hook awaited something that was cancelled
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the fetch goes on
                self._log_failure(error)

    def _log_failure(self, error: BaseException) -> None:
        """Log the first failure; a hook that always fails would fill the log."""
        self._failures += 1
        if self._failures == 1:
            logger.error("A progress hook failed; the fetch goes on.", exc_info=error)


async def _call(hook: Callable[[T], Any], progress: T) -> None:
    """Await a coroutine function here; call a plain function in a thread, where it may block."""
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__):
        await hook(progress)
        return
    result = await finish_in_thread(hook, progress)
    if inspect.isawaitable(result):
        await result
