"""Pace: how many requests at once, in a second and in an hour, for all calls of one client together.

Source: Mixpanel's docs give the export 3 a second, 60 an hour and 100 at once, a project, in rolling windows, and
queries 60 an hour and 5 at once beside that. Every attempt counts, and a 429 makes everybody wait, not only the one
who met it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SECOND = 1.1
"""A second, and a tenth for the network, which may bring requests closer together than they left."""
HOUR = 3601.0
"""An hour, and a second for the same reason."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a client allows itself, in whole requests."""

    per_second: int = 3
    per_hour: int = 60
    concurrent: int = 100
    queries_per_hour: int = 60
    """Of profiles and lookups; they are counted apart from exports."""
    concurrent_queries: int = 5

    def __post_init__(self) -> None:
        """Hold the rules."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"RateLimits.{field.name} must be a whole number, 1 or more.")

    @property
    def of_queries(self) -> RateLimits:
        """The limits that a limiter of queries holds: none a second."""
        hour = self.queries_per_hour
        return replace(self, per_second=hour, per_hour=hour, concurrent=self.concurrent_queries)


class Limiter:
    """Lets requests go, first come, first served. Belongs to one event loop."""

    def __init__(
        self,
        limits: RateLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.per_hour = limits.per_hour
        self.concurrent = limits.concurrent
        self._windows = ((SECOND, limits.per_second), (HOUR, limits.per_hour))
        self._started: deque[float] = deque(maxlen=max(limits.per_second, limits.per_hour))
        self._open = asyncio.Semaphore(limits.concurrent)
        self._turn = asyncio.Lock()
        self._paused_until = -math.inf
        self._clock = clock
        self._sleep = sleep

    @asynccontextmanager
    async def slot(self, *, counted: bool = True) -> AsyncIterator[None]:
        """Wait for a place and hold it while the request is open. A cancelled wait takes nothing.

        One that is not `counted` keeps to the places and to pauses, and the windows do not know of it.
        """
        if counted:
            async with self._turn:  # the head of the line waits for the clock and a place, the others for the head
                await self._take_place(self.wait)
                self._started.append(self._clock())
        else:
            await self._take_place(lambda: self._paused_until - self._clock())
        try:
            yield
        finally:
            self._open.release()

    async def _take_place(self, wait: Callable[[], float]) -> None:
        """Take a place when there is nothing to `wait` for. Who waits for the clock holds none: it may be an hour."""
        while True:
            while (seconds := wait()) > 0:
                await self._sleep(seconds)
            await self._open.acquire()
            if wait() <= 0:
                return
            self._open.release()  # a pause began while it waited for the place

    def pause(self, seconds: float) -> None:
        """Let nobody go for so long: what a 429 asks for. A longer pause that is running stays."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def wait(self) -> float:
        """Seconds until the next request may go, 0 for now; places of requests that are open aside."""
        now = self._clock()
        free_at = [self._paused_until]
        for window, most in self._windows:
            if len(self._started) >= most:
                free_at.append(self._started[-most] + window)
        return max(0.0, max(free_at) - now)
