"""When faults happen: by chunk, by attempt, so many times."""

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
    """A fault and when it happens. ``happened`` counts how often it has."""

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
        """Say whether it happens to this attempt at this chunk."""
        return (
            self.endpoint == "export"
            and (self.date is None or from_date <= self.date <= to_date)
            and (self.from_date is None or from_date == self.from_date)
            and (self.to_date is None or to_date == self.to_date)
            and self._falls_on(f"{from_date}:{to_date}", attempt)
        )

    def is_due_to_query(self, endpoint: Endpoint, page: int | None, attempt: int) -> bool:
        """Say whether it happens to this attempt at this query."""
        return (
            self.endpoint == endpoint
            and (self.page is None or self.page == page)
            and self._falls_on(f"{endpoint}:{page}", attempt)
        )

    def _falls_on(self, request: str, attempt: int) -> bool:
        return (
            (self.attempts is None or attempt in self.attempts)
            and (self.times is None or self.happened < self.times)
            and self._is_drawn(f"{self.seed}:{self.fault.name}:{request}:{attempt}")
        )

    def _is_drawn(self, request: str) -> bool:
        """Draw a lot for the request: for the same request the same one, whatever else is asked meanwhile."""
        return random.Random(request).random() < self.chance  # noqa: S311 - no secret depends on it


def _day(day: str | None) -> dt.date | None:
    return None if day is None else dt.date.fromisoformat(day)


class FaultPlan:
    """The faults to come. Empty at first: nothing goes wrong by itself."""

    __slots__ = ("_connections", "_planned")

    def __init__(self) -> None:
        """Plan nothing."""
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
        """Let ``fault`` happen to every request that fits all that is given; to every export if nothing is.

        Args:
            fault: what goes wrong.
            date: the chunk holds this day.
            from_date: the chunk begins on this day.
            to_date: the chunk ends on this day.
            endpoint: the request is to this endpoint, for example ``"engage"`` or ``"cohorts/list"``. If it is
                not given, to ``"engage"`` where ``page`` is, and otherwise to ``"export"``.
            page: the page of profiles, from 0.
            attempts: the request is the n-th for just these two dates, or this page, or this lookup, counted
                from 1; a list, a set or a range. Requests that were refused (401, 429, ...) count as well.
            times: no more often than this.
            chance: how probable it is that a request that fits meets the fault, from 0 to 1.
            seed: draws other lots for ``chance``. The same seed, fault, dates and attempt give the same lot, in
                whatever order requests come.

        Returns what was planned; its ``happened`` tells how often the fault happened. Faults happen to
        requests only that were let through: credentials, limits and parameters are judged before.
        Raises ValueError for a day that is no date, a ``chance`` outside 0 to 1, or an endpoint that there is
        not or that has no such dates or pages.

        """
        if not 0.0 <= chance <= 1.0:
            msg = f"chance is from 0 to 1: {chance}"
            raise ValueError(msg)
        if fault.hangs_up and (date or from_date or to_date or attempts is not None):
            msg = "a connection is not yet a request: choose with times or chance"
            raise ValueError(msg)
        endpoint = _endpoint(endpoint, page, date or from_date or to_date)
        days = _day(date), _day(from_date), _day(to_date)
        planned = PlannedFault(fault, endpoint, *days, page, attempts, times, chance, seed)
        self._planned.append(planned)
        return planned

    def clear(self) -> None:
        """Let nothing go wrong from now on."""
        self._planned.clear()

    def hangs_up(self) -> bool:
        """Say whether to hang up on a new connection, and count it as happened."""
        self._connections += 1
        for planned in self._planned:
            if planned.fault.hangs_up and planned.is_due(dt.date.min, dt.date.min, self._connections):
                planned.happened += 1
                return True
        return False

    def due(self, from_date: dt.date, to_date: dt.date, attempt: int) -> Fault:
        """Return all that happens to this attempt, as one fault, and count it as happened."""
        return _happening(planned for planned in self._requests() if planned.is_due(from_date, to_date, attempt))

    def due_to_query(self, endpoint: Endpoint, page: int | None, attempt: int) -> Fault:
        """Return all that happens to this attempt at a query, as one fault, and count it as happened."""
        return _happening(planned for planned in self._requests() if planned.is_due_to_query(endpoint, page, attempt))

    def _requests(self) -> Iterator[PlannedFault]:
        """Yield what happens to requests, not to connections."""
        return (planned for planned in self._planned if not planned.fault.hangs_up)


def _happening(planned: Iterable[PlannedFault]) -> Fault:
    """Combine faults into one, and count each as happened."""
    due = list(planned)
    for one in due:
        one.happened += 1
    return reduce(Fault.also, (one.fault for one in due)) if due else NOTHING


def _endpoint(endpoint: Endpoint | None, page: int | None, day: str | None) -> Endpoint:
    """Return what a fault is planned for."""
    if endpoint is None:
        endpoint = "export" if page is None else "engage"
    if endpoint not in ENDPOINTS:
        msg = f"an endpoint is one of {', '.join(ENDPOINTS)}: {endpoint}"
        raise ValueError(msg)
    if (page is not None and endpoint != "engage") or (day is not None and endpoint != "export"):
        msg = "faults go by date with export, and by page with engage"
        raise ValueError(msg)
    return endpoint
