"""The record of one of Mixpanel's limits: when requests began in the last hour, and the pauses after a 429.

A limiter asks it before each request. There are two kinds: one in memory, here, and one in a file that the processes of
this machine share (`budget_file`).
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

HOUR = 3601.0
"""An hour, and a second more: on the network requests may come closer together. No record is kept for longer."""

CAREFUL = 5.0
"""Seconds from one request to the next in the hour after a 429 that said that it is used up: so that of many requests
that wait, only one or two meet the next 429. 60 requests then take 5 minutes, which an hour has.
"""

RATE_LIMIT = "Mixpanel's rate limit (a 429)"
HOURLY_LIMIT = "Mixpanel's hourly limit (a 429)"


@dataclass(frozen=True, slots=True)
class Window:
    """A rolling window: at most so many requests begin within so many seconds."""

    seconds: float
    most: int
    reason: str
    """What a request waits for if the window is full, in words that follow "Waiting for"."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a request may not begin now."""

    seconds: float
    """More than 0: until then it cannot begin, later it may."""
    reason: str


@dataclass(frozen=True, slots=True)
class Usage:
    """A record at one moment. All times are in seconds, by the record's own clock."""

    now: float
    started: Sequence[float]
    """When the requests of the last `HOUR` began, in order."""
    paused_until: float = -math.inf
    counted_paused_until: float = -math.inf
    """The same for the requests that count in the windows."""

    def last_of(self, requests: int, windows: Iterable[Window]) -> float:
        """Return the seconds until the last of so many requests may begin, if each begins as soon as it may."""
        windows, times = list(windows), list(self.started)
        nth_last, at = partial(_nth_last, times), self.now
        for _ in range(requests):
            at = max(at, _free_at(at, windows, nth_last, self.paused_until, self.counted_paused_until)[0])
            times.append(at)
        return at - self.now if requests else 0.0

    @property
    def frees_within(self) -> float:
        """The seconds until the oldest of these requests leaves the hour; the whole hour if none is known."""
        return self.started[0] + HOUR - self.now if self.started else HOUR


class Record(Protocol):
    """What counts the requests of one limit."""

    async def take(self, windows: Sequence[Window]) -> Wait | None:
        """Count a request that begins now, if windows and pauses allow it; else return what it waits for.

        A cancel leaves nothing counted.
        """

    async def wait(self, windows: Sequence[Window] | None) -> Wait | None:
        """Return what a request waits for that counts in these windows, or in none (`None`)."""

    async def pause(self, seconds: float, *, counted_only: bool) -> None:
        """Let no request begin for so many seconds, or none that is counted. A longer pause that is running stays."""

    async def usage(self) -> Usage:
        """Return the record as it is. Nothing is written."""


class MemoryRecord:
    """Counts the requests of one client."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` measures in seconds, and never goes back."""
        self._clock = clock
        self._started: deque[float] = deque()
        self._paused_until = self._counted_paused_until = -math.inf

    async def take(self, windows: Sequence[Window]) -> Wait | None:
        """See `Record`."""
        wait = await self.wait(windows)
        if wait is None:
            self.count()
        return wait

    def count(self) -> None:
        """Count a request that begins now."""
        now = self._clock()
        while self._started and self._started[0] + HOUR <= now:
            self._started.popleft()
        self._started.append(now)

    async def wait(self, windows: Sequence[Window] | None) -> Wait | None:
        """See `Record`."""
        counted_until = -math.inf if windows is None else self._counted_paused_until
        nth_last = partial(_nth_last, self._started)
        return longest_wait(self._clock(), windows or (), nth_last, self._paused_until, counted_until)

    async def pause(self, seconds: float, *, counted_only: bool) -> None:
        """See `Record`."""
        until = self._clock() + seconds
        if counted_only:
            self._counted_paused_until = max(self._counted_paused_until, until)
        else:
            self._paused_until = max(self._paused_until, until)

    async def usage(self) -> Usage:
        """See `Record`."""
        now = self._clock()
        started = [at for at in self._started if at + HOUR > now]
        return Usage(now, started, self._paused_until, self._counted_paused_until)


def longest_wait(
    now: float,
    windows: Iterable[Window],
    nth_last: Callable[[int], float | None],
    paused_until: float,
    counted_paused_until: float,
) -> Wait | None:
    """Return what a request waits for, of all that holds it up; `None` if it may begin now.

    `nth_last` returns when the request of this number began, counted from the last one, which is 1.
    """
    free_at, reason = _free_at(now, windows, nth_last, paused_until, counted_paused_until)
    return Wait(free_at - now, reason) if free_at > now else None


def _free_at(
    now: float,
    windows: Iterable[Window],
    nth_last: Callable[[int], float | None],
    paused_until: float,
    counted_paused_until: float,
) -> tuple[float, str]:
    if now < counted_paused_until + HOUR:
        windows = [*windows, Window(CAREFUL, 1, HOURLY_LIMIT)]
    full = [(at + window.seconds, window.reason) for window in windows if (at := nth_last(window.most)) is not None]
    return max([(paused_until, RATE_LIMIT), (counted_paused_until, HOURLY_LIMIT), *full])


def _nth_last(times: Sequence[float], number: int) -> float | None:
    return times[-number] if len(times) >= number else None
