"""How the text of a response ends: whole, or broken off.

The export has no end mark. The text shows two faults: a last line that is cut, and a line by which Mixpanel breaks off
its response inside a 200, after good lines or before any. Such a line is the words `terminated early`, or an error as
JSON (met in the field by Mixpanel's clients), or the words that reject the request's dates. `gunzip` checks the gzip,
`api.transport` the HTTP framing.
"""

from __future__ import annotations

import re

from mixpanel_async.decode.error_text import error_text, json_object, rejected_dates
from mixpanel_async.decode.event import BOM, NotAnEventError, join_lines, parse_event
from mixpanel_async.errors import ConnectionLostError, ExportError, ServerError

_BLANKS = b"\r\n \t"
_WEB_PAGE = re.compile(rb"\s*<(?:!doctype|html)\b", re.IGNORECASE)
_REJECTED = re.compile(rb"(?i:to_date cannot be later than today|date range exceeds \d+ days into the past)\.?")
_TERMINATED = re.compile(rb"(?:export )?terminated early\.?", re.ASCII)


def error_from_line(line: bytes) -> ExportError | None:
    """Return the error by which Mixpanel broke off; `None` for a line that is merely not an event."""
    if _TERMINATED.fullmatch(line.strip()):
        return ConnectionLostError("Mixpanel broke off its response: terminated early")
    if _WEB_PAGE.match(line):
        return ServerError(f"Data was expected, and {error_text(line)} came", status=200)
    if _REJECTED.fullmatch(line.strip()):
        return rejected_dates(error_text(line), 200)
    if line.lstrip().startswith(b'{"error"') or _is_error_object(line):
        message = error_text(line)
        return rejected_dates(message, 200) or ServerError(f"Mixpanel broke off its response: {message}", status=200)
    return None


def check_last_line(text: bytes) -> None:
    """Check the end of a response's text: its last line, and the line before, if there is one.

    Raises:
        ConnectionLostError: the last line is cut: it is not JSON, and it is not the second half of an event which a raw
            line break inside a text cut apart. Or Mixpanel broke off with it.
        ServerError: it is an error of Mixpanel's.
    """
    *before, last = text.rstrip(_BLANKS).rsplit(b"\n", 2)
    last = last.removeprefix(BOM)
    try:
        parse_event(last)
    except NotAnEventError as error:
        if error.is_json or not last:
            return
        if before and join_lines(before[-1].removesuffix(b"\r"), last) is not None:
            return
        raise error_from_line(last) or ConnectionLostError("The response was cut: its last line is not whole") from None


def _is_error_object(line: bytes) -> bool:
    """Whether a line is an error of Mixpanel's as JSON, `{"request": ..., "error": ...}` and the like, not an event."""
    payload = json_object(line.decode("utf-8", "replace")) if b'"error"' in line else {}
    return "error" in payload and "event" not in payload
