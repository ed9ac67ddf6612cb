"""A stream of profiles: given to the caller in the order of their pages, nothing stored.

A page is asked for only when it is one of the next few: when the caller takes no more, nothing goes on. A page that is
there is whole, so none of its profiles can come twice; where the session expires, all pages are asked for anew, and
the profiles that were given are left out.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from mixpanel_async.decode.dicts import parse
from mixpanel_async.engage.page import Page
from mixpanel_async.engage.request import SessionExpiredError
from mixpanel_async.engage.sessions import Download, Place
from mixpanel_async.tasks import end, result_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from mixpanel_async.api.source import Source
    from mixpanel_async.engage.page import Profile
    from mixpanel_async.engage.request import ProfileSelection

AT_ONCE = 32
"""Profiles that are parsed before other tasks have their turn."""


class ProfileStream:
    """One call's profiles on their way to the caller."""

    def __init__(
        self,
        selection: ProfileSelection,
        spawn: Callable[[Coroutine[object, object, Page]], asyncio.Task[Page]],
        *,
        raw: bool,
    ) -> None:
        """`spawn` starts a task that asks for a page."""
        self._parts = selection.parts(int(time.time()))
        self._spawn = spawn
        self._made = _as_it_came if raw else _normalized
        self._given = Given(several=len(self._parts) > 1)

    async def run(self, source: Callable[[], Source]) -> AsyncGenerator[dict[str, Any], None]:
        """Give all profiles, each once.

        Raises:
            ExportError: a page could not be had; all before it were given.
        """
        known, attempt = source(), 1
        while True:
            try:
                async with aclosing(self._pages(known)) as pages:
                    async for page in pages:
                        for number, profile in enumerate(page.profiles):
                            if self._given.is_new(profile.distinct_id):
                                yield self._made(profile)
                            if number % AT_ONCE == 0:
                                await asyncio.sleep(0)
            except SessionExpiredError as error:
                if attempt >= known.retry.attempts:
                    raise
                await known.wait("All profiles, from the first page", attempt, error)
            else:
                return
            attempt += 1
            self._given.look()

    async def _pages(self, source: Source) -> AsyncGenerator[Page, None]:
        """The pages of one download, in order: as many asked for at once as may be."""
        download = Download(source, self._parts)
        waiting, line = deque(download.first()), deque[tuple[Place, asyncio.Task[Page]]]()
        try:
            while waiting or line:
                while waiting and len(line) < source.limiter.concurrent:
                    place = waiting.popleft()
                    line.append((place, self._spawn(download.page(place, _same))))
                place, task = line[0]
                page = await result_of(task)
                line.popleft()
                waiting.extend(download.following(place, len(page.profiles)))
                yield page
        finally:
            _, cancelled = await end([task for _, task in line])
            if cancelled is not None:
                raise cancelled


class Given:
    """The distinct ids that were given: 16 bytes each, and several times that when they are looked at."""

    def __init__(self, *, several: bool) -> None:
        """`several` sessions may have a profile in common, so it is looked at once."""
        self._digests = bytearray()
        self._seen: set[bytes] | None = set() if several else None

    def is_new(self, distinct_id: str) -> bool:
        """Whether it was not given, as far as that is looked at; it is now."""
        digest = hashlib.blake2b(distinct_id.encode(), digest_size=16).digest()
        if self._seen is None:
            self._digests += digest
            return True
        is_new = digest not in self._seen
        self._seen.add(digest)
        return is_new

    def look(self) -> None:
        """Look at them from now on."""
        if self._seen is None:
            self._seen = {bytes(self._digests[at : at + 16]) for at in range(0, len(self._digests), 16)}
            self._digests.clear()


def _same(page: Page) -> Page:
    return page


def _normalized(profile: Profile) -> dict[str, Any]:
    return {
        "distinct_id": profile.distinct_id,
        "last_seen": profile.last_seen,
        "properties": parse(profile.properties),
    }


def _as_it_came(profile: Profile) -> dict[str, Any]:
    return {"$distinct_id": profile.distinct_id, "$properties": parse(profile.properties)}
