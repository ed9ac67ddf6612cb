"""The pages of one session: which to request next, where they end, and what does not add up. No I/O.

Source: Mixpanel's docs say to go on while a page is full. Totals have been seen that were too small, too large or of
another type. So the total only says how many pages may be requested at once. A session ends

- at an empty page,
- or at the first page that is not full, if the rows add up to the total.

Pages past the end are empty, and do not count in the hourly limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from mixpanel_async.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixpanel_async.engage.page import Page

DEFAULT_SIZE = 1000
"""Profiles on a full page, where Mixpanel does not say."""

PAGES_AHEAD = 1000
"""The most pages that are requested because the total says so, before the next: an absurd total must cost little."""

_LISTED = 3


class EmptyPageError(ServerError):
    """A page has no profiles, although the total says that it has some."""


class EmptyPageAfterAnotherError(EmptyPageError):
    """The same, and a page before it is empty, too: probably all profiles have come."""

    retryable = False


@dataclass(frozen=True, slots=True)
class Session:
    """What the first page says of its session."""

    id: str | None
    total: int | None
    page_size: int
    """Profiles on a full page; 1 or more."""

    @classmethod
    def of(cls, first: Page) -> Session:
        """Return the session that a first page opened. A page that holds more than its size says is not over-full."""
        return cls(first.session_id, first.total, max(first.size or DEFAULT_SIZE, len(first.profiles)))


class Paging:
    """The pages of one session. The first one has been requested."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._requested = 1
        self._rows: dict[int, int] = {}
        self._failed: set[int] = set()
        self._empty: dict[int, EmptyPageError] = {}
        self._first_empty = math.inf
        self._last = 0  # the last page that has profiles
        self._contents: dict[bytes, int] = {}
        self._other_total: tuple[int, int] | None = None

    def expected(self, number: int) -> int:
        """Return how many profiles a page has by the total; 0 past the total, or without one."""
        size, total = self.session.page_size, self.session.total or 0
        return max(0, min(size, total - number * size))

    def contradiction(self, number: int, page: Page) -> str | None:
        """Return how a page contradicts the session, so that it is requested once more; `None` if it does not."""
        rows, expected = len(page.profiles), self.expected(number)
        if rows < expected:
            return f"The page has {rows} profiles instead of {expected}"
        if self._other_total is None and self._is_other_total(page):
            return f"This page counts {page.total} profiles in all, the first one {self.session.total}"
        return None

    def check_not_empty(self, number: int, page: Page) -> None:
        """Raise EmptyPageError where the total says that there are profiles on the page, and there are none.

        May be called in several threads.
        """
        if not page.profiles and self.expected(number):
            kind = EmptyPageAfterAnotherError if number > self._first_empty else EmptyPageError
            raise kind(f"The page has no profiles instead of {self.expected(number)}", status=200)

    def same_as(self, number: int, page: Page) -> int | None:
        """Return another page, one that the total counts, which has exactly the same profiles; `None` if there is none.

        May be called in several threads.
        """
        if not page.profiles or not self.expected(number):
            return None
        ids = sorted(profile.distinct_id for profile in page.profiles)
        digest = blake2b("\0".join(ids).encode(), digest_size=16).digest()
        other = self._contents.setdefault(digest, number)
        return None if other == number else other

    def came(self, number: int, page: Page) -> None:
        """Note a page that came, before `ended`."""
        self.same_as(number, page)
        if self._other_total is None and page.total is not None and self._is_other_total(page):
            self._other_total = number, page.total

    def ended(self, number: int, rows: int) -> None:
        """Note that a page ended well."""
        self._rows[number] = rows
        if rows:
            self._last = max(self._last, number)

    def ended_empty(self, number: int, error: EmptyPageError) -> None:
        """Note that a page is empty. It ends the session, or it is lost: `take_lost` tells when a later page came."""
        self._rows[number] = 0
        self._empty[number] = error
        self._first_empty = min(self._empty)

    def failed(self, number: int) -> None:
        """Note that a page failed."""
        self._rows.pop(number, None)
        self._failed.add(number)

    def take_lost(self) -> list[tuple[int, EmptyPageError]]:
        """Return the empty pages that cannot be the end, because a page after them has profiles, or failed.

        Each is returned once; the caller reports it as failed. Call it before `take_end`.
        """
        last = max(self._last, max(self._failed, default=0))
        lost = [(number, error) for number, error in self._empty.items() if number < last]
        for number, _ in lost:
            del self._empty[number]
        self._first_empty = min(self._empty, default=math.inf)
        return lost

    def take_end(self) -> list[int]:
        """Return the empty pages that are the end, once all pages have ended; the caller reports them as kept."""
        if len(self._rows) + len(self._failed) < self._requested:
            return []
        end = list(self._empty)
        self._empty.clear()
        return end

    def next_pages(self) -> range:
        """Return the pages to request now, after one has ended."""
        first = self._requested
        if self._goes_on(first - 1):
            self._requested = min(max(self._counted, first + 1), first + PAGES_AHEAD)
        return range(first, self._requested)

    @property
    def unrequested(self) -> int:
        """Pages that the total counts, and that were not requested yet."""
        return max(0, self._counted - self._requested)

    def warnings(self) -> Iterator[str]:
        """Yield what does not add up, once all pages have ended well."""
        size, total, rows = self.session.page_size, self.session.total, sum(self._rows.values())
        if total not in (None, rows):
            yield f"Mixpanel counted {total:,} profiles, and {rows:,} came."
        if self._other_total is not None:
            number, other = self._other_total
            yield f"Page {number} counts {other:,} profiles in all, and page 0 counts {total:,}."
        if short := self._short:
            listed = ", ".join(f"page {number} has {self._rows[number]:,}" for number in short[:_LISTED])
            pages = "1 page before the last has" if len(short) == 1 else f"{len(short):,} pages before the last have"
            more = ", ..." if len(short) > _LISTED else ""
            yield f"{pages} fewer profiles than a page holds ({size:,}): {listed}{more}."

    @property
    def _counted(self) -> int:
        """Pages by the total. It is no guide if not even the first page is full."""
        size, total = self.session.page_size, self.session.total or 0
        return math.ceil(total / size) if self._rows.get(0, 0) >= size else 1

    @property
    def _short(self) -> list[int]:
        """Pages that are not full, before one that has profiles; all pages have come."""
        return [number for number in range(self._last) if self._rows[number] < self.session.page_size]

    def _goes_on(self, last: int) -> bool:
        rows, total = self._rows.get(last, 0), self.session.total
        if self.session.id is None or rows == 0:
            return False
        if rows >= self.session.page_size:
            return True
        if len(self._rows) < self._requested:
            return False  # perhaps when the others have come
        return total != sum(self._rows.values()) or bool(self._short)

    def _is_other_total(self, page: Page) -> bool:
        """Whether a page has a total that is neither the session's nor that of its own profiles."""
        total = self.session.total
        return total is not None and page.total not in (None, total, len(page.profiles))
