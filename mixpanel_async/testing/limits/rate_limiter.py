"""Mixpanel's rate limits: rolling windows and open requests, for each project."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.http.error_wording import Wording
from mixpanel_async.testing.http.response import Answer, RefusedError

HOUR = 3600
FREE_OF_CHARGE = frozenset({401, 402, 429})
"""Statuses that give their place in the hourly window back."""


@dataclass(frozen=True, slots=True)
class FakeLimits:
    """How much a project may ask for; None lifts a limit. The defaults are Mixpanel's docs'.

    Exports and queries are counted apart.
    """

    per_second: int | None = 3
    per_hour: int | None = 60
    concurrent: int | None = 100
    queries_per_hour: int | None = 60
    """Profile downloads count once: a page that names its session costs nothing."""
    concurrent_queries: int | None = 5


@dataclass(slots=True)
class Usage:
    """What one project has asked for within the last hour, and how much of it is open."""

    starts: deque[float] = field(default_factory=deque)
    open: int = 0

    def since(self, moment: float) -> int:
        """Count the starts after ``moment``."""
        return sum(1 for start in self.starts if start > moment)

    def forget_until(self, moment: float) -> None:
        """Forget the starts up to ``moment``."""
        while self.starts and self.starts[0] <= moment:
            self.starts.popleft()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that wants to be let through."""

    project_id: int
    at: float
    counted: bool
    """Whether it takes a token of the hour."""


Refusal = Callable[[FakeLimits, Usage, Asked, Wording], Answer | None]
"""Says how a request is refused, given what its project uses; None if it is not."""


class Turnstile:
    """Counts each project's requests of one kind and refuses those beyond the limits.

    ``limits`` may be set at any time; None lets everything through.
    """

    __slots__ = ("_clock", "_refusal", "_usage", "_wording", "limits")

    def __init__(self, refusal: Refusal, limits: FakeLimits | None, clock: FakeClock, wording: Wording) -> None:
        """Measure with ``clock.monotonic()``; refuse as ``refusal`` says."""
        self.limits = limits
        self._refusal = refusal
        self._clock = clock
        self._wording = wording
        self._usage: defaultdict[int, Usage] = defaultdict(Usage)

    @contextmanager
    def admit(self, project_id: int, *, counted: bool = True) -> Iterator[None]:
        """Hold a place while the request is open; raises RefusedError with a 429.

        The request takes a token of the hour, unless it is not ``counted`` or is refused inside with a status
        that is free of charge.
        """
        usage, now = self._usage[project_id], self._clock.monotonic()
        usage.forget_until(now - HOUR)
        self._check(usage, Asked(project_id, now, counted))
        if counted:
            usage.starts.append(now)
        usage.open += 1
        try:
            yield
        except RefusedError as refused:
            if counted and refused.answer.status in FREE_OF_CHARGE and now in usage.starts:
                usage.starts.remove(now)
            raise
        finally:
            usage.open -= 1

    def _check(self, usage: Usage, asked: Asked) -> None:
        if self.limits is None:
            return
        if (answer := self._refusal(self.limits, usage, asked, self._wording)) is not None:
            raise RefusedError(answer)
