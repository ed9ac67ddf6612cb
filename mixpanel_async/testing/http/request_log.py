"""What was asked of the fake server, and what became of it."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixpanel_async.testing.http.routes import Endpoint

if TYPE_CHECKING:
    from aiohttp import web


@dataclass(slots=True)
class RequestRecord:
    """One request. It is written on while the request is open."""

    method: str
    path: str
    params: Mapping[str, str]
    """The parameters of the query string and, over them, of the body."""
    headers: Mapping[str, str]
    """The headers sent, by lower-case name. Of Authorization only the scheme is kept: ``"Basic ***"``."""
    region: str = "us"
    """The region whose URL was asked."""
    endpoint: Endpoint | None = None
    """What was asked; None for a path that is not known."""
    from_date: str | None = None
    to_date: str | None = None
    page: int | None = None
    """The page of profiles that was asked for, from 0; None for other endpoints."""
    attempt: int = 1
    """1 for the first request to this endpoint for just these dates or this page, 2 for the second, and so on;
    refused ones count."""
    started: float = field(default_factory=time.monotonic)
    """``time.monotonic()`` when the request had arrived."""
    ended: float | None = None
    """``time.monotonic()`` when it was over; None while it is open."""
    status: int | None = None
    """The status answered; None while there is none, and if the connection was reset before."""
    bytes_sent: int = 0
    """Bytes of the body, as they travel, handed to the network so far."""
    fault: str | None = None
    """The name of what was made to go wrong, or None."""
    finished: bool = False
    """Whether the whole answer went out and ended as it should; False if either side broke it off."""


@dataclass(slots=True)
class Open:
    """How many requests of one kind are open, and the most there were at once."""

    now: int = 0
    most: int = 0


class RequestLog:
    """Keeps the records, and tells those who wait when one changes."""

    __slots__ = ("_attempts", "_waiting", "exports", "queries", "records")

    def __init__(self) -> None:
        """Start empty."""
        self.records: list[RequestRecord] = []
        self.exports = Open()
        self.queries = Open()
        self._attempts: Counter[tuple[object, ...]] = Counter()
        self._waiting: list[asyncio.Future[None]] = []

    def forget(self) -> None:
        """Forget the records and attempts; what is open now stays open."""
        self.records.clear()
        self._attempts.clear()
        for count in (self.exports, self.queries):
            count.most = count.now

    @contextmanager
    def entry(self, record: RequestRecord) -> Iterator[None]:
        """Keep a record while its request is answered; it is counted as open meanwhile, if its path is known."""
        chosen_by = (record.endpoint, record.from_date, record.to_date, record.page)
        self._attempts[chosen_by] += 1
        record.attempt = self._attempts[chosen_by]
        count = {None: Open(), "export": self.exports}.get(record.endpoint, self.queries)
        count.now += 1
        count.most = max(count.most, count.now)
        self.records.append(record)
        self._tell()
        try:
            yield
        finally:
            record.ended = time.monotonic()
            count.now -= 1
            self._tell()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; it is looked at when a request arrives or ends."""
        while not condition():
            change = asyncio.get_running_loop().create_future()
            self._waiting.append(change)
            await change

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)


def record_of(
    request: web.BaseRequest, region: str, endpoint: Endpoint | None, params: Mapping[str, str]
) -> RequestRecord:
    """Return what is to be kept of a request that has just arrived."""
    page = params.get("page", "0")
    return RequestRecord(
        method=request.method,
        path=request.path,
        params=params,
        headers={name.lower(): _shown(name.lower(), value) for name, value in request.headers.items()},
        region=region,
        endpoint=endpoint,
        page=int(page) if endpoint == "engage" and re.fullmatch(r"[0-9]{1,18}", page) else None,
        from_date=params.get("from_date"),
        to_date=params.get("to_date"),
    )


def _shown(name: str, value: str) -> str:
    """Keep credentials out of the log."""
    if name not in {"authorization", "cookie", "proxy-authorization"}:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} ***" if name == "authorization" and space else "***"
