"""Mixpanel's rate limits: rolling windows and concurrent requests, counted for each project."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.http.error_wording import Wording
from mixpanel_async.testing.http.response import RefusedError, Response

HOUR = 3600
"""The length of the long window, in seconds."""
MINUTE = 60
"""The length of the lexicon's window, in seconds."""

UNCOUNTED_STATUSES = frozenset({401, 402, 429})
"""A request with one of these statuses does not count in the hourly window."""


@dataclass(frozen=True, slots=True)
class FakeLimits:
    """How many requests each project may send; None means no limit. The defaults are those of Mixpanel's docs.

    Exports, queries and the lexicon have separate limits. The rest of the app API has none.
    """

    per_second: int | None = 3
    """Exports in a rolling second."""
    per_hour: int | None = 60
    """Exports in a rolling hour."""
    concurrent: int | None = 100
    """Exports open at the same time."""
    queries_per_hour: int | None = 60
    """Queries in a rolling hour. A download of profiles counts once: pages with a ``session_id`` are not counted."""
    concurrent_queries: int | None = 5
    """Queries open at the same time."""
    schemas_per_minute: int | None = 5
    """Requests for the lexicon's schemas in a rolling minute, each page of a list included."""


@dataclass(slots=True)
class Usage:
    """The start times of one project's requests within the last hour, and how many of its requests are open."""

    starts: deque[float] = field(default_factory=deque)
    open: int = 0

    def count_since(self, moment: float) -> int:
        """Return how many requests started after ``moment``."""
        return sum(1 for start in self.starts if start > moment)

    def drop_until(self, moment: float) -> None:
        """Delete start times up to ``moment``."""
        while self.starts and self.starts[0] <= moment:
            self.starts.popleft()


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request that the limits have not admitted yet."""

    project_id: int
    at: float
    """When it arrived, by ``FakeClock.monotonic()``."""
    is_counted: bool
    """Whether it counts in the hourly window."""


Check = Callable[[FakeLimits, Usage, PendingRequest, Wording], Response | None]
"""Compares a request with the limits; returns the 429, or None if the request is within the limits."""


class RateLimiter:
    """Counts each project's requests of one kind and refuses those beyond the limits.

    ``limits`` may be changed at any time; None admits every request.
    """

    __slots__ = ("_check", "_clock", "_usage", "_wording", "limits")

    def __init__(self, check: Check, limits: FakeLimits | None, clock: FakeClock, wording: Wording) -> None:
        """Measure time with ``clock.monotonic()``; ``check`` decides which requests are refused."""
        self.limits = limits
        self._check = check
        self._clock = clock
        self._wording = wording
        self._usage: defaultdict[int, Usage] = defaultdict(Usage)

    @contextmanager
    def admit(self, project_id: int, *, is_counted: bool = True) -> Iterator[None]:
        """Count a request as open until the block ends; raises RefusedError with a 429 if a limit is exceeded.

        The request also counts in the hourly window, unless ``is_counted`` is false or the block raises RefusedError
        with one of UNCOUNTED_STATUSES.
        """
        usage, now = self._usage[project_id], self._clock.monotonic()
        usage.drop_until(now - HOUR)
        self._check_limits(usage, PendingRequest(project_id, now, is_counted))
        if is_counted:
            usage.starts.append(now)
        usage.open += 1
        try:
            yield
        except RefusedError as refused:
            if is_counted and refused.response.status in UNCOUNTED_STATUSES and now in usage.starts:
                usage.starts.remove(now)
            raise
        finally:
            usage.open -= 1

    def _check_limits(self, usage: Usage, pending: PendingRequest) -> None:
        if self.limits is None:
            return
        if (response := self._check(self.limits, usage, pending, self._wording)) is not None:
            raise RefusedError(response)
