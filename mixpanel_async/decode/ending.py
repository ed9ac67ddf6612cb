"""How the text of a response ends: whole, or broken off.

The export has no end mark. The text shows two faults: a last line that is cut, and a line by which Mixpanel breaks off
its response inside a 200, after good lines or before any. Such a line is the words `terminated early`, or an error as
JSON (met in the field by Mixpanel's clients), or the words that reject the request's dates; at the end it may be any
JSON that is not an event. `gunzip` checks the gzip, `api.transport` the HTTP framing.
"""

from __future__ import annotations

import re

from mixpanel_async.decode.error_text import error_text, json_object, rejected_dates
from mixpanel_async.errors import ConnectionLostError, ExportError, ServerError

_WEB_PAGE = re.compile(rb"\s*<(?:!doctype|html)\b", re.IGNORECASE)
_REJECTED = re.compile(rb"(?i:to_date cannot be later than today|date range exceeds \d+ days into the past)\.?")
_TERMINATED = re.compile(rb'[\s"(\[]*(?:export )?terminated early\.?[\s")\]]*', re.ASCII)


class BrokenEndError(ConnectionLostError):
    """The last line is not JSON: it was cut, or it is a bad line like any other.

    A line without its line break was cut. With one, a second attempt decides: a bad line comes again, byte for byte.
    """

    def __init__(self, end: bytes, *, is_ended: bool) -> None:
        """`end` is the line, or the lines of an event that raw line breaks cut apart."""
        super().__init__("The response was cut: its last line is not whole", may_be_too_large=not is_ended)
        self.end = end if is_ended else None
        """What the second attempt is compared with; `None` if the line was surely cut."""


def error_from_line(line: bytes) -> ExportError | None:
    """Return the error by which Mixpanel broke off; `None` for a line that is merely not an event."""
    if _TERMINATED.fullmatch(line):
        return ConnectionLostError("Mixpanel broke off its response: terminated early")
    if _WEB_PAGE.match(line):
        return ServerError(f"Data was expected, and {error_text(line)} came", status=200)
    if _REJECTED.fullmatch(line.strip()):
        return rejected_dates(error_text(line), 200)
    if line.lstrip().startswith(b'{"error"') or _is_error_object(line):
        message = error_text(line)
        return rejected_dates(message, 200) or ServerError(f"Mixpanel broke off its response: {message}", status=200)
    return None


def error_from_last_line(line: bytes) -> ExportError:
    """Return the error for a last line that is JSON, and of which nothing looks like an event."""
    return ConnectionLostError(f"Mixpanel broke off its response; its last line is not an event: {error_text(line)}")


def _is_error_object(line: bytes) -> bool:
    """Whether a line is an error of Mixpanel's as JSON, `{"request": ..., "error": ...}` and the like, not an event."""
    payload = json_object(line.decode("utf-8", "replace")) if b'"error"' in line else {}
    return ("error" in payload or payload.get("status") == "error") and "event" not in payload
