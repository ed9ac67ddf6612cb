"""EngageSessions: pages of profiles. A download is a session, which keeps the profiles as they were at its start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.data.json_lines import dump_json
from mixpanel_async.testing.http.parameter_values import BadParameterError, read_number
from mixpanel_async.testing.query.profile_query import ProfileQuery, parse_profile_query
from mixpanel_async.testing.query.profile_selection import SelectedProfiles, select_profiles
from mixpanel_async.testing.query.query_context import MakeBody, QueryContext

MAX_PAGE_SIZE = 10_000
"""The highest ``page_size``. Higher ones are lowered to it (inferred)."""


@dataclass(slots=True)
class _Session:
    """One download."""

    id: str
    project_id: int
    selected_by: Mapping[str, str]
    began: float
    pages: int = 0
    profiles: SelectedProfiles | None = None
    """The selected profiles; None until the first page is made."""


@dataclass(frozen=True, slots=True)
class _Page:
    number: int
    size: int
    query: ProfileQuery
    session: _Session


class EngageSessions:
    """Responds to profile queries and keeps their sessions."""

    __slots__ = ("_begun", "_clock", "_sessions")

    def __init__(self, clock: FakeClock) -> None:
        """Start without sessions. They expire by ``clock.monotonic()``, after the seconds that QueryRules give."""
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._begun = 0

    def respond(self, context: QueryContext) -> MakeBody:
        """Check a query and return what makes its page; raises BadParameterError."""
        params = context.params
        query = parse_profile_query(params, context.catalog, context.rules)
        number = read_number(params, "page", least=0) or 0
        size = min(read_number(params, "page_size", least=1) or context.rules.page_size, MAX_PAGE_SIZE)
        session = self._find_or_begin(context, query, number)
        return partial(self._make_page, _Page(number, size, query, session), context)

    def end(self, session_id: str | None) -> None:
        """End a session."""
        self._sessions.pop(session_id or "", None)

    def _find_or_begin(self, context: QueryContext, query: ProfileQuery, page: int) -> _Session:
        """Return the session of ``session_id``; begin a new session if the request has none."""
        session_id = context.params.get("session_id")
        if not session_id:
            if page and context.rules.page_without_session == "400":
                raise BadParameterError("page requires session_id")
            return self._begin(context, query)
        session = self._sessions.get(session_id)
        if session is None or not self._is_valid(session, context, query, page):
            params = json.dumps(dict(context.params))
            raise BadParameterError(f"request for page in uncached query for params {params}")
        session.pages += 1
        return session

    def _begin(self, context: QueryContext, query: ProfileQuery) -> _Session:
        self._begun += 1
        session_id = f"{1234567890 + self._begun}-{_letters(self._begun)}"
        session = _Session(session_id, context.project.id, query.selected_by, self._clock.monotonic(), pages=1)
        self._sessions[session_id] = session
        return session

    def _is_valid(self, session: _Session, context: QueryContext, query: ProfileQuery, page: int) -> bool:
        """Return whether a session has this page: it is not expired, and was begun by the same query."""
        rules = context.rules
        expired = (rules.session_pages is not None and session.pages >= rules.session_pages) or (
            rules.session_seconds is not None and self._clock.monotonic() - session.began > rules.session_seconds
        )
        if expired:
            self.end(session.id)
            return False
        if page > 0 and query.behaviors and query.as_of is None:  # then Mixpanel's docs require as_of_timestamp
            return False
        return (session.project_id, session.selected_by) == (context.project.id, query.selected_by)

    def _make_page(self, page: _Page, context: QueryContext) -> bytes:
        """Return a page as JSON. The first page selects the session's profiles."""
        session = page.session
        if session.profiles is None:
            session.profiles = select_profiles(context, page.query)
        profiles = session.profiles.slice(page.number * page.size, page.size, page.query.output_properties)
        head: dict[str, object] = {
            "page": page.number,
            "page_size": page.size,
            "session_id": session.id,
            "status": "ok",
            "computed_at": context.events.now.isoformat(timespec="microseconds"),
        }
        rules = context.rules
        if rules.total_on_every_page or (page.number == 0 and rules.total_on_first_page):
            head["total"] = len(session.profiles)
        return dump_json(head)[:-1] + b',"results":[' + b",".join(profiles) + b"]}"


def _letters(number: int) -> str:
    """Return six letters for a number, different for each number below 26**6."""
    return "".join(chr(ord("A") + number // 26**place % 26) for place in range(6))
