"""A download of profiles: its sessions, and which page follows which.

The first page of a session is asked for alone; it tells how many there are, and the others come in any order. Mixpanel
holds a session for a while that it does not tell. When it is over, every page of the download is to be had anew:
a page of another session may lack profiles that moved since, or repeat them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mixpanel_async.api.ask import ask
from mixpanel_async.engage.page import Page, read_page
from mixpanel_async.engage.request import SessionExpiredError, is_expired, page_query
from mixpanel_async.errors import ExportError, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mixpanel_async.api.source import Source

T = TypeVar("T")


class Place(NamedTuple):
    """Where a page stands."""

    part: int
    """Which of the download's sessions, from 0."""
    page: int


@dataclass(frozen=True, slots=True)
class Session:
    """What a first page told of its session."""

    id: str | None
    total: int | None
    page_size: int


class Download:
    """One download's sessions. `parts` are the parameters of each."""

    def __init__(self, source: Source, parts: Sequence[Mapping[str, str]]) -> None:
        self.sessions: dict[int, Session] = {}
        self._source = source
        self._parts = parts

    def first(self) -> list[Place]:
        """The pages to begin with."""
        return [Place(part, 0) for part in range(len(self._parts))]

    async def page(self, place: Place, make: Callable[[Page], T]) -> T:
        """Have a page, as `make` makes it in a thread; the first of a session opens it.

        Raises:
            SessionExpiredError: the session is over.
            ExportError: the page could not be had.
        """
        session = self.sessions.get(place.part) if place.page else None
        session_id = None if session is None else session.id
        query = page_query(self._parts[place.part], place.page, session_id, self._name(place))
        try:
            opened, made = await ask(self._source, query, partial(_read, place, session, make))
        except ExportError as error:
            if session is not None and is_expired(error):
                raise SessionExpiredError(str(error), status=error.status, attempts=error.attempts) from None
            raise
        self.sessions.setdefault(place.part, opened)
        return made

    def following(self, place: Place, rows: int) -> list[Place]:
        """The pages that are known of now that this one is there: by the total, or else one after each full page."""
        session = self.sessions[place.part]
        if session.total is None:
            return [Place(place.part, place.page + 1)] if rows >= session.page_size else []
        pages = 0 if place.page else math.ceil(session.total / session.page_size)
        return [Place(place.part, page) for page in range(1, pages)]

    def _name(self, place: Place) -> str:
        part = f"Profiles, part {place.part + 1} of {len(self._parts)}" if len(self._parts) > 1 else "Profiles"
        return f"{part}, page {place.page}"


def _read(place: Place, session: Session | None, make: Callable[[Page], T], body: bytes) -> tuple[Session, T]:
    page = read_page(body, place.page)
    session = session or Session(page.session_id, page.total, page.size)
    if None not in (page.total, session.total) and page.total != session.total:
        raise ServerError(f"A page of {page.total} profiles came among those of {session.total}", status=200)
    expected = 0 if session.total is None else min(session.page_size, session.total - place.page * session.page_size)
    if len(page.profiles) < expected:
        raise ServerError(f"{len(page.profiles)} profiles came of the {expected} that are on this page", status=200)
    if session.id is None and len(page.profiles) >= session.page_size and session.total != session.page_size:
        raise ServerError("There may be more pages, and Mixpanel named no session to ask for them in", status=200)
    return session, make(page)
