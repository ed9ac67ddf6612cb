"""The query endpoints: who may ask, how often, and what goes wrong; the answers are made elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.data.catalog import Catalog
from mixpanel_async.testing.data.profiles import ProfileSource
from mixpanel_async.testing.export.event_reader import Telling
from mixpanel_async.testing.faults.fault import NOTHING
from mixpanel_async.testing.faults.fault_plan import FaultPlan
from mixpanel_async.testing.http.request_log import RequestRecord
from mixpanel_async.testing.http.response import JSON, Answer, RefusedError, json_error
from mixpanel_async.testing.http.routes import Endpoint, Route
from mixpanel_async.testing.limits.rate_limiter import Turnstile
from mixpanel_async.testing.projects.authentication import Gate
from mixpanel_async.testing.projects.project import Project
from mixpanel_async.testing.projects.project_data import Holdings
from mixpanel_async.testing.query.app_api import cohort_list, me, notes, schemas, workspaces
from mixpanel_async.testing.query.engage_sessions import Engage, choice
from mixpanel_async.testing.query.names_and_values import (
    event_names,
    profile_properties,
    property_values,
    top_events,
    top_properties,
)
from mixpanel_async.testing.query.profile_query import judged
from mixpanel_async.testing.query.query_context import Body, Question
from mixpanel_async.testing.query.query_rules import QueryRules
from mixpanel_async.testing.sending.body_encoder import Rendering
from mixpanel_async.testing.sending.send_response import Pace, happen

if TYPE_CHECKING:
    from aiohttp import web

NOT_IN_PLAN = json_error(402, "Your plan does not allow API calls. Upgrade at mixpanel.com/pricing")
"""How a project without the query API is refused (its first sentence was seen)."""


LOOKUPS: Mapping[Endpoint, Callable[[Question], Body]] = {
    "engage/properties": profile_properties,
    "events/names": event_names,
    "events/top": top_events,
    "events/properties/top": top_properties,
    "events/properties/values": property_values,
    "cohorts/list": cohort_list,
    "app/me": me,
    "schemas": schemas,
    "annotations": notes,
    "workspaces/public": workspaces,
}
"""Each judges a question, which may raise RefusedError, and returns what makes the body."""


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
    """Judges queries and lets them happen."""

    def __init__(self, settings: QuerySettings, gate: Gate, turnstile: Turnstile, holdings: Holdings) -> None:
        """Answer from what ``settings`` and ``holdings`` hold at each request."""
        self._settings = settings
        self._gate = gate
        self._turnstile = turnstile
        self._holdings = holdings
        self._engage = Engage(settings.clock)
        self._answers = {**LOOKUPS, "engage": self._engage.answer}

    async def answered(
        self, request: web.BaseRequest, record: RequestRecord, route: Route, threads: Executor
    ) -> web.StreamResponse:
        """Answer one query; raises RefusedError."""
        settings = self._settings
        if request.method not in route.methods:
            raise RefusedError(Answer(405, headers=(("Allow", ", ".join(sorted(route.methods))),)))
        projects = self._admitted(request.headers.get("Authorization"), record, route)
        with self._held(projects[0], record, route):
            question = self._question(projects, record.params, route.rest)
            answer = self._answers[route.endpoint]
            body = answer(question)
            fault = settings.faults.due_to_query(route.endpoint, record.page, record.attempt)
            record.fault = None if fault is NOTHING else fault.name
            if fault.ends_session:
                self._engage.end(record.params.get("session_id"))
                body = answer(question)
            rendering = Rendering(_once(body), fault, threads, JSON)
            return await happen(request, record, rendering, Pace(settings.latency, settings.bytes_per_second))

    def _question(self, projects: list[Project], params: Mapping[str, str], rest: str | None = None) -> Question:
        """Put together what an answer may depend on, as of now."""
        settings, project = self._settings, projects[0]
        return Question(
            params=params,
            rest=rest,
            projects=projects,
            events=Telling(self._holdings.of(project), settings.clock.now, zone=project.zone),
            profiles=settings.profiles,
            groups=self._holdings.groups,
            catalog=settings.catalog,
            rules=settings.query_rules,
        )

    def profiles(self, project: Project, params: Mapping[str, str]) -> Iterator[bytes]:
        """Return what yields the profiles that a download with these parameters gets; raises RefusedError."""
        question = self._question([project], params)
        query = judged(params, question.catalog, question.rules)
        return choice(question, query).all_written(query.output_properties)

    def _admitted(self, authorization: str | None, record: RequestRecord, route: Route) -> list[Project]:
        """Return the project that is asked, or all that the credential opens where none is named."""
        if route.endpoint == "app/me":
            projects = self._gate.visible(authorization, record.region)
        else:
            named = {} if route.project_id is None else {"project_id": route.project_id}
            projects = [self._gate.admit(authorization, {**record.params, **named}, record.region)]
        if not self._settings.plan_has_queries:
            raise RefusedError(NOT_IN_PLAN)
        return projects

    def _held(self, project: Project, record: RequestRecord, route: Route) -> AbstractContextManager[None]:
        """Take a place among the queries that are open, and a token unless the page is a session's."""
        if not route.is_query:
            return nullcontext()
        in_session = route.endpoint == "engage" and bool(record.params.get("session_id"))
        counted = not in_session or self._settings.query_rules.pages_are_counted
        return self._turnstile.admit(project.id, counted=counted)


def _once(body: Body) -> Callable[[], Iterator[bytes]]:
    """Return what yields the body; it is made when it is first asked for, and then kept."""
    made = lru_cache(body)

    def pieces() -> Iterator[bytes]:
        yield made()

    return pieces
