"""What an answer of Mixpanel's means, by its status, its headers and its first bytes. No I/O here.

Source: Mixpanel's docs, and what its clients have met in the field: errors come as JSON, as plain text and as web
pages, and some 400s are none.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mixpanel_async.api.retry import retry_after
from mixpanel_async.errors import AuthenticationError, ExportError, QueryError, RateLimitError, ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REJECTED = frozenset({400, 402, 404, 412, 413})
_EXCERPT = 500

QUARTER = 900.0
"""Seconds to wait where the hour's limit is met and no Retry-After says for how long: the window is a rolling one."""


def judge(  # noqa: PLR0911 - a case an answer
    status: int, headers: Mapping[str, str], body: bytes, *, now: float
) -> ExportError | None:
    """What an answer's status and first bytes mean: an error to raise, or `None` for a body worth reading.

    `headers` is case-insensitive, `now` is the time of day in epoch seconds (for a Retry-After that is a date).
    """
    if status == 200:
        return _judge_ok(headers)
    said = what_it_says(body)
    if status == 403 and "date range exceeds" in said.lower():
        return QueryError(f"Mixpanel rejects the dates ({status}): {said}", status=status)
    if status in (401, 403) or (status == 400 and "unable to authenticate" in said.lower()):
        return AuthenticationError(f"Mixpanel does not accept these credentials ({status}): {said}", status=status)
    if status == 504 or (status == 400 and "timeout error" in said.lower()):
        error = ServerError(f"Mixpanel ran out of time ({status}): {said}", status=status)
        error.may_be_too_large = True
        return error
    if status == 429:
        wait = retry_after(headers.get("Retry-After"), now)
        if wait is None and "in the last hour" in said:
            wait = QUARTER
        return RateLimitError(f"Mixpanel's rate limit (429): {said}", retry_after=wait)
    if status in _REJECTED:
        return QueryError(f"Mixpanel rejects the query ({status}): {said}{_hint(status, said)}", status=status)
    if status >= 500:
        wait = retry_after(headers.get("Retry-After"), now)
        return ServerError(f"Mixpanel failed ({status}): {said}", status=status, retry_after=wait)
    if 300 <= status < 400:
        host = _host(headers.get("Location", "")) or "nowhere"
        away = ExportError(f"Redirected ({status}) to {host}: not followed. Check region and base_url.", status=status)
        away.ends_the_run = True
        return away
    return ExportError(f"An answer that Mixpanel never gives ({status}): {said}", status=status)


def what_it_says(body: bytes) -> str:
    """The text of an error body: JSON's `error`, or the plain words; never more than an excerpt."""
    text = body[: 8 * _EXCERPT].decode("utf-8", "replace").strip()
    told = json_object(text)
    if isinstance(error := told.get("error"), str):
        text = error
    if text[:1] == "<":
        text = "a web page: " + re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)).strip()
    return text[:_EXCERPT] or "(no text)"


def json_object(text: str) -> dict[str, object]:
    """The text as a JSON object; an empty one where it is none."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _judge_ok(headers: Mapping[str, str]) -> ExportError | None:
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("gzip", "x-gzip", "identity", ""):
        return ServerError(f"The answer came as {encoding[:40]!r}, and only gzip was asked for", status=200)
    if headers.get("Content-Type", "").lower().startswith("text/html"):
        return ServerError("A web page came instead of data (a login, a proxy, maintenance)", status=200)
    return None


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # brackets that are no IPv6 address
        return None


def _hint(status: int, said: str) -> str:
    if "later than today" in said:
        return " (today is the project's own today: UTC, or the project's time zone for one made before 2023)"
    if status == 402:
        return (
            " (the project's plan does not include the query API, which profiles and lookups need; raw exports do not)"
        )
    if status == 404:
        return " (check region and base_url)"
    return ""
