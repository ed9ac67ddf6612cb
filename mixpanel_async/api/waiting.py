"""Tells of long waits: for a limit, or before another attempt. A run that stands still for an hour must say so."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

LONG_WAIT = 10.0
"""Seconds: a wait that is longer is told."""
REPEAT_AFTER = 60.0
"""Seconds: after so long it is told again."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What requests wait for."""

    until: dt.datetime
    """When they go on, in local time (aware)."""
    reason: str
    """In words that follow "Waiting for"."""


class Waits:
    """The long waits of one limiter's requests, told in the log: all of them together in one line."""

    def __init__(self, clock: Callable[[], float], now: Callable[[], dt.datetime], who: str = "request") -> None:
        """`clock` measures waits, in seconds; `now` is the local time. `who` waits, in the log."""
        self.requests = 0
        """Requests that wait: for any time, or behind one that does."""
        self.watchers: list[Callable[[Waiting | None], object]] = []
        """Each is called on the event loop with `current` when that has changed."""
        self._clock = clock
        self._now = now
        self._who = who
        self._long: dict[object, tuple[float, Waiting]] = {}
        self._shown: Waiting | None = None
        self._will_report = False
        self._told_at = self._told_until = -math.inf

    @property
    def current(self) -> Waiting | None:
        """The long wait that ends last; `None` if no request waits for long."""
        return self._last()[1] if self._long else None

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request as one that waits."""
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    @contextmanager
    def telling(self) -> Iterator[Callable[[float, str], None]]:
        """Yield what a sleeping request calls with the seconds that are left, and with what it waits for.

        It should call at the beginning, and at least every `REPEAT_AFTER` seconds.
        """
        key = object()
        try:
            yield partial(self._tell, key)
        finally:
            if self._long.pop(key, None) is not None:
                self._report_soon()

    def _tell(self, key: object, seconds: float, reason: str) -> None:
        if seconds <= LONG_WAIT:
            return
        until = self._clock() + seconds
        known_until, known = self._long.get(key, (-math.inf, None))
        if known is None or known.reason != reason or abs(until - known_until) > 1:
            self._long[key] = until, Waiting(self._now() + dt.timedelta(seconds=seconds), reason)
        self._report_soon()

    def _last(self) -> tuple[float, Waiting]:
        return max(self._long.values(), key=lambda wait: wait[0])

    def _report_soon(self) -> None:
        """Report when the other requests that begin to wait now are counted, too."""
        if not self._will_report:
            self._will_report = True
            asyncio.get_running_loop().call_soon(self._report)

    def _report(self) -> None:
        self._will_report = False
        if (current := self.current) != self._shown:
            self._shown = current
            for watcher in self.watchers:
                asyncio.get_running_loop().call_soon(watcher, current)
        if current is None:
            self._told_until = min(self._told_until, self._clock())  # it may have been cancelled
        else:
            self._log(*self._last())

    def _log(self, until: float, waiting: Waiting) -> None:
        """Log a wait if it is new, or if the last line is a minute old or has run out; but not when it nearly ends."""
        now = self._clock()
        is_new = until > self._told_until + 2 * REPEAT_AFTER
        is_due = now >= min(self._told_until, self._told_at + REPEAT_AFTER - 1)
        if (is_new or is_due) and until - now > LONG_WAIT:
            self._told_at, self._told_until = now, until
            wait = f"1 {self._who} waits" if self.requests == 1 else f"{self.requests:,} {self._who}s wait"
            level = logging.WARNING if is_new else logging.INFO
            logger.log(level, "Waiting for %s until %s; %s.", waiting.reason, f"{waiting.until:%H:%M:%S}", wait)
