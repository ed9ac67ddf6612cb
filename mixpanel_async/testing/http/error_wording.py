"""Wording: how the server words its errors, where several wordings of Mixpanel are known."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Literal

from mixpanel_async.testing.http.response import JSON, Response, json_error

UNABLE_TO_AUTHENTICATE = json_error(400, "Unable to authenticate request")
"""The response if a request names its project twice or not at all (the status was seen, the text is inferred)."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The wording of errors. A client should not depend on any of these choices.

    The defaults are the wordings that were seen most often. Choose another one to show that a client does not depend
    on the wording. "Inferred" means that no real response of this kind is known.
    """

    unauthorized: Literal["json", "plain", "400"] = "json"
    """A wrong or missing credential: 401 with JSON, 401 with plain text, or 400 with
    ``Unable to authenticate request``. Mixpanel has sent all three."""
    future_date: Literal["plain", "json"] = "plain"
    """A ``to_date`` after today: 400 with plain text, or 400 with the text in JSON (inferred)."""
    retry_after: Literal["seconds", "none", "date"] = "seconds"
    """The headers of a 429: Retry-After in seconds with RateLimit headers, no such headers, or Retry-After as an
    HTTP date. Mixpanel's docs promise none of these for exports."""
    too_many: Literal["json", "plain"] = "json"
    """The body of a 429: JSON, or plain text (inferred)."""
    unclear_project: Literal["400", "401"] = "400"
    """The status if a service account sends no ``project_id``, or a project secret sends one (inferred)."""
    no_access: Literal["403", "401"] = "403"
    """A project that the credential has no access to (inferred): 403, or the same response as a wrong credential."""
    bad_parameter: Literal["json", "plain"] = "json"
    """The body of the 400 if a parameter is missing or wrong (inferred)."""
    high_limit: Literal["400", "clamped"] = "400"
    """A ``limit`` above 100,000 (inferred): refused with 400, or lowered to 100,000."""

    def unauthorized_response(self) -> Response:
        """Return the response to a wrong, expired or missing credential."""
        if self.unauthorized == "400":
            return UNABLE_TO_AUTHENTICATE
        if self.unauthorized == "plain":
            text = b"Unauthorized, invalid project secret. See docs for more information: "
            return Response(401, text + b"https://developer.mixpanel.com/reference/authentication#project-secret")
        return json_error(401, "Invalid credentials")

    def unclear_project_response(self) -> Response:
        """Return the response to a request that names its project twice, or not at all."""
        return replace(UNABLE_TO_AUTHENTICATE, status=int(self.unclear_project))

    def no_access_response(self, project_id: str) -> Response:
        """Return the response to a request for a project that the credential has no access to."""
        if self.no_access == "401":
            return self.unauthorized_response()
        payload = {"error": f"Not permitted to read project {project_id}", "status": "error"}
        return Response(403, json.dumps(payload).encode(), JSON)

    def bad_parameter_response(self, text: str) -> Response:
        """Return the response to a missing or wrong parameter."""
        return json_error(400, text) if self.bad_parameter == "json" else Response(400, text.encode())

    def future_date_response(self) -> Response:
        """Return the response to a ``to_date`` after the project's today."""
        text = "to_date cannot be later than today"
        return json_error(400, text) if self.future_date == "json" else Response(400, text.encode())
