"""Short answers: status, body and headers."""

from __future__ import annotations

import json
from dataclasses import dataclass

JSON = "application/json"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole small answer: status, body, type and further headers.

    ``{request}`` inside the body is filled in with the path and query that were asked for, as Mixpanel's
    JSON errors repeat them.
    """

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: Headers = ()

    def filled(self, request_line: str) -> bytes:
        """Return the body with the request's path and query in its place."""
        shown = json.dumps(request_line)[1:-1] if self.content_type == JSON else request_line
        return self.body.replace(b"{request}", shown.encode())


class RefusedError(Exception):
    """A request that is judged and turned down; carries the answer."""

    def __init__(self, answer: Answer) -> None:
        """Carry ``answer`` to the one place that sends it."""
        super().__init__(answer.status)
        self.answer = answer


def json_error(status: int, text: str, headers: Headers = ()) -> Answer:
    """Word an error as Mixpanel's query family does: ``{"request": ..., "error": ...}``."""
    body = json.dumps({"request": "{request}", "error": text}).encode()
    return Answer(status, body, JSON, headers)


TIMEOUT_ERROR = json_error(400, "Timeout Error.")
"""A 400 that is worth asking again; seen on Mixpanel's query hosts."""
