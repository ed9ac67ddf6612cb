"""How Mixpanel words its refusals where more than one wording has been seen."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Literal

from mixpanel_async.testing.http.response import JSON, Answer, json_error


@dataclass(frozen=True, slots=True)
class Wording:
    """Which of several known wordings the server uses. Clients should depend on none of them.

    The defaults are what was seen most; the rest lets a test show that the client does not care.
    """

    unauthorized: Literal["json", "plain", "400"] = "json"
    """A wrong or missing credential: 401 with JSON, 401 with plain text, or 400 with
    ``Unable to authenticate request``. All three have been seen of Mixpanel."""
    future_date: Literal["plain", "json"] = "plain"
    """A ``to_date`` after today: 400, with the bare text or with the text in JSON (inferred)."""
    retry_after: Literal["seconds", "none", "date"] = "seconds"
    """The headers of a 429: Retry-After in seconds with RateLimit headers, none at all, or Retry-After as
    an HTTP date. Mixpanel's docs promise none of these for exports."""
    too_many: Literal["json", "plain"] = "json"
    """The body of a 429: JSON, or the text alone (inferred)."""
    unclear_project: Literal["400", "401"] = "400"
    """A ``project_id`` that a service account leaves out, or that comes with a project secret (inferred)."""
    no_access: Literal["403", "401"] = "403"
    """A project that the credential does not open (inferred): 403, or as a wrong credential."""
    bad_parameter: Literal["json", "plain"] = "json"
    """The body of the 400 for a parameter that is missing or wrong (inferred)."""
    high_limit: Literal["400", "clamped"] = "400"
    """A ``limit`` above 100,000 (inferred): refused, or taken for 100,000."""

    def unauthorized_answer(self) -> Answer:
        """Word the refusal of a wrong, expired or missing credential."""
        if self.unauthorized == "400":
            return UNABLE_TO_AUTHENTICATE
        if self.unauthorized == "plain":
            text = b"Unauthorized, invalid project secret. See docs for more information: "
            return Answer(401, text + b"https://developer.mixpanel.com/reference/authentication#project-secret")
        return json_error(401, "Invalid credentials")

    def unclear_project_answer(self) -> Answer:
        """Word the refusal of a request that names its project twice, or not at all."""
        return replace(UNABLE_TO_AUTHENTICATE, status=int(self.unclear_project))

    def no_access_answer(self, project_id: str) -> Answer:
        """Word the refusal of a project that the credential does not open."""
        if self.no_access == "401":
            return self.unauthorized_answer()
        payload = {"error": f"Not permitted to read project {project_id}", "status": "error"}
        return Answer(403, json.dumps(payload).encode(), JSON)

    def bad_parameter_answer(self, text: str) -> Answer:
        """Word the refusal of a parameter."""
        return json_error(400, text) if self.bad_parameter == "json" else Answer(400, text.encode())

    def future_answer(self) -> Answer:
        """Word the refusal of a ``to_date`` that lies after the project's today."""
        text = "to_date cannot be later than today"
        return json_error(400, text) if self.future_date == "json" else Answer(400, text.encode())


UNABLE_TO_AUTHENTICATE = json_error(400, "Unable to authenticate request")
"""How a request is refused that names its project twice or not at all (status seen, text inferred)."""
