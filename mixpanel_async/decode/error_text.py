"""The text of an error that Mixpanel sent, in a body or in a line, and whether it rejects only some dates."""

from __future__ import annotations

import json
import re

from mixpanel_async.errors import QueryError

EXCERPT = 500
"""Characters of an error's text that a message shows."""

_REJECTED_DATES = re.compile(r"date range exceeds|later than today|error in (?:from|to)_date", re.IGNORECASE)
_TODAY = " (today is the project's own today: UTC, or the project's time zone for one made before 2023)"


def error_text(body: bytes) -> str:
    """Return what an error says: JSON's `error`, or its plain words; at most `EXCERPT` characters."""
    text = body[: 8 * EXCERPT].decode("utf-8", "replace").strip()
    if isinstance(error := json_object(text).get("error"), str):
        text = error
    if is_web_page(body):
        text = "a web page: " + re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)).strip()
    return text[:EXCERPT] or "(no text)"


def rejected_dates(message: str, status: int) -> QueryError | None:
    """Return the error of a message that rejects the dates of its request, and of no other; `None` for other messages.

    Mixpanel's clients have met: a `to_date` after the project's today (400), dates before those that the plan keeps
    (400, 403, or an error in a 200), and a year that Mixpanel takes for a mistake (400).
    """
    if not _REJECTED_DATES.search(message):
        return None
    hint = _TODAY if "later than today" in message.lower() else ""
    error = QueryError(f"Mixpanel rejects the dates ({status}): {message}{hint}", status=status)
    error.fatal = False
    return error


def is_web_page(body: bytes) -> bool:
    """Whether a body, or a line, is HTML: a login, a proxy, maintenance."""
    return body.lstrip()[:1] == b"<"


def json_object(text: str) -> dict[str, object]:
    """Parse a JSON object; return an empty one for any other text."""
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}
