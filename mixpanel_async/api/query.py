"""A request to Mixpanel's query API or to its app's API, and what the JSON of a response means. No I/O.

Source: Mixpanel's docs of the query API, and what its clients have met: a 200 may hold an error, as
`{"status": "error", "error": ...}` or `{"request": ..., "error": ...}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixpanel_async.api import hosts
from mixpanel_async.api.credentials import project_parameter
from mixpanel_async.decode.error_text import EXCERPT, rejected_dates
from mixpanel_async.errors import ConfigurationError, ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.api.limits import LimitName
    from mixpanel_async.errors import ExportError


@dataclass(frozen=True, slots=True)
class Query:
    """One request."""

    path: str
    """From the root, such as `/api/query/cohorts/list`."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Values as a query string has them (JSON as text), `workspace_id` among them; `project_id` is added."""
    name: str = "The query"
    """What errors and logs call it."""
    is_post: bool = False
    """Whether it is a POST of a form; else a GET."""
    limit: LimitName = "queries"
    """The limit that it counts in; see `api.limits`."""
    is_counted: bool = True
    """Whether it counts in the limit's windows: later pages of a session count only among the requests at once."""


def query_url(region: str, base_url: str | None) -> str:
    """Return scheme and host of the query API. Raises ConfigurationError, as `hosts.host` does."""
    return hosts.host(hosts.QUERIES, region, base_url)


def app_path(credentials: Credentials, name: str) -> str:
    """Return the path of `name`, such as `annotations`, in the app's API.

    Raises:
        ConfigurationError: the credentials are a project secret, which does not tell its project's id.
    """
    try:
        project = project_parameter(credentials)["project_id"]
    except KeyError:
        raise ConfigurationError(
            f"{name} need a service account or an OAuth token: a project secret has no id."
        ) from None
    return f"/api/app/projects/{project}/{name}"


def error_from_payload(payload: object) -> ExportError | None:
    """Return the error that the JSON of a 200 holds; `None` if it is a result."""
    if not isinstance(payload, dict) or ("results" in payload and payload.get("status") != "error"):
        return None
    if not isinstance(message := payload.get("error"), str):
        if payload.get("status") != "error":
            return None
        message = ""
    message = message[:EXCERPT]
    return rejected_dates(message, 200) or ServerError(
        f"Mixpanel responded with an error: {message or '(no text)'}", status=200
    )
