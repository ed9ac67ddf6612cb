"""How many requests at once, in a second, a minute and an hour: how requests wait for it.

Those at once are counted for each client; the windows by a record (`budget`, `budget_file`), which clients may share.

Mixpanel has several limits for a project. Each has a limiter of its own, so that a 429 pauses only the requests that
count in the same limit. The windows are rolling, and every attempt counts.

exports      `/api/2.0/export`: 3 a second, 60 an hour and 100 at once (Mixpanel's docs).
queries      `/api/query/...`, which are profiles and the lookups of event names, top properties and cohorts: 60 an hour
             and 5 at once (Mixpanel's docs). Pages of profiles that name their session count only among those at once
             (a client by Mixpanel's staff).
lexicon      `/api/app/projects/{id}/schemas`, each page of a list: 5 a minute (Mixpanel's docs).
app          `/api/app/me` and `/api/app/projects/{id}/annotations`: no limit is documented, and they do not count as
             queries (the same client).

For the last two no limit at once is documented; they keep to the one for queries.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Literal

from mixpanel_async import telemetry
from mixpanel_async.api.budget import HOUR, MemoryRecord, Wait, Window
from mixpanel_async.api.waiting import REPEAT_AFTER, Waits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mixpanel_async.api.budget import Record

LimitName = Literal["exports", "queries", "lexicon", "app"]

SECOND = 1.1
"""A second, and a tenth more: on the network requests may come closer together."""
MINUTE = 61.0
"""A minute, and a second for the same reason."""
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
    def windows(self) -> list[Window]:
        """The windows that its requests count in."""
        windows = (
            (SECOND, self.per_second, "a second"),
            (MINUTE, self.per_minute, "a minute"),
            (HOUR, self.per_hour, "an hour"),
        )
        return [
            Window(seconds, most, f"the limit of {most:,} {self.requests} {unit}")
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
    shared: bool = True
    """Count the requests of a second, minute and hour together with all clients of the same project on this machine."""

    def __post_init__(self) -> None:
        """Check the values."""
        if not isinstance(self.shared, bool):
            raise ValueError(f"RateLimits.shared must be True or False, not {self.shared!r}.")  # noqa: TRY004
        for field in fields(self):
            value = getattr(self, field.name)
            is_count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST
            if field.name != "shared" and not is_count:
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
            case "app":
                return Limit("requests of the app's API", self.concurrent_queries)


class Limiter:
    """Lets requests pass, first in, first out. Belongs to one event loop.

    Limiters that share a record pass no more requests together than one would; which of them is first is open.
    """

    def __init__(
        self,
        limit: Limit,
        record: Record | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now().astimezone(),
    ) -> None:
        """`record` counts the requests; `None` is one of its own. `clock` and `sleep` measure in seconds; `now` is the
        local time.
        """
        self.clock = clock
        self.concurrent = limit.concurrent
        self.waits = Waits(clock, now)
        """What requests wait for, if they wait long."""
        self._requests = limit.requests
        self._windows = limit.windows
        self._record = MemoryRecord(clock) if record is None else record
        self._open = asyncio.Semaphore(limit.concurrent)
        self._queue = asyncio.Lock()
        self._sleep = sleep

    @property
    def per_hour(self) -> int:
        """The most requests that may pass in an hour."""
        return min(int(window.most * HOUR / window.seconds) for window in self._windows)

    @asynccontextmanager
    async def slot(self, *, counted: bool = True) -> AsyncIterator[None]:
        """Wait for a slot and hold it while the request is open. A cancelled wait takes nothing.

        A request that is not `counted` waits for a free slot and for pauses of all requests; no window counts it.
        """
        began = self.clock()
        with self.waits.request():
            if counted:
                wait, take = (partial(method, self._windows) for method in (self._record.wait, self._record.take))
                async with self._queue:  # FIFO: one request waits for the limits, the rest queue behind it
                    await self._acquire_slot(wait, take)
            else:
                wait = partial(self._record.wait, None)
                await self._acquire_slot(wait, wait)
        telemetry.waited(self.clock() - began, self._requests)
        try:
            yield
        finally:
            self._open.release()

    async def rest(self, seconds: float, reason: str) -> None:
        """Let a request wait before its next attempt; the others go on."""
        until = self.clock() + seconds

        async def left() -> Wait | None:
            seconds = until - self.clock()
            return Wait(seconds, reason) if seconds > 0 else None

        with self.waits.request():
            await self._sleep_while(left)

    async def pause(self, seconds: float, *, counted_only: bool = False) -> None:
        """Let no request pass for so many seconds, as a 429 asks. A longer pause that is running stays.

        `counted_only`: a window is full, and only requests that are counted in it have to wait.
        """
        await self._record.pause(seconds, counted_only=counted_only)

    async def budget(self) -> Budget:
        """Return what is left of the hour: nothing while Mixpanel says that it is used up. Nothing is written."""
        usage = await self._record.usage()
        left = 0 if usage.counted_paused_until > usage.now else max(0, self.per_hour - len(usage.started))
        return Budget(left, self.per_hour)

    async def forecast(self, requests: int) -> float:
        """Return the seconds, at least, until the last of so many counted requests may begin, by the windows and pauses
        as they are now. Free slots are not considered. Nothing is written.
        """
        return (await self._record.usage()).last_of(requests, self._windows)

    async def frees_within(self) -> float:
        """Return the seconds until the oldest request that is known of the hour leaves it."""
        return (await self._record.usage()).frees_within

    async def _acquire_slot(
        self, wait: Callable[[], Awaitable[Wait | None]], take: Callable[[], Awaitable[Wait | None]]
    ) -> None:
        """Acquire a slot when `wait` and `take` return `None`. While it sleeps, maybe for long, it holds no slot."""
        while True:
            await self._sleep_while(wait)
            await self._open.acquire()
            try:
                is_taken = await take() is None
            except BaseException:
                self._open.release()
                raise
            if is_taken:
                return
            self._open.release()  # while it waited for the slot, a pause began or another client was first

    async def _sleep_while(self, wait: Callable[[], Awaitable[Wait | None]]) -> None:
        with self.waits.telling() as tell:
            while (left := await wait()) is not None:
                tell(left.seconds, left.reason)
                await self._sleep(min(left.seconds, REPEAT_AFTER))
