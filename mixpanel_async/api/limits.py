"""How many requests at once, in a second and in an hour, for all calls of one client together.

Source: Mixpanel's docs allow a project 3 exports a second, 60 an hour and 100 at once, in rolling windows, and besides
these 60 queries an hour and 5 at once. Every attempt counts, and a 429 pauses every request of the project.
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
"""A second, and a tenth more: on the network requests may come closer together."""
HOUR = 3601.0
"""An hour, and a second for the same reason."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The limits that a client keeps to, in requests."""

    per_second: int = 3
    per_hour: int = 60
    concurrent: int = 100
    queries_per_hour: int = 60
    """Requests for profiles and lookups, which are counted apart from exports."""
    concurrent_queries: int = 5

    def __post_init__(self) -> None:
        """Check the values."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"RateLimits.{field.name} must be a whole number, 1 or more.")

    @property
    def of_queries(self) -> RateLimits:
        """Return the limits for queries; Mixpanel has no limit a second for them."""
        hour = self.queries_per_hour
        return replace(self, per_second=hour, per_hour=hour, concurrent=self.concurrent_queries)


class Limiter:
    """Lets requests pass, first in, first out. Belongs to one event loop."""

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
        self._queue = asyncio.Lock()
        self._paused_until = -math.inf
        self._clock = clock
        self._sleep = sleep

    @asynccontextmanager
    async def slot(self, *, counted: bool = True) -> AsyncIterator[None]:
        """Wait for a slot and hold it while the request is open. A cancelled wait takes nothing.

        A request that is not `counted` waits for a free slot and for pauses, and is not counted a second or an hour.
        """
        if counted:
            async with self._queue:  # FIFO: one request waits for the limits, the rest queue behind it
                await self._acquire_slot(self.wait)
                self._started.append(self._clock())
        else:
            await self._acquire_slot(lambda: self._paused_until - self._clock())
        try:
            yield
        finally:
            self._open.release()

    async def _acquire_slot(self, wait: Callable[[], float]) -> None:
        """Acquire a slot when `wait` returns 0. While it waits, which may be an hour, it holds no slot."""
        while True:
            while (seconds := wait()) > 0:
                await self._sleep(seconds)
            await self._open.acquire()
            if wait() <= 0:
                return
            self._open.release()  # a pause began while it waited for the slot

    def pause(self, seconds: float) -> None:
        """Let no request pass for so many seconds, as a 429 asks. A longer pause that is running stays."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def wait(self) -> float:
        """Return the seconds until the limits let the next request pass; free slots are not considered."""
        now = self._clock()
        free_at = [self._paused_until]
        for window, most in self._windows:
            if len(self._started) >= most:
                free_at.append(self._started[-most] + window)
        return max(0.0, max(free_at) - now)
