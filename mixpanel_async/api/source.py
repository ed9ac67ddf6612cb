"""One of Mixpanel's APIs, with the client's credentials, limits and retry policy; and the attempts at a request."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mixpanel_async import telemetry
from mixpanel_async.api.budget import HOUR
from mixpanel_async.api.credentials import project_of
from mixpanel_async.api.waiting import LONG_WAIT
from mixpanel_async.errors import RateLimitError

if TYPE_CHECKING:
    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.api.limits import Limiter
    from mixpanel_async.api.retry import RetryPolicy
    from mixpanel_async.api.transport import Transport
    from mixpanel_async.errors import ExportError

logger = logging.getLogger(__name__)


class RequestMeter(Protocol):
    """Counts what the requests of one call do."""

    def received(self, size: int) -> object:
        """Count bytes of a response's body."""
        ...

    def retried(self) -> object:
        """Count a request that is sent again."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """Source for raw exports, or for the query endpoints that count in one of Mixpanel's limits."""

    url: str
    """For exports the whole URL; for queries scheme and host."""
    credentials: Credentials
    transport: Transport
    limiter: Limiter
    retry: RetryPolicy
    meter: RequestMeter | None = None
    """Of the call that uses the source."""

    @property
    def project(self) -> str | None:
        """The id of the project; `None` with a project secret, which does not tell it."""
        return project_of(self.credentials)

    def received(self, size: int) -> None:
        """Count bytes of a response's body."""
        if self.meter is not None:
            self.meter.received(size)

    async def wait(
        self, name: str, attempt: int, error: ExportError, *, counted: bool = True, refusals: int = 1
    ) -> None:
        """Wait before the next attempt. After a 429 this pauses the limiter, for every request of the same limit, and
        returns: the next attempt waits there. If the hour is used up, the pause ends when the oldest request that is
        known leaves it, because then Mixpanel allows another one.

        Args:
            name: what the log calls it.
            attempt: the number of the attempt, from 1.
            error: what ended it.
            counted: whether the request counts in the limit's windows. A full window pauses only such requests.
            refusals: how many attempts, this one included, ended with a 429 that names no time.
        """
        is_limit = isinstance(error, RateLimitError)
        number = refusals if is_limit else attempt
        seconds = self.retry.wait(number, getattr(error, "retry_after", None), limited=is_limit)
        if isinstance(error, RateLimitError) and error.is_window_full:
            seconds = min(seconds, await self.limiter.frees_within())
        when = "" if seconds > LONG_WAIT else f" in {seconds:.1f} s"  # the limiter logs long waits
        logger.info("%s: %s. Attempt %d follows%s.", name, error, attempt + 1, when)
        if isinstance(error, RateLimitError):
            await self.limiter.pause(seconds, counted_only=counted and error.is_window_full)
        else:
            after = "a lost connection" if error.status is None else f"a response with status {error.status}"
            await self.limiter.rest(seconds, f"another attempt after {after}")
        telemetry.retried(error)
        if self.meter is not None:
            self.meter.retried()


class Attempts:
    """The attempts at one request: counted, with a wait between two of them."""

    def __init__(self, source: Source, name: str, *, counted: bool = True, failed_before: int = 0) -> None:
        """`name` is what errors and logs call it; `counted` is the limiter's (`Limiter.slot`).

        `failed_before`: attempts at a larger request, of which this is a part; they lengthen the waits.
        """
        self.name = name
        self.number = 1
        """Of the attempt that runs, from 1."""
        self._failed_before = failed_before
        self._source = source
        self._counted = counted
        self._refusals = 0
        self._extra = 0
        self._hour_full_since = -math.inf

    @property
    def failures(self) -> int:
        """Attempts that have failed, those at a larger request included."""
        return self._failed_before + self.number - 1

    async def failed(self, error: ExportError, *, retryable: bool | None = None, may_exceed: bool = False) -> None:
        """Wait for the next attempt.

        Args:
            error: what ended this attempt.
            retryable: whether another attempt may succeed, if the error's own `retryable` does not tell.
            may_exceed: try again even if the retry policy's attempts are used up.

        Raises:
            ExportError: the same one, if there is no other attempt; it tells name and attempts.
        """
        self._extra += self._is_extra(error)
        is_last = self.number - self._extra >= self._source.retry.attempts and not may_exceed
        if is_last or not (error.retryable if retryable is None else retryable):
            raise self._described(error) from None
        self._refusals += isinstance(error, RateLimitError) and not error.retry_after
        await self._source.wait(self.name, self.failures + 1, error, counted=self._counted, refusals=self._refusals)
        self.number += 1

    def _is_extra(self, error: ExportError) -> bool:
        """Whether it is one more 429 of an hour that was used up at another attempt already. Each of the hours counts
        as one attempt: what became free meanwhile, another request or program may have taken.
        """
        if not (isinstance(error, RateLimitError) and error.is_window_full):
            return False
        now = self._source.limiter.clock()
        if now < self._hour_full_since + HOUR:
            return True
        self._hour_full_since = now
        return False

    def _described(self, error: ExportError) -> ExportError:
        if error.attempts:
            return error  # it was described before
        error.attempts = self.number
        attempts = f" (after {self.number} attempts)" if self.number > 1 else ""
        error.args = (f"{self.name}: {error}{attempts}",)
        return error
