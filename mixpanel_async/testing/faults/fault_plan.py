"""FaultPlan: which faults happen to which requests."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

from mixpanel_async.testing.faults.fault import NOTHING, Fault
from mixpanel_async.testing.http.routes import ENDPOINTS, Endpoint


@dataclass(slots=True)
class PlannedFault:
    """A fault and the requests that it happens to. ``happened`` counts how often it has happened."""

    fault: Fault
    endpoint: Endpoint = "export"
    date: dt.date | None = None
    from_date: dt.date | None = None
    to_date: dt.date | None = None
    page: int | None = None
    attempts: Collection[int] | None = None
    times: int | None = None
    chance: float = 1.0
    seed: int = 0
    happened: int = 0

    def is_due(self, from_date: dt.date, to_date: dt.date, attempt: int) -> bool:
        """Return whether the fault happens to this attempt to export these dates."""
        return (
            self.endpoint == "export"
            and (self.date is None or from_date <= self.date <= to_date)
            and (self.from_date is None or from_date == self.from_date)
            and (self.to_date is None or to_date == self.to_date)
            and self._matches_attempt(f"{from_date}:{to_date}", attempt)
        )

    def is_due_for_query(self, endpoint: Endpoint, page: int | None, attempt: int) -> bool:
        """Return whether the fault happens to this attempt at a query."""
        return (
            self.endpoint == endpoint
            and (self.page is None or self.page == page)
            and self._matches_attempt(f"{endpoint}:{page}", attempt)
        )

    def _matches_attempt(self, request: str, attempt: int) -> bool:
        return (
            (self.attempts is None or attempt in self.attempts)
            and (self.times is None or self.happened < self.times)
            and self._is_drawn(f"{self.seed}:{self.fault.name}:{request}:{attempt}")
        )

    def _is_drawn(self, request: str) -> bool:
        """Return True with probability ``chance``. The same request always gives the same result."""
        return random.Random(request).random() < self.chance  # noqa: S311 - no secret depends on it


class FaultPlan:
    """The planned faults. A new plan is empty: no faults happen."""

    __slots__ = ("_connections", "_planned")

    def __init__(self) -> None:
        """Start with no faults."""
        self._planned: list[PlannedFault] = []
        self._connections = 0

    def add(  # noqa: PLR0913 - one keyword for each way to choose a request
        self,
        fault: Fault,
        *,
        date: str | None = None,
        from_date: str | None = None,
        to_date: str | None = None,
        endpoint: Endpoint | None = None,
        page: int | None = None,
        attempts: Collection[int] | None = None,
        times: int | None = None,
        chance: float = 1.0,
        seed: int = 0,
    ) -> PlannedFault:
        """Make ``fault`` happen to every request that matches all the given arguments; without any, to every export.

        Args:
            fault: what goes wrong.
            date: the requested dates include this day (``yyyy-mm-dd``).
            from_date: the request's ``from_date`` is this day.
            to_date: the request's ``to_date`` is this day.
            endpoint: the request is to this endpoint, for example ``"engage"`` or ``"cohorts/list"``. The default is
                ``"engage"`` if ``page`` is given, otherwise ``"export"``.
            page: the request is for this page of profiles, from 0.
            attempts: the request is the n-th with the same endpoint, dates and page, counted from 1; a list, a set or
                a range. Refused requests (401, 429, ...) count as attempts.
            times: the fault happens at most this many times.
            chance: the probability of the fault for each matching request, from 0 to 1.
            seed: another seed picks other requests for ``chance``. With the same seed, fault, dates and attempt the
                result is the same, in whatever order the requests arrive.

        Returns the planned fault; its ``happened`` counts how often the fault happened. Faults happen only to requests
        with valid credentials and parameters, within the rate limits.

        Raises ValueError for an invalid date, a ``chance`` outside 0 to 1, an unknown endpoint, or an endpoint without
        such dates or pages.

        """
        if not 0.0 <= chance <= 1.0:
            msg = f"chance must be from 0 to 1, not {chance}"
            raise ValueError(msg)
        if fault.hangs_up and (date or from_date or to_date or attempts is not None):
            msg = "hang_up happens to connections, which have no dates or attempts: choose them with times or chance"
            raise ValueError(msg)
        endpoint = _checked_endpoint(endpoint, page, date or from_date or to_date)
        days = _parse_day(date), _parse_day(from_date), _parse_day(to_date)
        planned = PlannedFault(fault, endpoint, *days, page, attempts, times, chance, seed)
        self._planned.append(planned)
        return planned

    def clear(self) -> None:
        """Remove all planned faults."""
        self._planned.clear()

    def should_hang_up(self) -> bool:
        """Return whether to close a new connection at once, and count it."""
        self._connections += 1
        for planned in self._planned:
            if planned.fault.hangs_up and planned.is_due(dt.date.min, dt.date.min, self._connections):
                planned.happened += 1
                return True
        return False

    def due(self, from_date: dt.date, to_date: dt.date, attempt: int) -> Fault:
        """Return the faults of this attempt to export these dates, combined into one, and count them."""
        return _combine(planned for planned in self._request_faults() if planned.is_due(from_date, to_date, attempt))

    def due_for_query(self, endpoint: Endpoint, page: int | None, attempt: int) -> Fault:
        """Return the faults of this attempt at a query, combined into one, and count them."""
        return _combine(
            planned for planned in self._request_faults() if planned.is_due_for_query(endpoint, page, attempt)
        )

    def _request_faults(self) -> Iterator[PlannedFault]:
        """Yield the faults that happen to requests, not to connections."""
        return (planned for planned in self._planned if not planned.fault.hangs_up)


def _combine(planned: Iterable[PlannedFault]) -> Fault:
    """Combine faults into one, and count that each has happened."""
    due = list(planned)
    for one in due:
        one.happened += 1
    return reduce(Fault.also, (one.fault for one in due)) if due else NOTHING


def _parse_day(day: str | None) -> dt.date | None:
    return None if day is None else dt.date.fromisoformat(day)


def _checked_endpoint(endpoint: Endpoint | None, page: int | None, day: str | None) -> Endpoint:
    """Return the endpoint of a fault; raises ValueError if it is unknown or has no such dates or pages."""
    if endpoint is None:
        endpoint = "export" if page is None else "engage"
    if endpoint not in ENDPOINTS:
        msg = f"unknown endpoint {endpoint!r}: expected one of {', '.join(ENDPOINTS)}"
        raise ValueError(msg)
    if (page is not None and endpoint != "engage") or (day is not None and endpoint != "export"):
        msg = f"dates choose requests to the endpoint export, pages those to engage; neither fits {endpoint!r}"
        raise ValueError(msg)
    return endpoint
