"""How many dates a request may have, as far as the call's responses have shown. Pure: no request, no clock.

The chunks of a call do not change. But if a request turns out too large, the chunks that come later are requested in
several parts from the start.
"""

from __future__ import annotations

import logging
from math import ceil
from typing import TYPE_CHECKING

from mixpanel_async.dates import days_in, split_date_range
from mixpanel_async.export.weights import MOST_BYTES
from mixpanel_async.terminal import span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mixpanel_async.dates import DateChunk

logger = logging.getLogger(__name__)


class RequestDays:
    """What one call has learned from its responses."""

    def __init__(self, *, adapts: bool) -> None:
        """If it does not adapt, each request stays as it is."""
        self._adapts = adapts
        self._most: int | None = None
        self._unsent = 0

    def expect(self, requests: int) -> None:
        """Count requests that will have to be sent, so that no part of another takes what is left for them.

        Those of a chunk that then fails stay counted: so later chunks may have fewer parts than they could.
        """
        self._unsent += requests

    def sent(self) -> None:
        """One of them was sent."""
        self._unsent -= 1

    def parts(self, dates: DateChunk, left: int) -> list[DateChunk]:
        """Return in which parts to request these dates, and expect the requests for all but the first.

        `left` is what the hour has left after the request for the first part, which `sent` has counted.
        """
        days = days_in(dates)
        wanted = ceil(days / self._most) if self._most else 1
        count = min(wanted, 1 + max(0, left - self._unsent))
        parts = split_date_range(*dates, ceil(days / count))
        self.expect(len(parts) - 1)
        return parts

    def came(self, dates: DateChunk, size: int) -> None:
        """Learn from a body of so many bytes. One of a single date cannot be smaller, so it tells nothing."""
        days = days_in(dates)
        if size > MOST_BYTES and days > 1:
            self._learn(max(1, days * MOST_BYTES // size), f"{size >> 20} MB came for {span(*dates)}")

    def broke_off(self, chunk: DateChunk, parts: Iterable[DateChunk]) -> None:
        """Learn from a chunk of which a request may have been too large: `parts` are the others, and its halves.

        The longest of them has not broken off. If only one day is to blame, that is half the chunk.
        """
        self._learn(max(map(days_in, parts)), f"{span(*chunk)} broke off")

    def _learn(self, days: int, reason: str) -> None:
        if self._adapts and (self._most is None or days < self._most):
            self._most = days
            logger.info("%s. Most days in one request from now on: %d.", reason, days)
