"""Cancel a call at its n-th step: every resumption of one of the library's own coroutine tasks is a step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any

from tests.conftest import tasks_of_the_library


class Steps:
    """Counts the steps of the library's tasks, and calls `action` before the ones chosen."""

    def __init__(self, at: set[int], action: Callable[[], None]) -> None:
        self.taken = 0
        self._at = at
        self._action = action

    def factory(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        """A task factory for the event loop."""
        if _is_ours(coroutine):
            coroutine = _Counted(coroutine, self)
        return asyncio.Task(coroutine, loop=loop, **options)

    def step(self) -> None:
        """One more."""
        self.taken += 1
        if self.taken in self._at:
            self._action()


async def run_and_cancel(call: Coroutine[Any, Any, Any], steps: set[int]) -> tuple[int, asyncio.Task[Any]]:
    """Run a call and cancel it at these steps; return how many steps it took, and its task, which is done."""

    def cancel() -> None:
        task.cancel()

    loop = asyncio.get_running_loop()
    counted = Steps(steps, cancel)
    loop.set_task_factory(counted.factory)
    try:
        task = loop.create_task(call)
        await asyncio.wait({task}, timeout=20)
    finally:
        loop.set_task_factory(None)
    assert task.done(), f"a cancel at {steps} hangs"
    assert tasks_of_the_library() == []
    return counted.taken, task


class _Counted(Coroutine[Any, Any, Any]):
    def __init__(self, inner: Coroutine[Any, Any, Any], steps: Steps) -> None:
        self._inner = inner
        self._steps = steps

    def send(self, value: Any) -> Any:
        self._steps.step()
        return self._inner.send(value)

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None) -> Any:
        return self._inner.throw(kind) if value is None else self._inner.throw(kind, value, trace)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError


def _is_ours(coroutine: Any) -> bool:
    file = getattr(getattr(coroutine, "cr_code", None), "co_filename", "").replace("\\", "/")
    return "/mixpanel_async/" in file and "/mixpanel_async/testing/" not in file
