"""`stream_profiles`: profiles yielded to the caller in the order of their pages, nothing stored.

A page is requested only when it is one of the next few: when the caller stops reading, everything stops. A profile that
comes again is left out, whether it is on two pages, or its page was requested again because the session has expired.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from mixpanel_async import telemetry
from mixpanel_async.api.source import Attempts
from mixpanel_async.decode.strict_json import parse
from mixpanel_async.engage.page import Page
from mixpanel_async.engage.paging import EmptyPageError
from mixpanel_async.engage.request import SessionExpiredError, session_parameters
from mixpanel_async.engage.sessions import PageKey, ProfileSessions
from mixpanel_async.tasks import cancel_all, result_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from mixpanel_async.api.source import Source
    from mixpanel_async.engage.page import Profile
    from mixpanel_async.selections import ProfileSelection
    from mixpanel_async.telemetry import Span

PROFILES_PER_TURN = 32
"""Profiles that are parsed before other tasks run."""


class ProfileStream:
    """One call's profiles on their way to the caller."""

    def __init__(
        self,
        selection: ProfileSelection,
        spawn: Callable[[Coroutine[object, object, Page]], asyncio.Task[Page]],
        *,
        raw: bool,
    ) -> None:
        """`spawn` starts a task that fetches a page."""
        self._parts = session_parameters(selection, int(time.time()))
        self._spawn = spawn
        self._to_dict = _raw_dict if raw else _profile_dict
        self._seen = SeenIds()

    async def run(self, get_source: Callable[[], Source]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield all profiles, each once: the first that comes.

        Raises:
            ExportError: a page failed; the profiles of all pages before it were yielded.
            RuntimeError: the client was closed.
        """
        source = get_source()
        attempts = Attempts(source, "All profiles, from the first page")
        with telemetry.call("stream_profiles", is_current=False) as call:
            while True:
                sessions = ProfileSessions(source, self._parts)
                try:
                    async with aclosing(self._pages(source, sessions, call)) as pages:
                        async for key, page in pages:
                            repeated = self._seen.repeated
                            for number, profile in enumerate(page.profiles):
                                if self._seen.is_new(profile.distinct_id):
                                    yield self._to_dict(profile)
                                if number % PROFILES_PER_TURN == 0:
                                    get_source()  # raises if the client was closed meanwhile
                                    await asyncio.sleep(0)
                            error = sessions.error_if_repeated(key, len(page.profiles))
                            if error is not None and self._seen.repeated - repeated == len(page.profiles):
                                raise error
                except SessionExpiredError as error:
                    await attempts.failed(error, retryable=True)
                else:
                    sessions.report(repeated=self._seen.repeated)
                    return
                self._seen.begin_again()

    async def _pages(
        self, source: Source, sessions: ProfileSessions, call: Span
    ) -> AsyncGenerator[tuple[PageKey, Page], None]:
        """Yield the pages of one download, in order; as many are requested at once as the limits allow."""
        waiting, requested = deque(sessions.first_pages()), deque[tuple[PageKey, asyncio.Task[Page]]]()
        try:
            while waiting or requested:
                while waiting and len(requested) < source.limiter.concurrent:
                    key = waiting.popleft()
                    with call.current():
                        requested.append((key, self._spawn(sessions.fetch_page(key))))
                key, task = requested[0]
                page = await _result_or_empty(task, key, sessions)
                requested.popleft()
                waiting.extend(sessions.next_pages(key.part))
                if page is not None:
                    yield key, page
        finally:
            _, cancelled = await cancel_all([task for _, task in requested])
            if cancelled is not None:
                raise cancelled


class SeenIds:
    """The distinct ids that came: about 100 bytes each."""

    def __init__(self) -> None:
        self.repeated = 0
        """Ids that came again in this download."""
        self._download = 0
        self._seen: dict[bytes, int] = {}

    def is_new(self, distinct_id: str) -> bool:
        """Note an id; return whether it comes for the first time."""
        digest = hashlib.blake2b(distinct_id.encode(), digest_size=16).digest()
        download = self._seen.get(digest)
        self._seen[digest] = self._download
        self.repeated += download == self._download
        return download is None

    def begin_again(self) -> None:
        """Begin another download of the same profiles."""
        self._download += 1
        self.repeated = 0


async def _result_or_empty(task: asyncio.Task[Page], key: PageKey, sessions: ProfileSessions) -> Page | None:
    """Return a page; `None` for an empty page that may be the end. Raises its error if it is not."""
    try:
        page = await result_of(task)
    except EmptyPageError as error:
        if key.page == 0:
            raise
        sessions.opened[key.part].ended_empty(key.page, error)
        return None
    paging = sessions.opened[key.part]
    paging.ended(key.page, len(page.profiles))
    if lost := paging.take_lost():
        raise lost[0][1]
    return page


def _profile_dict(profile: Profile) -> dict[str, Any]:
    return {
        "distinct_id": profile.distinct_id,
        "last_seen": profile.last_seen,
        "properties": parse(profile.properties),
    }


def _raw_dict(profile: Profile) -> dict[str, Any]:
    return {"$distinct_id": profile.distinct_id, "$properties": parse(profile.properties)}
