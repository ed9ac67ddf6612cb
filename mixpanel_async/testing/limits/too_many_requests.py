"""Compares requests with the limits, and words the 429 responses as Mixpanel does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from mixpanel_async.testing.http.error_wording import Wording
from mixpanel_async.testing.http.response import JSON, Headers, Response
from mixpanel_async.testing.limits.rate_limiter import HOUR, MINUTE, FakeLimits, PendingRequest, Usage

_ABOUT_LIMITS = (
    "For more information, please consult our documentation at https://help.mixpanel.com/hc/en-us/articles/"
    "115004602563-Rate-Limits-for-Export-API-Endpoints"
)
_QUERY_HOST = "https://mixpanel.com"
_SLOT_WAIT = 10
"""The wait in seconds that Mixpanel names if too many requests are open."""


def check_export(limits: FakeLimits, usage: Usage, pending: PendingRequest, wording: Wording) -> Response | None:
    """Return the 429 for an export beyond the limits: concurrent, per second, or per hour. None within the limits.

    The headers are inferred from those of queries.
    """
    remaining = _Remaining(limits.per_hour, limits.concurrent, usage)
    if remaining.slots == 0:
        text = "too many export requests in progress for this project"
        return _response({"error": text}, remaining.headers(wording, slots_in=_SLOT_WAIT), wording)
    if limits.per_second is not None and usage.count_since(pending.at - 1.0) >= limits.per_second:
        text = "Project exceeded rate limits. Please retry the request with exponential backoff."
        payload = {"code": 429, "error": text, "status": "Too Many Requests"}
        return _response(payload, remaining.headers(wording, tokens_in=1), wording)
    if remaining.tokens == 0:
        payload = {"request": "{request}", "error": _per_hour_text(pending, remaining)}
        return _response(payload, remaining.headers(wording, tokens_in=HOUR), wording)
    return None


def check_query(limits: FakeLimits, usage: Usage, pending: PendingRequest, wording: Wording) -> Response | None:
    """Return the 429 for a query beyond the limits: concurrent, or per hour. None within the limits.

    If the wording has no rate limit headers, the text does not name the limit either.
    """
    remaining = _Remaining(limits.queries_per_hour, limits.concurrent_queries, usage)
    exceeds_hour = remaining.tokens == 0 and pending.is_counted
    if wording.retry_after == "none" and (exceeds_hour or remaining.slots == 0):
        return _response({"error": f"{_exceeded_text(pending)} {_ABOUT_LIMITS.partition(' at ')[0]}"}, (), wording)
    if remaining.slots == 0:
        running = f"{usage.open + 1}/{remaining.concurrent} queries running concurrently"
        text = f"{_exceeded_text(pending)}. This request exceeded the concurrency limit ({running})."
        return _response({"error": text}, remaining.headers(wording, slots_in=_SLOT_WAIT), wording)
    if exceeds_hour:
        payload = {"request": f"{_QUERY_HOST}{{request}}", "error": _per_hour_text(pending, remaining)}
        return _response(payload, remaining.headers(wording, tokens_in=HOUR), wording)
    return None


def check_schemas(limits: FakeLimits, usage: Usage, pending: PendingRequest, wording: Wording) -> Response | None:
    """Return the 429 for a request for the lexicon beyond the limit per minute. None within the limit.

    The limit is in Mixpanel's docs; the response is inferred from those of the app API and of queries.
    """
    most = limits.schemas_per_minute
    if most is None or usage.count_since(pending.at - MINUTE) < most:
        return None
    text = "Project exceeded rate limits. Please retry the request with exponential backoff."
    return _response({"status": "error", "error": text}, _retry_after(wording, MINUTE), wording)


@dataclass(frozen=True, slots=True)
class _Remaining:
    """What remains of a project's limits: tokens of the hourly window, and slots for open requests."""

    per_hour: int | None
    concurrent: int | None
    usage: Usage

    @property
    def tokens(self) -> int | None:
        return None if self.per_hour is None else max(0, self.per_hour - len(self.usage.starts))

    @property
    def slots(self) -> int | None:
        return None if self.concurrent is None else max(0, self.concurrent - self.usage.open)

    def headers(self, wording: Wording, *, tokens_in: int | None = None, slots_in: int | None = None) -> Headers:
        """Return the headers that say when to retry, in seconds.

        The wait is the length of the whole window, not of the rest of it: this was seen of Mixpanel.
        """
        wait = tokens_in or slots_in or 0
        details = self._ratelimit_headers(tokens_in, slots_in) if wording.retry_after == "seconds" else ()
        return (*_retry_after(wording, wait), *details)

    def _ratelimit_headers(self, tokens_in: int | None, slots_in: int | None) -> Headers:
        policies, states = [], []
        if self.tokens is not None:
            policies.append(f'"project";q={self.per_hour};w={HOUR}')
            states.append(f'"project";r={self.tokens}' + (f";t={tokens_in}" if tokens_in else ""))
        if self.slots is not None:
            policies.append(f'"project-concurrency";q={self.concurrent};qu="concurrent-requests"')
            states.append(f'"project-concurrency";r={self.slots}' + (f";t={slots_in}" if slots_in else ""))
        return (("RateLimit-Policy", ", ".join(policies)), ("RateLimit", ", ".join(states)))


def _retry_after(wording: Wording, wait: int) -> Headers:
    """Return the Retry-After of so many seconds, as the wording has it."""
    match wording.retry_after:
        case "none":
            return ()
        case "date":
            until = datetime.now(UTC) + timedelta(seconds=wait)  # not FakeClock: the client compares with real time
            return (("Retry-After", format_datetime(until, usegmt=True)),)
        case "seconds":
            return (("Retry-After", str(wait)),)


def _exceeded_text(pending: PendingRequest) -> str:
    return f"Query rate limit exceeded for project_id: {pending.project_id}"


def _per_hour_text(pending: PendingRequest, remaining: _Remaining) -> str:
    running = f"{len(remaining.usage.starts) + 1}/{remaining.per_hour} queries running in the last hour"
    return f"{_exceeded_text(pending)}. This request exceeded the rate limit ({running}). {_ABOUT_LIMITS}"


def _response(payload: Mapping[str, object], headers: Headers, wording: Wording) -> Response:
    if wording.too_many == "plain":
        return Response(429, str(payload["error"]).encode(), headers=headers)
    return Response(429, json.dumps(payload).encode(), JSON, headers)
