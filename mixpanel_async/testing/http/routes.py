"""Maps a request's path to an endpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Endpoint = Literal[
    "export",
    "engage",
    "engage/properties",
    "events",
    "events/names",
    "events/top",
    "events/properties/top",
    "events/properties/values",
    "cohorts/list",
    "app/me",
    "schemas",
    "annotations",
    "workspaces/public",
]
"""All endpoints of the fake."""

ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

_PROJECT_ENDPOINTS = ("schemas", "annotations", "workspaces/public")
_PROJECT_PATH = re.compile(rf"/api/app/projects/([0-9]+)/({'|'.join(_PROJECT_ENDPOINTS)})(?:/(\w+))?")


@dataclass(frozen=True, slots=True)
class Route:
    """The endpoint of a path, and what else the path says."""

    endpoint: Endpoint
    project_id: str | None = None
    """The project id in the path; None if the path has none."""
    path_suffix: str | None = None
    """The path's last segment, after the endpoint: an entity type for ``schemas``; ``"legacy"`` for the older path of
    ``annotations``."""
    is_query: bool = False
    """Whether the rate limits of queries count the request. They do not count the app API."""

    @property
    def methods(self) -> frozenset[str]:
        """The HTTP methods that the endpoint accepts."""
        return frozenset({"GET", "POST"} if self.endpoint in {"engage", "cohorts/list"} else {"GET"})


def find_route(path: str) -> Route | None:
    """Return the route of a path, with or without a slash at its end; None if the path is unknown."""
    path = path.removesuffix("/")
    if path == "/api/app/me":
        return Route("app/me")
    if found := _PROJECT_PATH.fullmatch(path):
        return Route(_as_endpoint(found[2]), found[1], found[3])
    if path == "/api/2.0/annotations":
        return Route("annotations", path_suffix="legacy")
    return _find_api_route(path)


def _find_api_route(path: str) -> Route | None:
    """Return the route of a path under ``/api/2.0`` or ``/api/query``; most endpoints have a path under both."""
    base, _, name = path.removeprefix("/api/").partition("/")
    if not path.startswith("/api/") or base not in {"2.0", "query"} or name not in ENDPOINTS:
        return None
    if name in {"app/me", *_PROJECT_ENDPOINTS} or (name == "export" and base == "query"):
        return None
    return Route(_as_endpoint(name), is_query=name != "export")


def _as_endpoint(name: str) -> Endpoint:
    return ENDPOINTS[ENDPOINTS.index(name)]
