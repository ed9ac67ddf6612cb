"""The request log: one record for each request, and a way to wait until the log changes."""

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
    """One request and its response. The server updates it while the request is open. It contains no secrets."""

    method: str
    path: str
    params: Mapping[str, str]
    """The parameters of the query string and the body. The body overrides the query string."""
    headers: Mapping[str, str]
    """The request's headers, by lower-case name. Of Authorization only the scheme is kept: ``"Basic ***"``."""
    region: str = "us"
    """The region whose URL received the request."""
    endpoint: Endpoint | None = None
    """The endpoint; None if the path is unknown."""
    from_date: str | None = None
    to_date: str | None = None
    page: int | None = None
    """The page of profiles, from 0; None for other endpoints."""
    attempt: int = 1
    """1 for the first request with the same endpoint, dates and page, 2 for the second, and so on. Refused requests
    count."""
    started: float = field(default_factory=time.monotonic)
    """``time.monotonic()`` when the request arrived."""
    ended: float | None = None
    """``time.monotonic()`` when the request ended; None while it is open."""
    status: int | None = None
    """The status of the response; None before it is sent, and if the connection was reset before it."""
    bytes_sent: int = 0
    """How many bytes of the body were written to the connection so far (compressed, if the body is)."""
    fault: str | None = None
    """The name of the fault that was applied; None without a fault."""
    finished: bool = False
    """Whether the whole response was sent and ended cleanly. False if the server or the client broke it off."""


@dataclass(slots=True)
class OpenCount:
    """How many requests of one kind are open now, and the highest number so far."""

    now: int = 0
    most: int = 0


class RequestLog:
    """Keeps the records, and wakes waiters when a request arrives or ends."""

    __slots__ = ("_attempts", "_waiters", "exports", "queries", "records")

    def __init__(self) -> None:
        """Start with an empty log."""
        self.records: list[RequestRecord] = []
        self.exports = OpenCount()
        self.queries = OpenCount()
        self._attempts: Counter[tuple[object, ...]] = Counter()
        self._waiters: list[asyncio.Future[None]] = []

    def forget(self) -> None:
        """Delete the records, the attempts and the highest counts. Open requests still count as open."""
        self.records.clear()
        self._attempts.clear()
        for count in (self.exports, self.queries):
            count.most = count.now

    @contextmanager
    def track(self, record: RequestRecord) -> Iterator[None]:
        """Add a record. Until the block ends, its request counts as open, unless its path is unknown."""
        key = (record.endpoint, record.from_date, record.to_date, record.page)
        self._attempts[key] += 1
        record.attempt = self._attempts[key]
        count = {None: OpenCount(), "export": self.exports}.get(record.endpoint, self.queries)
        count.now += 1
        count.most = max(count.most, count.now)
        self.records.append(record)
        self._wake_waiters()
        try:
            yield
        finally:
            record.ended = time.monotonic()
            count.now -= 1
            self._wake_waiters()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition is true. It is checked now, and whenever a request arrives or ends."""
        while not condition():
            change = asyncio.get_running_loop().create_future()
            self._waiters.append(change)
            await change

    def _wake_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for change in waiters:
            if not change.done():
                change.set_result(None)


def new_record(
    request: web.BaseRequest, region: str, endpoint: Endpoint | None, params: Mapping[str, str]
) -> RequestRecord:
    """Return the record of a request that has just arrived."""
    page = params.get("page", "0")
    return RequestRecord(
        method=request.method,
        path=request.path,
        params=params,
        headers={name.lower(): _redact(name.lower(), value) for name, value in request.headers.items()},
        region=region,
        endpoint=endpoint,
        page=int(page) if endpoint == "engage" and re.fullmatch(r"[0-9]{1,18}", page) else None,
        from_date=params.get("from_date"),
        to_date=params.get("to_date"),
    )


def _redact(name: str, value: str) -> str:
    """Remove the secret from a header's value."""
    if name not in {"authorization", "cookie", "proxy-authorization"}:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} ***" if name == "authorization" and space else "***"
