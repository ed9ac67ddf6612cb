"""`stream_profiles`: profiles yielded to the caller in the order of their pages, nothing stored.

A page is requested only when it is one of the next few: when the caller stops reading, everything stops. A page that
arrived is whole, so none of its profiles can come twice. If the session expires all pages are requested again, and
profiles that were yielded are left out.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from mixpanel_async.api.source import Attempts
from mixpanel_async.decode.strict_json import parse
from mixpanel_async.engage.page import Page
from mixpanel_async.engage.request import SessionExpiredError, session_parameters
from mixpanel_async.engage.sessions import PageKey, ProfileSessions
from mixpanel_async.tasks import cancel_all, result_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from mixpanel_async.api.source import Source
    from mixpanel_async.engage.page import Profile
    from mixpanel_async.selections import ProfileSelection

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
        self._yielded = YieldedIds(compare=len(self._parts) > 1)

    async def run(self, get_source: Callable[[], Source]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield all profiles, each once.

        Raises:
            ExportError: a page failed; the profiles of all pages before it were yielded.
            RuntimeError: the client was closed.
        """
        source = get_source()
        attempts = Attempts(source, "All profiles, from the first page")
        while True:
            try:
                async with aclosing(self._pages(source)) as pages:
                    async for page in pages:
                        for number, profile in enumerate(page.profiles):
                            if self._yielded.is_new(profile.distinct_id):
                                yield self._to_dict(profile)
                            if number % PROFILES_PER_TURN == 0:
                                get_source()  # raises if the client was closed meanwhile
                                await asyncio.sleep(0)
            except SessionExpiredError as error:
                await attempts.failed(error, retryable=True)
            else:
                return
            self._yielded.compare()

    async def _pages(self, source: Source) -> AsyncGenerator[Page, None]:
        """Yield the pages of one download, in order; as many are requested at once as the limits allow."""
        sessions = ProfileSessions(source, self._parts)
        waiting, requested = deque(sessions.first_pages()), deque[tuple[PageKey, asyncio.Task[Page]]]()
        try:
            while waiting or requested:
                while waiting and len(requested) < source.limiter.concurrent:
                    key = waiting.popleft()
                    requested.append((key, self._spawn(sessions.fetch_page(key, _identity))))
                key, task = requested[0]
                page = await result_of(task)
                requested.popleft()
                waiting.extend(sessions.following(key, len(page.profiles)))
                yield page
        finally:
            _, cancelled = await cancel_all([task for _, task in requested])
            if cancelled is not None:
                raise cancelled


class YieldedIds:
    """The distinct ids that were yielded: 16 bytes each, and several times that while they are compared."""

    def __init__(self, *, compare: bool) -> None:
        """`compare` from the beginning, because several sessions may have a profile in common."""
        self._digests = bytearray()
        self._seen: set[bytes] | None = set() if compare else None

    def is_new(self, distinct_id: str) -> bool:
        """Remember an id; return False if it was yielded before, as far as ids are compared."""
        digest = hashlib.blake2b(distinct_id.encode(), digest_size=16).digest()
        if self._seen is None:
            self._digests += digest
            return True
        is_new = digest not in self._seen
        self._seen.add(digest)
        return is_new

    def compare(self) -> None:
        """Compare ids from now on."""
        if self._seen is None:
            self._seen = {bytes(self._digests[at : at + 16]) for at in range(0, len(self._digests), 16)}
            self._digests.clear()


def _identity(page: Page) -> Page:
    return page


def _profile_dict(profile: Profile) -> dict[str, Any]:
    return {
        "distinct_id": profile.distinct_id,
        "last_seen": profile.last_seen,
        "properties": parse(profile.properties),
    }


def _raw_dict(profile: Profile) -> dict[str, Any]:
    return {"$distinct_id": profile.distinct_id, "$properties": parse(profile.properties)}
