"""Mixpanel, as one client sees it: where it is asked, by whom, how fast, and when again."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixpanel_async.errors import RateLimitError

if TYPE_CHECKING:
    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.api.limits import Limiter
    from mixpanel_async.api.retry import RetryPolicy
    from mixpanel_async.api.transport import Transport
    from mixpanel_async.errors import ExportError

logger = logging.getLogger("mixpanel_async")

LONG = 60.0
"""Seconds from which on a wait for a rate limit is worth a warning."""


@dataclass(frozen=True, slots=True)
class Source:
    """One of Mixpanel's APIs: raw exports, or queries. Each has limits of its own."""

    url: str
    """The whole URL of exports; scheme and host of queries."""
    credentials: Credentials
    transport: Transport
    limiter: Limiter
    retry: RetryPolicy

    async def wait(self, what: str, attempt: int, error: ExportError) -> None:
        """Wait after `attempt` (from 1) at `what` failed. After a rate limit all wait: it is the project's."""
        limited = isinstance(error, RateLimitError)
        wait = self.retry.wait(attempt, getattr(error, "retry_after", None), limited=limited)
        is_news = limited and wait >= LONG and wait > self.limiter.wait() + 1
        level = logging.WARNING if is_news else logging.INFO
        logger.log(level, "%s: %s. Attempt %d follows in %.1f s.", what, error, attempt + 1, wait)
        if limited:
            self.limiter.pause(wait)
        else:
            await asyncio.sleep(wait)
