"""Which path is which endpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Endpoint = Literal[
    "export",
    "engage",
    "engage/properties",
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
"""What a request can be for."""

ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

_OF_PROJECTS = ("schemas", "annotations", "workspaces/public")
_IN_A_PROJECT = re.compile(rf"/api/app/projects/([0-9]+)/({'|'.join(_OF_PROJECTS)})(?:/(\w+))?")
_READ_ONLY = frozenset({"GET"})
_QUERIES = frozenset({"GET", "POST"})


@dataclass(frozen=True, slots=True)
class Route:
    """Where a path leads."""

    endpoint: Endpoint
    project_id: str | None = None
    """The project that the path names."""
    rest: str | None = None
    """What follows in the path."""
    is_query: bool = False
    """Whether it counts among the queries that are limited; the app's API does not."""

    @property
    def methods(self) -> frozenset[str]:
        """The methods that are taken."""
        return _QUERIES if self.endpoint in {"engage", "cohorts/list"} else _READ_ONLY


def route_of(path: str) -> Route | None:
    """Return where a path leads, with or without a slash at its end; None if there is nothing."""
    path = path.removesuffix("/")
    if path == "/api/app/me":
        return Route("app/me")
    if found := _IN_A_PROJECT.fullmatch(path):
        return Route(_known(found[2]), found[1], found[3])
    if path == "/api/2.0/annotations":
        return Route("annotations", rest="legacy")
    return _query_route(path)


def _query_route(path: str) -> Route | None:
    """Return where a path of the data or the query API leads; the two have most names in common."""
    base, _, name = path.removeprefix("/api/").partition("/")
    if not path.startswith("/api/") or base not in {"2.0", "query"} or name not in ENDPOINTS:
        return None
    if name in {"app/me", *_OF_PROJECTS} or (name == "export" and base == "query"):
        return None
    return Route(_known(name), is_query=name != "export")


def _known(name: str) -> Endpoint:
    return ENDPOINTS[ENDPOINTS.index(name)]
