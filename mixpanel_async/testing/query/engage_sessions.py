"""Profiles, page by page: each download is a session that holds the profiles as they were when it began."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.data.json_lines import written
from mixpanel_async.testing.data.profiles import GivenProfiles
from mixpanel_async.testing.http.response import RefusedError, json_error
from mixpanel_async.testing.query.behaviors import counted
from mixpanel_async.testing.query.profile_query import LARGEST_PAGE, ProfileQuery, judged, number
from mixpanel_async.testing.query.profile_selection import Chosen, chosen
from mixpanel_async.testing.query.query_context import Body, Question

_NOBODY = GivenProfiles()


@dataclass(slots=True)
class _Session:
    """One download. ``chosen`` is what it downloads, once that has been found out."""

    id: str
    project_id: int
    chosen_by: Mapping[str, str]
    began: float
    pages: int = 0
    chosen: Chosen | None = None


@dataclass(frozen=True, slots=True)
class _Page:
    number: int
    size: int
    query: ProfileQuery
    session: _Session


class Engage:
    """Answers profile queries and keeps their sessions."""

    __slots__ = ("_begun", "_clock", "_sessions")

    def __init__(self, clock: FakeClock) -> None:
        """Let sessions expire by ``clock.monotonic()``, if the rules say when."""
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._begun = 0

    def answer(self, question: Question) -> Body:
        """Judge a query and return what makes its page; raises RefusedError with a 400."""
        params = question.params
        query = judged(params, question.catalog, question.rules)
        page = number(params, "page", least=0) or 0
        size = min(number(params, "page_size", least=1) or question.rules.page_size, LARGEST_PAGE)
        session = self._session(question, query, page)
        select = partial(choice, question, query)
        return partial(self._body, _Page(page, size, query, session), select, question)

    def end(self, session_id: str | None) -> None:
        """Let a session have expired."""
        self._sessions.pop(session_id or "", None)

    def _session(self, question: Question, query: ProfileQuery, page: int) -> _Session:
        """Return the session that is named, or begin one."""
        named = question.params.get("session_id")
        if not named:
            if page and question.rules.page_without_session == "400":
                _refuse("page requires session_id")
            return self._begin(question, query)
        session = self._sessions.get(named)
        if session is None or self._is_over(session, question, query, page):
            _refuse(f"request for page in uncached query for params {json.dumps(dict(question.params))}")
        session.pages += 1
        return session

    def _begin(self, question: Question, query: ProfileQuery) -> _Session:
        self._begun += 1
        name = f"{1234567890 + self._begun}-{_letters(self._begun)}"
        session = _Session(name, question.project.id, query.chosen_by, self._clock.monotonic(), pages=1)
        self._sessions[name] = session
        return session

    def _is_over(self, session: _Session, question: Question, query: ProfileQuery, page: int) -> bool:
        """Say whether the session does not serve this page: it has expired, or was begun by another query."""
        rules = question.rules
        moving = page > 0 and bool(query.behaviors) and query.as_of is None  # the docs want as_of_timestamp then
        expired = (rules.session_pages is not None and session.pages >= rules.session_pages) or (
            rules.session_seconds is not None and self._clock.monotonic() - session.began > rules.session_seconds
        )
        if expired:
            self.end(session.id)
        same = (session.project_id, session.chosen_by) == (question.project.id, query.chosen_by)
        return expired or moving or not same

    def _body(self, page: _Page, select: Callable[[], Chosen], question: Question) -> bytes:
        """Write a page; the first one finds out what the session holds."""
        session = page.session
        if session.chosen is None:
            session.chosen = select()
        start = page.number * page.size
        profiles = session.chosen.written(start, page.size, page.query.output_properties)
        head: dict[str, object] = {
            "page": page.number,
            "page_size": page.size,
            "session_id": session.id,
            "status": "ok",
            "computed_at": question.events.now.isoformat(timespec="microseconds"),
        }
        rules = question.rules
        if rules.total_on_every_page or (page.number == 0 and rules.total_on_first_page):
            head["total"] = len(session.chosen)
        return written(head)[:-1] + b',"results":[' + b",".join(profiles) + b"]}"


def choice(question: Question, query: ProfileQuery) -> Chosen:
    """Choose the profiles that a query gets, as they are now."""
    source = question.profiles if query.group is None else question.groups.get(query.group, _NOBODY)
    return chosen(query, source.snapshot(), counted(query.behaviors, question.events, query.as_of))


def _letters(number: int) -> str:
    """Return six letters for a number, others for each."""
    return "".join(chr(ord("A") + number // 26**place % 26) for place in range(6))


def _refuse(text: str) -> NoReturn:
    raise RefusedError(json_error(400, text))
