"""How often a request is tried, and how long to wait in between.

A retry covers a body to its end: the usual fault is one that breaks off half way.
"""

from __future__ import annotations

import email.utils
import random
import re
from dataclasses import dataclass

from mixpanel_async.arguments import is_seconds

RETRY_AFTER_MAX = 3600.0
"""The longest Retry-After that is followed, in seconds: Mixpanel's longest window is an hour."""

PATIENCE = 67
"""Times `wait_max`: all waits together after 429s that name no time; by default more than an hour, jitter included."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a request is tried, and how long to wait in between.

    A chunk begins as one request, or as several if its days are known to be many bytes. A response is kept once it is
    whole. If it broke off twice, its dates are requested in halves, each a request with attempts of its own; what came
    whole is not requested again. So a chunk of 28 days of which one day never comes takes 14 to 16 requests: 2 for all,
    5 for the day, and the rest for halves. The waits grow from a request to its halves.

    After an error it waits: for the response's Retry-After, or by exponential backoff with full jitter.

    After a 429: its Retry-After; without one, or with 0, the time of its header RateLimit, or else one that fits the
    limit that its text names (20 s for the requests at once). If it says that the hour is used up, at most 15 minutes,
    and only until the oldest request that is known is an hour old. If it names no limit, the hour may be used up, so
    waits grow from `wait_max` to 67 times that in all: by default 1, 6, 19 and 42 minutes. A short limit costs a
    minute, and an hour that is used up costs no chunk. (With `attempts=2` there is only the first of these waits.)
    """

    attempts: int = 5
    """How often a request for the same dates, or the same page, is sent at most. 429s that say that the hour is
    used up count as one, if they come within an hour.
    """
    wait_initial: float = 1.0
    """Seconds: the longest wait before the second attempt; it doubles with each one after."""
    wait_max: float = 60.0
    """Seconds: the longest backoff. A Retry-After may be longer."""

    def __post_init__(self) -> None:
        """Check the values."""
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise ValueError("RetryPolicy.attempts must be a whole number, 1 or more.")
        if not (is_seconds(self.wait_initial) and is_seconds(self.wait_max) and self.wait_initial <= self.wait_max):
            raise ValueError("RetryPolicy needs 0 <= wait_initial <= wait_max, in seconds.")

    def wait(self, attempt: int, server_wait: float | None = None, *, limited: bool = False) -> float:
        """Return the seconds to wait after `attempt` (from 1) failed: the server's own wait, or a backoff.

        `limited`: a rate limit was exceeded, and `attempt` counts only the attempts that ended so and named no time.
        """
        if server_wait:  # 0 gives no time to recover, so it is a backoff like any other
            return server_wait
        if limited:
            return self._patient_wait(attempt) * random.uniform(0.9, 1)  # noqa: S311 - not a secret
        # Full jitter: clients that failed together do not come back together.
        return random.uniform(0, min(self.wait_max, self.wait_initial * 2 ** min(attempt - 1, 60)))  # noqa: S311 - as above

    def _patient_wait(self, number: int) -> float:
        """Return the longest wait after the 429 of this number, from 1. It grows as the square of the number."""
        waits = self.attempts - 1
        squares = sum(before**2 for before in range(waits))
        growth = max(0, PATIENCE - waits) / squares if squares else 0
        return self.wait_max * (1 + growth * (min(number, waits) - 1) ** 2)


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds of a Retry-After header (whole seconds or an HTTP date), at most `RETRY_AFTER_MAX`.

    `None` if there is no header, or if it cannot be read: `int` and `float` would accept signs, `nan`, `1e400` and the
    digits of other scripts.
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        return min(float(value), RETRY_AFTER_MAX)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if date.tzinfo is None:
        return None
    return min(max(0.0, date.timestamp() - now), RETRY_AFTER_MAX)
