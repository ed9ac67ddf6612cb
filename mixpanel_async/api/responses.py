"""What a response of Mixpanel's means, by its status, its headers and its first bytes.

Source: Mixpanel's docs, and what its clients have met in the field: errors come as JSON, as plain text and as web
pages, and some 400 responses are transient.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mixpanel_async.api.budget import HOUR
from mixpanel_async.api.hosts import region_hint
from mixpanel_async.api.retry import RETRY_AFTER_MAX, retry_after
from mixpanel_async.decode.error_text import error_text, is_web_page, rejected_dates
from mixpanel_async.decode.gunzip import gunzip_beginning
from mixpanel_async.errors import AuthenticationError, ExportError, QueryError, RateLimitError, ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixpanel_async.api.transport import Response

_BEGINNING = 4096
"""Bytes of an error's body that are read."""

_REJECTED = frozenset({400, 402, 404, 412, 413})
_TRANSIENT = frozenset({202, 204, 408, 425, 499})
"""No data yet, or a server or proxy that gave up: another attempt may succeed."""

HOURLY_LIMIT_WAIT = HOUR / 4
"""The longest wait in seconds when the hour is used up: 15 minutes. Mixpanel's Retry-After is then the whole hour, as
seen in a real 429. But the window rolls: a request is allowed as soon as the oldest one is an hour old.
"""

CONCURRENCY_WAIT = 20.0
"""Seconds to wait when only too many requests are open and no header names a time."""

_POLICY = re.compile(r'"(project|project-concurrency)"([^",]*)')
"""A part of the header RateLimit; a real one is `"project";r=0;t=3600, "project-concurrency";r=3`."""

_USED = re.compile(r"(\d+)/(\d+) queries running (concurrently|in the last hour)")


def error_from_response(  # noqa: PLR0911 - one case per kind of response
    status: int, headers: Mapping[str, str], body: bytes, *, now: float, host: str | None = None
) -> ExportError | None:
    """Return the error that a response means; `None` if its body is to be read.

    Args:
        status: the HTTP status.
        headers: a mapping whose names are case-insensitive.
        body: the first bytes, as text in UTF-8.
        now: seconds since 1970, for a Retry-After that is a date.
        host: the host that sent it.
    """
    if status == 200:
        return _error_from_ok(headers)
    message = error_text(body)
    if status in (400, 403) and (rejected := rejected_dates(message, status)) is not None:
        return rejected
    if status in (401, 403) and is_web_page(body):
        return ServerError(f"A proxy refused the request ({status}): {message}", status=status)
    if status in (401, 403) or (status == 400 and "unable to authenticate" in message.lower()):
        hint = region_hint(host, also="the credentials, ")
        return AuthenticationError(
            f"Mixpanel does not accept these credentials ({status}): {message}{hint}", status=status
        )
    if status == 504 or (status == 400 and "timeout error" in message.lower()):
        error = ServerError(f"Mixpanel ran out of time ({status}): {message}", status=status)
        error.may_be_too_large = True
        return error
    if status == 429:
        return _rate_limit_error(headers, message, now)
    if status in _REJECTED:
        hint = _hint(status) or (region_hint(host) if status == 404 else "")
        return QueryError(f"Mixpanel rejects the query ({status}): {message}{hint}", status=status)
    if status >= 500 or status in _TRANSIENT:
        wait = retry_after(headers.get("Retry-After"), now)
        return ServerError(f"Mixpanel failed ({status}): {message}", status=status, retry_after=wait)
    if 300 <= status < 400:
        host = _host(headers.get("Location", "")) or "nowhere"
        redirect = ExportError(
            f"Redirected ({status}) to {host}: not followed. Check region and base_url.", status=status
        )
        redirect.fatal = True
        return redirect
    return ExportError(f"An unexpected response ({status}): {message}", status=status)


def _rate_limit_error(headers: Mapping[str, str], message: str, now: float) -> RateLimitError:
    used = _USED.findall(message)
    exceeded = {limit for used, allowed, limit in used if int(used) >= int(allowed)}
    waits = _exceeded_policies(headers.get("RateLimit", ""))
    is_hourly = "project" in waits
    is_hourly |= "in the last hour" in exceeded or (not used and "in the last hour" in message)
    wait = retry_after(headers.get("Retry-After"), now)
    if not wait and waits:
        wait = max(waits.values())
    if is_hourly:
        wait = min(wait or HOURLY_LIMIT_WAIT, HOURLY_LIMIT_WAIT)
    elif not wait and (waits or used):
        wait = CONCURRENCY_WAIT
    error = RateLimitError(f"Mixpanel's rate limit (429): {message}", retry_after=wait)
    error.is_window_full = is_hourly
    return error


def _exceeded_policies(header: str) -> dict[str, float]:
    """Return the policies that a RateLimit header says to be exceeded, each with the seconds that it asks to wait.

    If several have nothing left, those that ask for no time did not refuse this request. A time that is missing is 0.
    """
    used_up = {}
    for policy, parameters in _POLICY.findall(header):
        values = dict(re.findall(r";\s*([rt])\s*=\s*([0-9]{1,9})\b", parameters, re.ASCII))
        if values.get("r") == "0":
            used_up[policy] = min(float(values.get("t", 0)), RETRY_AFTER_MAX)
    return {policy: wait for policy, wait in used_up.items() if wait or len(used_up) == 1}


def _error_from_ok(headers: Mapping[str, str]) -> ExportError | None:
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("gzip", "x-gzip", "identity", ""):
        return ServerError(f"The response is encoded as {encoding[:40]!r}, and only gzip was accepted", status=200)
    return None


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # brackets that are no IPv6 address
        return None


def _hint(status: int) -> str:
    if status == 402:
        return (
            " (the project's plan does not include the query API, which profiles and lookups need; raw exports do not)"
        )
    return ""


async def raise_for_response(response: Response) -> None:
    """Raise the error that a response means, unless its body is to be read."""
    beginning = b"" if response.status == 200 else gunzip_beginning(await response.read_beginning(_BEGINNING))
    error = error_from_response(response.status, response.headers, beginning, now=time.time(), host=response.host)
    if error is not None:
        raise error
