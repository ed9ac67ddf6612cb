"""Mixpanel's rate limits for exports: rolling windows and open requests, for each project."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from mixpanel_async.testing.answers import JSON, Answer, Headers, RefusedError, Wording
from mixpanel_async.testing.clock import FakeClock

HOUR = 3600.0
FREE_OF_CHARGE = frozenset({401, 402, 429})
"""Statuses that give their place in the hourly window back."""


@dataclass(frozen=True, slots=True)
class FakeLimits:
    """How many exports a project may ask for; None lifts a limit. The defaults are Mixpanel's docs'."""

    per_second: int | None = 3
    per_hour: int | None = 60
    concurrent: int | None = 100


@dataclass(slots=True)
class _Usage:
    """What one project has asked for: when, and how many are open."""

    starts: deque[float] = field(default_factory=deque)
    open: int = 0

    def since(self, moment: float) -> int:
        """Count the starts after ``moment``."""
        return sum(1 for start in self.starts if start > moment)


class Ticket:
    """A place among the requests that count."""

    __slots__ = ("_start", "_usage")

    def __init__(self, usage: _Usage, start: float) -> None:
        """Count from ``start``."""
        self._usage = usage
        self._start = start

    def settle(self, status: int) -> None:
        """Give the hourly token back if the answer's status is one that costs none."""
        if status in FREE_OF_CHARGE and self._start in self._usage.starts:
            self._usage.starts.remove(self._start)


class Turnstile:
    """Counts each project's exports and refuses those beyond the limits.

    ``limits`` may be set at any time; None lets everything through.
    """

    __slots__ = ("_clock", "_usage", "_wording", "limits")

    def __init__(self, limits: FakeLimits | None, clock: FakeClock, wording: Wording) -> None:
        """Measure with ``clock.monotonic()``; word the refusals by ``wording``."""
        self.limits = limits
        self._clock = clock
        self._wording = wording
        self._usage: defaultdict[int, _Usage] = defaultdict(_Usage)

    @contextmanager
    def admit(self, project_id: int) -> Iterator[Ticket]:
        """Hold a place while the request is open; raises RefusedError with a 429, which costs nothing."""
        usage, now = self._usage[project_id], self._clock.monotonic()
        while usage.starts and usage.starts[0] <= now - HOUR:
            usage.starts.popleft()
        self._check(project_id, usage, now)
        usage.starts.append(now)
        usage.open += 1
        try:
            yield Ticket(usage, now)
        finally:
            usage.open -= 1

    def _check(self, project_id: int, usage: _Usage, now: float) -> None:
        limits = self.limits
        if limits is None:
            return
        if limits.concurrent is not None and usage.open >= limits.concurrent:
            text = "too many export requests in progress for this project"
            raise RefusedError(self._too_many({"error": text}, usage, wait=10))
        if limits.per_second is not None and usage.since(now - 1.0) >= limits.per_second:
            text = "Project exceeded rate limits. Please retry the request with exponential backoff."
            payload = {"code": 429, "error": text, "status": "Too Many Requests"}
            raise RefusedError(self._too_many(payload, usage, wait=1))
        if limits.per_hour is not None and len(usage.starts) >= limits.per_hour:
            text = _hourly_text(project_id, len(usage.starts) + 1, limits.per_hour)
            raise RefusedError(self._too_many({"request": "{request}", "error": text}, usage, wait=int(HOUR)))

    def _too_many(self, payload: Mapping[str, object], usage: _Usage, *, wait: int) -> Answer:
        """Word a 429; ``wait`` is the full window, as seen of Mixpanel, not the time that is left."""
        headers = self._headers(usage, wait)
        if self._wording.too_many == "plain":
            return Answer(429, str(payload["error"]).encode(), headers=headers)
        return Answer(429, json.dumps(payload).encode(), JSON, headers)

    def _headers(self, usage: _Usage, wait: int) -> Headers:
        match self._wording.retry_after:
            case "none":
                return ()
            case "date":
                until = datetime.now(UTC) + timedelta(seconds=wait)  # the client's clock is the real one
                return (("Retry-After", format_datetime(until, usegmt=True)),)
            case "seconds":
                return (("Retry-After", str(wait)), *self._ratelimit_headers(usage, wait))

    def _ratelimit_headers(self, usage: _Usage, wait: int) -> Headers:
        """Word RateLimit and RateLimit-Policy as Mixpanel's query API does (for exports inferred)."""
        limits = self.limits or FakeLimits()
        hourly, places = limits.per_hour or 0, limits.concurrent or 0
        policy = f'"project";q={hourly};w=3600, "project-concurrency";q={places};qu="concurrent-requests"'
        left, free = max(0, hourly - len(usage.starts)), max(0, places - usage.open)
        state = f'"project";r={left};t={wait}, "project-concurrency";r={free}'
        return (("RateLimit-Policy", policy), ("RateLimit", state))


def _hourly_text(project_id: int, asked: int, allowed: int) -> str:
    return (
        f"Query rate limit exceeded for project_id: {project_id}. This request exceeded the rate limit "
        f"({asked}/{allowed} queries running in the last hour). For more information, please consult our "
        "documentation at https://help.mixpanel.com/hc/en-us/articles/"
        "115004602563-Rate-Limits-for-Export-API-Endpoints"
    )
