"""A response that fits in memory: status, body and headers; and the exception that sends one."""

from __future__ import annotations

import json
from dataclasses import dataclass

JSON = "application/json"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response: status, body, content type and further headers.

    The body may contain ``{request}``. It is replaced by the request's path and query string, which Mixpanel's JSON
    errors repeat.
    """

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: Headers = ()

    def body_for(self, path_qs: str) -> bytes:
        """Return the body with ``{request}`` replaced by a request's path and query string."""
        request = json.dumps(path_qs)[1:-1] if self.content_type == JSON else path_qs
        return self.body.replace(b"{request}", request.encode())


class RefusedError(Exception):
    """The server refuses a request, and sends ``response`` to the client."""

    def __init__(self, response: Response) -> None:
        """Refuse a request with this response."""
        super().__init__(response.status)
        self.response = response


def json_error(status: int, text: str, headers: Headers = ()) -> Response:
    """Return an error in the form of Mixpanel's query API: ``{"request": ..., "error": text}``."""
    body = json.dumps({"request": "{request}", "error": text}).encode()
    return Response(status, body, JSON, headers)


TIMEOUT_ERROR = json_error(400, "Timeout Error.")
"""A transient 400: the same request succeeds when it is retried. Seen on Mixpanel's query hosts."""
