"""A download of profiles: its sessions, and which page follows which.

The first page of a session is requested alone. It says how many pages there are; the others come in any order. Mixpanel
keeps a session for a time that it does not state. When the session has expired, every page of the download must be
fetched again: a page of another session may lack profiles that moved meanwhile, or repeat them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mixpanel_async.api.send_query import send_query
from mixpanel_async.engage.page import Page, read_page
from mixpanel_async.engage.request import SessionExpiredError, is_expired, page_query
from mixpanel_async.errors import ExportError, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mixpanel_async.api.source import Source

T = TypeVar("T")


class PageKey(NamedTuple):
    """Which page of a download."""

    part: int
    """Which of the download's sessions, from 0. There are several only for many distinct ids."""
    page: int


@dataclass(frozen=True, slots=True)
class Session:
    """What the first page says of its session."""

    id: str | None
    total: int | None
    page_size: int


class ProfileSessions:
    """One download's sessions."""

    def __init__(self, source: Source, parts: Sequence[Mapping[str, str]]) -> None:
        """`parts` are the parameters of each session."""
        self.opened: dict[int, Session] = {}
        self._source = source
        self._parts = parts

    def first_pages(self) -> list[PageKey]:
        """Return the pages to begin with."""
        return [PageKey(part, 0) for part in range(len(self._parts))]

    async def fetch_page(self, key: PageKey, convert: Callable[[Page], T]) -> T:
        """Fetch a page; return what `convert` makes of it, in a thread. The first page of a session opens it.

        Raises:
            SessionExpiredError: the session has expired.
            ExportError: the page's last attempt failed.
        """
        session = self.opened.get(key.part) if key.page else None
        session_id = None if session is None else session.id
        query = page_query(self._parts[key.part], key.page, session_id, self._name(key))
        try:
            opened, converted = await send_query(self._source, query, partial(_read, key, session, convert))
        except ExportError as error:
            if session is not None and is_expired(error):
                raise SessionExpiredError(str(error), status=error.status, attempts=error.attempts) from None
            raise
        self.opened.setdefault(key.part, opened)
        return converted

    def following(self, key: PageKey, rows: int) -> list[PageKey]:
        """Return the pages that follow one with so many `rows`: by the total, or else one after each full page."""
        session = self.opened[key.part]
        if session.total is None:
            return [PageKey(key.part, key.page + 1)] if rows >= session.page_size else []
        pages = 0 if key.page else math.ceil(session.total / session.page_size)
        return [PageKey(key.part, page) for page in range(1, pages)]

    def _name(self, key: PageKey) -> str:
        part = f"Profiles, part {key.part + 1} of {len(self._parts)}" if len(self._parts) > 1 else "Profiles"
        return f"{part}, page {key.page}"


def _read(key: PageKey, session: Session | None, convert: Callable[[Page], T], body: bytes) -> tuple[Session, T]:
    page = read_page(body, key.page)
    session = session or Session(page.session_id, page.total, page.size)
    if None not in (page.total, session.total) and page.total != session.total:
        raise ServerError(f"This page counts {page.total} profiles in all, the first one {session.total}", status=200)
    expected = 0 if session.total is None else min(session.page_size, session.total - key.page * session.page_size)
    if len(page.profiles) < expected:
        raise ServerError(f"The page has {len(page.profiles)} profiles instead of {expected}", status=200)
    if session.id is None and len(page.profiles) >= session.page_size and session.total != session.page_size:
        raise ServerError("There may be more pages, and Mixpanel sent no session id to request them with", status=200)
    return session, convert(page)
