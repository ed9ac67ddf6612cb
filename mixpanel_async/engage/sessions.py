"""A download of profiles: its sessions, and the requests for their pages.

The first page of a session is requested alone. It says how many pages there may be; the others come in any order.
Mixpanel keeps a session for a time that it does not state. When the session has expired, every page of the download
must be fetched again: a page of another session may lack profiles that moved meanwhile, or repeat them.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from mixpanel_async import telemetry
from mixpanel_async.api.send_query import send_query
from mixpanel_async.engage.page import read_page
from mixpanel_async.engage.paging import EmptyPageError, Paging, Session
from mixpanel_async.engage.request import SessionExpiredError, is_expired, page_query
from mixpanel_async.errors import ExportError, ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixpanel_async.api.source import Source
    from mixpanel_async.engage.page import Page

logger = logging.getLogger(__name__)


class PageKey(NamedTuple):
    """Which page of a download."""

    part: int
    """Which of the download's sessions, from 0. There are several only for many distinct ids."""
    page: int


class ProfileSessions:
    """One download's sessions."""

    def __init__(self, source: Source, parts: Sequence[Mapping[str, str]]) -> None:
        """`parts` are the parameters of each session."""
        self.opened: dict[int, Paging] = {}
        """The sessions whose first page came, by their part."""
        self._source = source
        self._parts = parts

    def first_pages(self) -> list[PageKey]:
        """Return the pages to begin with."""
        return [PageKey(part, 0) for part in range(len(self._parts))]

    def next_pages(self, part: int) -> list[PageKey]:
        """Return a session's pages to request now, after one of its pages has ended."""
        return [PageKey(part, number) for number in self.opened[part].next_pages()]

    async def fetch_page(self, key: PageKey) -> Page:
        """Fetch a page. The first page of a session opens it.

        A page that has fewer profiles than the total says is requested once more, and the fuller one is returned: the
        first may have been cut by a fault that passes, and one that is short again will probably stay so. A first page
        is requested in a new session, because its session may hold no more; this counts in the hourly limit.

        Raises:
            SessionExpiredError: the session has expired.
            EmptyPageError: see there.
            ExportError: the page's last attempt failed.
        """
        with telemetry.page(*key):
            page = await self._request_until_full(key)
        self.opened.setdefault(key.part, self._paging(key, page)).came(key.page, page)
        return page

    def error_if_repeated(self, key: PageKey, rows: int) -> ServerError | None:
        """Return the error of a page past the total, if all its profiles were on pages before it.

        Such pages may come without end. `None` for a first page, one that the total counts, and one that is empty.
        """
        if not key.page or not rows or self.opened[key.part].expected(key.page):
            return None
        text = f"{self._name(key)}: All {rows} profiles of this page were on pages before it: the paging does not end"
        error = ServerError(text, status=200)
        error.attempts = 1
        error.fatal = True
        return error

    @property
    def unrequested(self) -> int:
        """Pages that the totals count, and that were not requested yet."""
        return sum(paging.unrequested for paging in self.opened.values())

    def report(self, *, repeated: int) -> tuple[str, ...]:
        """Log and return what does not add up, once all pages have ended well.

        `repeated` is how many rows have the distinct id of another. Several sessions may have profiles in common, as
        several ids may belong to one profile; but if there is one session, another profile may be missing instead.
        """
        if len(self._parts) > 1:
            warnings = [
                f"Part {part + 1} of {len(self._parts)}: {text}"
                for part, paging in sorted(self.opened.items())
                for text in paging.warnings()
            ]
        else:
            warnings = [*self.opened[0].warnings(), *_of_repeated(repeated)]
        for text in warnings:
            logger.warning("Profiles: %s", text)
        return tuple(warnings)

    async def _request_until_full(self, key: PageKey) -> Page:
        page = await self._request(key)
        if (contradiction := self._paging(key, page).contradiction(key.page, page)) is not None:
            await self._source.wait(self._name(key), 1, ServerError(contradiction, status=200))
            with suppress(EmptyPageError):
                page = max(await self._request(key), page, key=lambda each: len(each.profiles))
        return page

    async def _request(self, key: PageKey) -> Page:
        paging = self.opened.get(key.part) if key.page else None
        session_id = None if paging is None else paging.session.id
        query = page_query(self._parts[key.part], key.page, session_id, self._name(key))
        try:
            return await send_query(self._source, query, partial(_read, key, paging))
        except ExportError as error:
            if paging is not None and is_expired(error):
                raise SessionExpiredError(str(error), status=error.status, attempts=error.attempts) from None
            raise

    def _paging(self, key: PageKey, page: Page) -> Paging:
        """Return the page's session; for a first page the one that it may open."""
        return self.opened[key.part] if key.page else Paging(Session.of(page))

    def _name(self, key: PageKey) -> str:
        part = f"Profiles, part {key.part + 1} of {len(self._parts)}" if len(self._parts) > 1 else "Profiles"
        return f"{part}, page {key.page}"


def _read(key: PageKey, opened: Paging | None, body: bytes) -> Page:
    """Read a page; one without `opened` opens a session. Raises ServerError, also if the page cannot be kept."""
    page = read_page(body, key.page)
    paging = opened or Paging(Session.of(page))
    paging.check_not_empty(key.page, page)
    if opened is None:
        _check_session_id(page, paging)
    elif (other := paging.same_as(key.page, page)) is not None:
        raise ServerError(f"The page has the same profiles as page {other}", status=200)
    return page


def _check_session_id(first: Page, paging: Paging) -> None:
    total, rows = first.total or 0, len(first.profiles)
    more = total > rows or (rows >= paging.session.page_size and total != rows)
    if first.session_id is None and more:
        raise ServerError("There may be more pages, and Mixpanel sent no session id to request them with", status=200)


def _of_repeated(rows: int) -> list[str]:
    if not rows:
        return []
    came = "1 profile came more than once, and is" if rows == 1 else f"{rows:,} rows repeat other profiles, which are"
    return [f"{came} kept once; another may be missing."]
