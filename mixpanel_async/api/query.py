"""What to ask Mixpanel's query API and the API of its app, and how to judge what they tell. No I/O here.

Source: Mixpanel's docs of the query API, and what its clients have met: an error may come in a 200, as
`{"status": "error", "error": ...}` or `{"request": ..., "error": ...}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixpanel_async.api import hosts
from mixpanel_async.api.credentials import project_parameter
from mixpanel_async.errors import ConfigurationError, QueryError, ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.errors import ExportError


@dataclass(frozen=True, slots=True)
class Query:
    """One question."""

    path: str
    """From the root, such as `/api/query/cohorts/list`."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Values as a query string has them (JSON as text), `workspace_id` among them; `project_id` is added."""
    name: str = "The query"
    """What errors and logs call it."""
    posted: bool = False
    """Whether it is a POST of a form; else a GET."""
    counted: bool = True
    """Whether Mixpanel counts it against the hour: not the app's API, and not the pages of a session."""


def endpoint(region: str, base_url: str | None) -> str:
    """Scheme and host of queries. Raises ConfigurationError, as `hosts.host` does."""
    return hosts.host(hosts.QUERIES, region, base_url)


def app_path(credentials: Credentials, name: str) -> str:
    """The path of something of the project's in the app's API, such as `annotations`.

    Raises:
        ConfigurationError: a project secret, which tells nobody which project it belongs to.
    """
    try:
        project = project_parameter(credentials)["project_id"]
    except KeyError:
        raise ConfigurationError(
            f"{name} need a service account or an OAuth token: a project secret has no id."
        ) from None
    return f"/api/app/projects/{project}/{name}"


def judge_told(told: object) -> ExportError | None:
    """What the JSON of a 200 means: an error to raise, or `None` for an answer."""
    if not isinstance(told, dict) or ("results" in told and told.get("status") != "error"):
        return None
    if not isinstance(said := told.get("error"), str):
        if told.get("status") != "error":
            return None
        said = ""
    if "date range exceeds" in said.lower():
        return QueryError(f"Mixpanel rejects the dates: {said[:500]}", status=200)
    return ServerError(f"Mixpanel answers with an error: {said[:500] or '(no text)'}", status=200)
