"""What was asked of the fake server, and what became of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web


@dataclass(slots=True)
class RequestRecord:
    """One request. It is written on while the request is open."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    """The headers sent, by lower-case name. Of Authorization only the scheme is kept: ``"Basic ***"``."""
    region: str = "us"
    """The region whose URL was asked."""
    from_date: str | None = None
    to_date: str | None = None
    attempt: int = 1
    """1 for the first request for just these two dates, 2 for the second, and so on; refused ones count."""
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


class RequestLog:
    """Keeps the records, and tells those who wait when one changes."""

    __slots__ = ("_attempts", "_waiting", "max_open", "open", "records")

    def __init__(self) -> None:
        """Start empty."""
        self.records: list[RequestRecord] = []
        self.open = 0
        self.max_open = 0
        self._attempts: Counter[tuple[str | None, str | None]] = Counter()
        self._waiting: list[asyncio.Future[None]] = []

    def forget(self) -> None:
        """Forget the records and attempts; what is open now stays open."""
        self.records.clear()
        self._attempts.clear()
        self.max_open = self.open

    @contextmanager
    def entry(self, request: web.BaseRequest, region: str, *, is_export: bool) -> Iterator[RequestRecord]:
        """Keep a record while the request is answered; exports are counted as open meanwhile."""
        record = _record(request, region)
        if is_export:
            dates = (record.from_date, record.to_date)
            self._attempts[dates] += 1
            record.attempt = self._attempts[dates]
        self.open += is_export
        self.max_open = max(self.max_open, self.open)
        self.records.append(record)
        self._tell()
        try:
            yield record
        finally:
            record.ended = time.monotonic()
            self.open -= is_export
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


def _record(request: web.BaseRequest, region: str) -> RequestRecord:
    params = dict(request.query)
    return RequestRecord(
        method=request.method,
        path=request.path,
        params=params,
        headers={name.lower(): _shown(name.lower(), value) for name, value in request.headers.items()},
        region=region,
        from_date=params.get("from_date"),
        to_date=params.get("to_date"),
    )


def _shown(name: str, value: str) -> str:
    """Keep credentials out of the log."""
    if name not in {"authorization", "cookie", "proxy-authorization"}:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} ***" if name == "authorization" and space else "***"
