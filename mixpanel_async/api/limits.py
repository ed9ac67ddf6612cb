"""How many requests at once, in a second, a minute and an hour, for all calls of one client together.

Mixpanel has several limits for a project. Each has a limiter of its own, so that a 429 pauses only the requests that
count in the same limit. The windows are rolling, and every attempt counts.

exports      `/api/2.0/export`: 3 a second, 60 an hour and 100 at once (Mixpanel's docs).
queries      `/api/query/...`, which are profiles and the lookups of event names, top properties and cohorts: 60 an hour
             and 5 at once (Mixpanel's docs). Pages of profiles that name their session count only among those at once
             (a client by Mixpanel's staff).
lexicon      `/api/app/projects/{id}/schemas`, each page of a list: 5 a minute (Mixpanel's docs).
annotations  `/api/app/projects/{id}/annotations`: no limit is documented, and they do not count as queries (the same
             client).

For the last two no limit at once is documented; they keep to the one for queries.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from mixpanel_async.api.waiting import REPEAT_AFTER, Waits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

LimitName = Literal["exports", "queries", "lexicon", "annotations"]

SECOND = 1.1
"""A second, and a tenth more: on the network requests may come closer together."""
MINUTE = 61.0
"""A minute, and a second for the same reason."""
HOUR = 3601.0
"""An hour, and a second for the same reason."""
MOST = 1_000_000_000
"""The highest limit: no limit at all, in practice."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What one limiter keeps to, in requests; `None` is no limit."""

    requests: str
    """What it counts, in the plural."""
    concurrent: int
    per_second: int | None = None
    per_minute: int | None = None
    per_hour: int | None = None

    @property
    def windows(self) -> list[tuple[float, int, str]]:
        """The length of each window, in seconds, the most requests in it, and both in words."""
        windows = (
            (SECOND, self.per_second, "a second"),
            (MINUTE, self.per_minute, "a minute"),
            (HOUR, self.per_hour, "an hour"),
        )
        return [
            (seconds, most, f"the limit of {most:,} {self.requests} {unit}")
            for seconds, most, unit in windows
            if most is not None
        ]


@dataclass(frozen=True, slots=True)
class Budget:
    """Requests of the rolling hour."""

    left: int
    """How many could be sent now."""
    per_hour: int


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The limits that a client keeps to, in requests."""

    per_second: int = 3
    per_hour: int = 60
    concurrent: int = 100
    queries_per_hour: int = 60
    """Requests for profiles and lookups, which are counted apart from exports."""
    concurrent_queries: int = 5
    lexicon_per_minute: int = 5
    """Requests for the lexicon's schemas, which are counted apart from queries; each page of a list is one."""

    def __post_init__(self) -> None:
        """Check the values."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
                raise ValueError(f"RateLimits.{field.name} must be a whole number from 1 to {MOST:,}.")

    def of(self, name: LimitName) -> Limit:
        """Return one of Mixpanel's limits; the module's docstring says which requests count in it."""
        match name:
            case "exports":
                return Limit("exports", self.concurrent, per_second=self.per_second, per_hour=self.per_hour)
            case "queries":
                return Limit("queries", self.concurrent_queries, per_hour=self.queries_per_hour)
            case "lexicon":
                return Limit("requests for the lexicon", self.concurrent_queries, per_minute=self.lexicon_per_minute)
            case "annotations":
                return Limit("requests for annotations", self.concurrent_queries)


class Limiter:
    """Lets requests pass, first in, first out. Belongs to one event loop."""

    def __init__(
        self,
        limit: Limit,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now().astimezone(),
    ) -> None:
        """`clock` and `sleep` measure in seconds; `now` is the local time."""
        self.concurrent = limit.concurrent
        self.waits = Waits(clock, now)
        """What requests wait for, if they wait long."""
        self._windows = limit.windows
        self._started: deque[float] = deque(maxlen=max((most for _, most, _ in self._windows), default=0))
        self._open = asyncio.Semaphore(limit.concurrent)
        self._queue = asyncio.Lock()
        self._pause = self._counted_pause = (-math.inf, "")
        self._clock = clock
        self._sleep = sleep

    @property
    def per_hour(self) -> int:
        """The most requests that may pass in an hour."""
        return min(int(most * HOUR / seconds) for seconds, most, _ in self._windows)

    @asynccontextmanager
    async def slot(self, *, counted: bool = True) -> AsyncIterator[None]:
        """Wait for a slot and hold it while the request is open. A cancelled wait takes nothing.

        A request that is not `counted` waits for a free slot and for pauses of all requests; no window counts it.
        """
        with self.waits.request():
            if counted:
                async with self._queue:  # FIFO: one request waits for the limits, the rest queue behind it
                    await self._acquire_slot(self._free_at)
                    self._started.append(self._clock())
            else:
                await self._acquire_slot(lambda: self._pause)
        try:
            yield
        finally:
            self._open.release()

    async def rest(self, seconds: float, reason: str) -> None:
        """Let a request wait before its next attempt; the others go on."""
        until = self._clock() + seconds
        with self.waits.request():
            await self._sleep_until(lambda: (until, reason))

    def pause(self, seconds: float, reason: str, *, counted_only: bool = False) -> None:
        """Let no request pass for so many seconds, as a 429 asks. A longer pause that is running stays.

        `counted_only`: a window is full, and only requests that are counted in it have to wait.
        """
        pause = self._clock() + seconds, reason
        if counted_only:
            self._counted_pause = max(self._counted_pause, pause)
        else:
            self._pause = max(self._pause, pause)

    def wait(self) -> float:
        """Return the seconds until the limits let the next counted request pass; free slots are not considered."""
        return max(0.0, self._free_at()[0] - self._clock())

    def budget(self) -> Budget:
        """Return what is left of the hour: nothing while Mixpanel says that it is used up."""
        now, per_hour = self._clock(), self.per_hour
        while self._started and self._started[0] + HOUR <= now:
            self._started.popleft()  # no window counts it any more
        left = per_hour - len(self._started)
        return Budget(0 if self._counted_pause[0] > now else max(0, left), per_hour)

    def _free_at(self) -> tuple[float, str]:
        """Return when the limits let the next counted request pass, and what holds it up."""
        full = [
            (self._started[-most] + seconds, reason)
            for seconds, most, reason in self._windows
            if len(self._started) >= most
        ]
        return max([self._pause, self._counted_pause, *full])

    async def _acquire_slot(self, free_at: Callable[[], tuple[float, str]]) -> None:
        """Acquire a slot after the time that `free_at` returns. While it sleeps, maybe for long, it holds no slot."""
        while True:
            await self._sleep_until(free_at)
            await self._open.acquire()
            if free_at()[0] <= self._clock():
                return
            self._open.release()  # a pause began while it waited for the slot

    async def _sleep_until(self, free_at: Callable[[], tuple[float, str]]) -> None:
        with self.waits.telling() as tell:
            while True:
                until, reason = free_at()
                seconds = until - self._clock()
                if seconds <= 0:
                    return
                tell(seconds, reason)
                await self._sleep(min(seconds, REPEAT_AFTER))
