"""A clock that moves only when somebody sleeps."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count


class Clock:
    """Time that leaps to the next sleeper's end when nothing else is to do."""

    def __init__(self):
        self.now = 1_000.0
        self._sleepers, self._order = [], count()

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), wake))
        await wake

    async def until_idle(self):
        """Let every task run as far as it can without time."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def run(self, *tasks):
        """Move on until these tasks are done."""
        while not all(task.done() for task in tasks):
            await self.until_idle()
            if all(task.done() for task in tasks):
                break
            assert self._sleepers, "everybody waits and nobody sleeps"
            wake_at, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                self.now = max(self.now, wake_at)
                wake.set_result(None)
        return [task.result() for task in tasks]
