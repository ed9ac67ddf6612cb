"""QueryEndpoints: responds to requests to all endpoints except export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.data.catalog import Catalog
from mixpanel_async.testing.data.profiles import ProfileSource
from mixpanel_async.testing.export.event_reader import EventReader
from mixpanel_async.testing.faults.fault import NOTHING
from mixpanel_async.testing.faults.fault_plan import FaultPlan
from mixpanel_async.testing.http.request_log import RequestRecord
from mixpanel_async.testing.http.response import JSON, RefusedError, Response, json_error
from mixpanel_async.testing.http.routes import Endpoint, Route
from mixpanel_async.testing.limits.rate_limiter import RateLimiter
from mixpanel_async.testing.projects.authentication import Authenticator
from mixpanel_async.testing.projects.project import Project
from mixpanel_async.testing.projects.project_data import ProjectData
from mixpanel_async.testing.query.app_api import (
    annotation_list,
    app_me,
    cohort_list,
    lexicon_schemas,
    public_workspaces,
)
from mixpanel_async.testing.query.engage_sessions import EngageSessions
from mixpanel_async.testing.query.event_counts import event_counts
from mixpanel_async.testing.query.names_and_values import (
    event_names,
    profile_properties,
    property_values,
    top_events,
    top_properties,
)
from mixpanel_async.testing.query.profile_query import parse_profile_query
from mixpanel_async.testing.query.profile_selection import select_profiles
from mixpanel_async.testing.query.query_context import MakeBody, QueryContext
from mixpanel_async.testing.query.query_rules import QueryRules
from mixpanel_async.testing.sending.body_encoder import BodyEncoder
from mixpanel_async.testing.sending.send_response import Pace, send_body

if TYPE_CHECKING:
    from aiohttp import web

NOT_IN_PLAN = json_error(402, "Your plan does not allow API calls. Upgrade at mixpanel.com/pricing")
"""The response for a project whose plan has no query API (the first sentence was seen)."""

_STATELESS: Mapping[Endpoint, Callable[[QueryContext], MakeBody]] = {
    "engage/properties": profile_properties,
    "events": event_counts,
    "events/names": event_names,
    "events/top": top_events,
    "events/properties/top": top_properties,
    "events/properties/values": property_values,
    "cohorts/list": cohort_list,
    "app/me": app_me,
    "schemas": lexicon_schemas,
    "annotations": annotation_list,
    "workspaces/public": public_workspaces,
}
"""The endpoints without sessions. Each function checks a query, may raise RefusedError, and returns what makes the
body."""


class QuerySettings(Protocol):
    """The server's settings that queries depend on. They are read at each request, so a test may change them."""

    clock: FakeClock
    faults: FaultPlan
    latency: float
    bytes_per_second: float | None
    catalog: Catalog
    query_rules: QueryRules
    plan_has_queries: bool

    @property
    def profiles(self) -> ProfileSource:
        """The user profiles."""


class QueryEndpoints:
    """Checks queries and sends their responses."""

    def __init__(
        self,
        settings: QuerySettings,
        authenticator: Authenticator,
        rate_limiter: RateLimiter,
        schemas_rate_limiter: RateLimiter,
        data: ProjectData,
    ) -> None:
        """Respond from ``data`` and ``settings``, as they are at each request."""
        self._settings = settings
        self._authenticator = authenticator
        self._rate_limiter = rate_limiter
        self._schemas_rate_limiter = schemas_rate_limiter
        self._data = data
        self._engage_sessions = EngageSessions(settings.clock)
        self._endpoints = {**_STATELESS, "engage": self._engage_sessions.respond}

    async def respond(
        self, request: web.BaseRequest, record: RequestRecord, route: Route, threads: Executor
    ) -> web.StreamResponse:
        """Respond to a query; raises RefusedError. Bodies are made on ``threads``."""
        settings = self._settings
        if request.method not in route.methods:
            raise RefusedError(Response(405, headers=(("Allow", ", ".join(sorted(route.methods))),)))
        projects = self._authorize(request.headers.get("Authorization"), record, route)
        with self._rate_limit(projects[0], record, route):
            context = self._context(projects, record.params, route.path_suffix)
            endpoint = self._endpoints[route.endpoint]
            make_body = endpoint(context)
            fault = settings.faults.due_for_query(route.endpoint, record.page, record.attempt)
            record.fault = None if fault is NOTHING else fault.name
            if fault.ends_session:
                self._engage_sessions.end(record.params.get("session_id"))
                make_body = endpoint(context)
            encoder = BodyEncoder(_make_once(make_body), fault, threads, JSON)
            return await send_body(request, record, encoder, Pace(settings.latency, settings.bytes_per_second))

    def profiles(self, project: Project, params: Mapping[str, str]) -> Iterator[bytes]:
        """Yield the profiles that a download with these parameters returns, as JSON; raises RefusedError."""
        context = self._context([project], params)
        query = parse_profile_query(params, context.catalog, context.rules)
        return select_profiles(context, query).all(query.output_properties)

    def _context(
        self, projects: list[Project], params: Mapping[str, str], path_suffix: str | None = None
    ) -> QueryContext:
        """Return a query with the present data and settings."""
        settings, project = self._settings, projects[0]
        return QueryContext(
            params=params,
            path_suffix=path_suffix,
            projects=projects,
            events=EventReader(self._data.events_of(project), settings.clock.now, zone=project.zone),
            profiles=settings.profiles,
            groups=self._data.groups,
            catalog=settings.catalog,
            rules=settings.query_rules,
        )

    def _authorize(self, authorization: str | None, record: RequestRecord, route: Route) -> list[Project]:
        """Return the requested project; for ``app/me``, all projects that the credential has access to."""
        if route.endpoint == "app/me":
            projects = self._authenticator.visible_projects(authorization, record.region)
        else:
            from_path = {} if route.project_id is None else {"project_id": route.project_id}
            projects = [self._authenticator.authorize(authorization, {**record.params, **from_path}, record.region)]
        if not self._settings.plan_has_queries:
            raise RefusedError(NOT_IN_PLAN)
        return projects

    def _rate_limit(self, project: Project, record: RequestRecord, route: Route) -> AbstractContextManager[None]:
        """Count the request. Pages with a ``session_id`` do not count in the hour, unless QueryRules say so."""
        if route.endpoint == "schemas":
            return self._schemas_rate_limiter.admit(project.id)
        if not route.is_query:
            return nullcontext()
        in_session = route.endpoint == "engage" and bool(record.params.get("session_id"))
        is_counted = not in_session or self._settings.query_rules.pages_are_counted
        return self._rate_limiter.admit(project.id, is_counted=is_counted)


def _make_once(make_body: MakeBody) -> Callable[[], Iterator[bytes]]:
    """Return a function that yields the body as one piece. The body is made at the first call and kept."""
    cached = lru_cache(make_body)

    def pieces() -> Iterator[bytes]:
        yield cached()

    return pieces
