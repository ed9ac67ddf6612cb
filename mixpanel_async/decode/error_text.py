"""The text of an error that Mixpanel sent, in a body or in a line."""

from __future__ import annotations

import json
import re

EXCERPT = 500
"""Characters of an error's text that a message shows."""


def error_text(body: bytes) -> str:
    """Return what an error says: JSON's `error`, or its plain words; at most `EXCERPT` characters."""
    text = body[: 8 * EXCERPT].decode("utf-8", "replace").strip()
    if isinstance(error := json_object(text).get("error"), str):
        text = error
    if is_web_page(body):
        text = "a web page: " + re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text)).strip()
    return text[:EXCERPT] or "(no text)"


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
