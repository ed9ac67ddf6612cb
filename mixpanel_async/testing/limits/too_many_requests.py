"""How Mixpanel words a 429."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from mixpanel_async.testing.http.error_wording import Wording
from mixpanel_async.testing.http.response import JSON, Answer, Headers
from mixpanel_async.testing.limits.rate_limiter import HOUR, Asked, FakeLimits, Usage

_ABOUT_LIMITS = (
    "For more information, please consult our documentation at https://help.mixpanel.com/hc/en-us/articles/"
    "115004602563-Rate-Limits-for-Export-API-Endpoints"
)
_QUERY_HOST = "https://mixpanel.com"


def export_refusal(limits: FakeLimits, usage: Usage, asked: Asked, wording: Wording) -> Answer | None:
    """Refuse an export: too many open, in this second, or in this hour. The headers are inferred from queries."""
    left = _Left(limits.per_hour, limits.concurrent, usage)
    if left.places == 0:
        text = "too many export requests in progress for this project"
        return _answer({"error": text}, left.headers(wording, places_in=10), wording)
    if limits.per_second is not None and usage.since(asked.at - 1.0) >= limits.per_second:
        text = "Project exceeded rate limits. Please retry the request with exponential backoff."
        payload = {"code": 429, "error": text, "status": "Too Many Requests"}
        return _answer(payload, left.headers(wording, tokens_in=1), wording)
    if left.tokens == 0:
        payload = {"request": "{request}", "error": _hourly(asked, left)}
        return _answer(payload, left.headers(wording, tokens_in=HOUR), wording)
    return None


def query_refusal(limits: FakeLimits, usage: Usage, asked: Asked, wording: Wording) -> Answer | None:
    """Refuse a query: too many open, or in this hour. Without headers the text says no more than that."""
    left = _Left(limits.queries_per_hour, limits.concurrent_queries, usage)
    is_spent = left.tokens == 0 and asked.counted
    if wording.retry_after == "none" and (is_spent or left.places == 0):
        return _answer({"error": f"{_exceeded(asked)} {_ABOUT_LIMITS.partition(' at ')[0]}"}, (), wording)
    if left.places == 0:
        running = f"{usage.open + 1}/{left.concurrent} queries running concurrently"
        text = f"{_exceeded(asked)}. This request exceeded the concurrency limit ({running})."
        return _answer({"error": text}, left.headers(wording, places_in=10), wording)
    if is_spent:
        payload = {"request": f"{_QUERY_HOST}{{request}}", "error": _hourly(asked, left)}
        return _answer(payload, left.headers(wording, tokens_in=HOUR), wording)
    return None


@dataclass(frozen=True, slots=True)
class _Left:
    """What a project may still ask for."""

    per_hour: int | None
    concurrent: int | None
    usage: Usage

    @property
    def tokens(self) -> int | None:
        return None if self.per_hour is None else max(0, self.per_hour - len(self.usage.starts))

    @property
    def places(self) -> int | None:
        return None if self.concurrent is None else max(0, self.concurrent - self.usage.open)

    def headers(self, wording: Wording, *, tokens_in: int | None = None, places_in: int | None = None) -> Headers:
        """Say when to come back: after the full window, as seen of Mixpanel, not in the time that is left."""
        wait = tokens_in or places_in or 0
        match wording.retry_after:
            case "none":
                return ()
            case "date":
                until = datetime.now(UTC) + timedelta(seconds=wait)  # the client's clock is the real one
                return (("Retry-After", format_datetime(until, usegmt=True)),)
            case "seconds":
                return (("Retry-After", str(wait)), *self._ratelimit_headers(tokens_in, places_in))

    def _ratelimit_headers(self, tokens_in: int | None, places_in: int | None) -> Headers:
        policies, states = [], []
        if self.tokens is not None:
            policies.append(f'"project";q={self.per_hour};w={HOUR}')
            states.append(f'"project";r={self.tokens}' + (f";t={tokens_in}" if tokens_in else ""))
        if self.places is not None:
            policies.append(f'"project-concurrency";q={self.concurrent};qu="concurrent-requests"')
            states.append(f'"project-concurrency";r={self.places}' + (f";t={places_in}" if places_in else ""))
        return (("RateLimit-Policy", ", ".join(policies)), ("RateLimit", ", ".join(states)))


def _exceeded(asked: Asked) -> str:
    return f"Query rate limit exceeded for project_id: {asked.project_id}"


def _hourly(asked: Asked, left: _Left) -> str:
    running = f"{len(left.usage.starts) + 1}/{left.per_hour} queries running in the last hour"
    return f"{_exceeded(asked)}. This request exceeded the rate limit ({running}). {_ABOUT_LIMITS}"


def _answer(payload: Mapping[str, object], headers: Headers, wording: Wording) -> Answer:
    if wording.too_many == "plain":
        return Answer(429, str(payload["error"]).encode(), headers=headers)
    return Answer(429, json.dumps(payload).encode(), JSON, headers)
