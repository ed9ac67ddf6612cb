"""Ctrl-C and SIGTERM: the first signal cancels the work, which then ends as after any cancel."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
SIGNALS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}


class CutShortError(Exception):
    """A signal ended the work."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(SIGNALS[number])
        self.exit_code = 128 + number
        """128 and the signal's number, as in shells."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on an event loop of its own.

    Raises:
        CutShortError: a signal came; raised when the cancelled `work` has ended. Later signals are ignored, so that a
            second Ctrl-C does not cut the clean-up short.
        KeyboardInterrupt: Ctrl-C on Windows, where event loops handle no signals, after `work` was cancelled.
    """
    came: list[signal.Signals] = []
    try:
        result = asyncio.run(_until_signal(work, came))
    except asyncio.CancelledError:
        if not came:
            raise
    if came:
        raise CutShortError(came[0])
    return result


async def _until_signal(work: Coroutine[Any, Any, T], came: list[signal.Signals]) -> T:
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()

    def end(number: signal.Signals) -> None:
        if not came:
            task.cancel()
        came.append(number)

    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, and threads that are not the main one
        for number in SIGNALS:
            loop.add_signal_handler(number, end, number)
    try:
        return await task
    finally:
        for number in SIGNALS if came else ():
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
