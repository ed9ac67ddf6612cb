"""What to ask Mixpanel's raw export for, and how to judge the answer. No I/O here.

Source: Mixpanel's docs of `GET /api/2.0/export`, and what its clients have met in the field. The export answers
with JSON Lines and nothing else: no count, no cursor, no end mark. So a 200 proves nothing by itself: the body may
be cut, may end in `terminated early`, may hold an error as JSON, or be a web page.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from mixpanel_async.api.retry import retry_after
from mixpanel_async.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    ExportError,
    QueryError,
    RateLimitError,
    ServerError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Region = Literal["us", "eu", "in"]

HOSTS: dict[str, str] = {
    "us": "https://data.mixpanel.com",
    "eu": "https://data-eu.mixpanel.com",
    "in": "https://data-in.mixpanel.com",
}
PATH = "/api/2.0/export"
LIMIT_MAX = 100_000
"""Mixpanel's docs: `limit` "cannot be over 100000"."""

_REJECTED = frozenset({400, 402, 404, 412, 413})
_TERMINATED = re.compile(rb"(?:export )?terminated early\.?", re.ASCII)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_EXCERPT = 500


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """One request's question: dates (both inclusive) and the selection."""

    from_date: str
    to_date: str
    events: tuple[str, ...] | None = None
    where: str | None = None
    limit: int | None = None

    def parameters(self) -> dict[str, str]:
        """The query string's names and values, `project_id` aside."""
        given = {"from_date": self.from_date, "to_date": self.to_date}
        if self.events is not None:
            given["event"] = json.dumps(self.events, ensure_ascii=False)
        if self.where is not None:
            given["where"] = self.where
        if self.limit is not None:
            given["limit"] = str(self.limit)
        return given


def endpoint(region: str, base_url: str | None) -> str:
    """The export's URL.

    `base_url` replaces scheme and host. Plain `http` is for this machine only: elsewhere it would show the secret.

    Raises:
        ConfigurationError: an unknown region, or a base URL that is none.
    """
    if base_url is None:
        if region not in HOSTS:
            raise ConfigurationError(f"region must be one of {', '.join(HOSTS)}, not {region!r}.")
        return HOSTS[region] + PATH
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that are no IPv6 address, a port that is no number
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment or not base_url.isprintable():
        raise ConfigurationError("base_url must be a scheme and a host, such as https://proxy.example.com.")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError("base_url must be https: over http the secret could be read on its way.")
    return base_url.rstrip("/") + PATH


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
    return ExportError(f"An answer that the export never gives ({status}): {said}", status=status)


def judge_line(line: bytes) -> ExportError | None:
    """What a line that is no event means for the whole answer: broken off, or `None` for a mere bad line.

    Mixpanel may break off inside a 200, after good lines or before any: with the bare words `terminated early` or
    `export terminated early`, or with an error as JSON.
    """
    if _TERMINATED.fullmatch(line.strip()):
        return ConnectionLostError("Mixpanel broke off its answer: terminated early")
    if line.lstrip().startswith(b'{"error"') or _is_error(line):
        return ServerError(f"Mixpanel broke off its answer: {what_it_says(line)}", status=200)
    return None


def what_it_says(body: bytes) -> str:
    """The text of an error body: JSON's `error`, or the plain words; never more than an excerpt."""
    text = body[: 8 * _EXCERPT].decode("utf-8", "replace").strip()
    told = _object(text)
    if isinstance(error := told.get("error"), str):
        text = error
    if text[:1] == "<":
        text = "a web page: " + re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)).strip()
    return text[:_EXCERPT] or "(no text)"


def _is_error(line: bytes) -> bool:
    """Whether a whole line is an error of Mixpanel's: `{"request": ..., "error": ...}` and the like, with no event."""
    told = _object(line.decode("utf-8", "replace")) if b'"error"' in line else {}
    return "error" in told and "event" not in told


def _object(text: str) -> dict[str, object]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def check_selection(events: Sequence[str] | None, where: str | None, limit: int | None) -> tuple[str, ...] | None:
    """Hold the selection's rules and give `events` as a tuple.

    Raises:
        ValueError: names the argument and what it must be.
    """
    if isinstance(events, str):
        raise ValueError(f"events must be a list of names, such as [{events!r}], not one text.")  # noqa: TRY004
    if events is not None and not (events and all(isinstance(name, str) and name for name in events)):
        raise ValueError("events must be names that are not empty, or None for all events.")
    if where is not None and (not isinstance(where, str) or not where.strip()):
        raise ValueError("where must be an expression of Mixpanel's, or None.")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LIMIT_MAX):
        raise ValueError(f"limit must be a whole number from 1 to {LIMIT_MAX}, or None.")
    return None if events is None else tuple(events)


def _judge_ok(headers: Mapping[str, str]) -> ExportError | None:
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("gzip", "x-gzip", "identity", ""):
        return ServerError(f"The answer came as {encoding[:40]!r}, and only gzip was asked for", status=200)
    if headers.get("Content-Type", "").lower().startswith("text/html"):
        return ServerError("A web page came instead of events (a login, a proxy, maintenance)", status=200)
    return None


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # brackets that are no IPv6 address
        return None


def _hint(status: int, said: str) -> str:
    if "later than today" in said:
        return " (today is the project's own today: UTC, or the project's time zone for one made before 2023)"
    if status == 404:
        return " (check region and base_url)"
    return ""
