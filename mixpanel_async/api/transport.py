"""The wire: the one module that imports aiohttp.

What leaves here is an `Answer` with a status, headers and the body's bytes as they came, still gzip
(`auto_decompress=False`: aiohttp never checks that a gzip body is whole, so the decoder does). What goes wrong
leaves as an error of ours that is not chained to aiohttp's, whose repr holds the request's headers.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from mixpanel_async._version import __version__
from mixpanel_async.api.credentials import authorization, project_parameter
from mixpanel_async.errors import ConfigurationError, ConnectionLostError, ExportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from mixpanel_async.api.credentials import Credentials

USER_AGENT = f"mixpanel-async/{__version__} (Python {sys.version_info.major}.{sys.version_info.minor})"

SLOWEST = 1024
"""Bytes that must come within each `idle` seconds: a trickle below that is a stall."""

E = TypeVar("E", bound=BaseException)

_TROUBLE = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a silence may last, in seconds. There is no limit on a whole answer: it may stream for hours."""

    connect: float = 30.0
    """To a connection, TLS included."""
    first_byte: float = 1200.0
    """From the request to the answer's headers: Mixpanel prepares large exports for minutes."""
    idle: float = 300.0
    """Between two pieces of the body."""

    def __post_init__(self) -> None:
        """Hold the rules."""
        for name in ("connect", "first_byte", "idle"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"Timeouts.{name} must be a number of seconds above 0.")


class Answer:
    """An answer whose headers are in and whose body is still to be read."""

    def __init__(self, response: aiohttp.ClientResponse, idle: float) -> None:
        self._response = response
        self._idle = idle

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names in any case."""
        return self._response.headers

    @property
    def has_end_mark(self) -> bool:
        """Whether the framing tells where the body ends; where only the connection's end does, a cut looks the same."""
        return "Content-Length" in self.headers or "chunked" in self.headers.get("Transfer-Encoding", "").lower()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body's bytes as they come, in pieces of no fixed size.

        The time that the consumer takes is not counted: a slow consumer is no stall.

        Raises:
            ConnectionLostError: the connection broke, or stalled for `Timeouts.idle` seconds.
        """
        while piece := await self._next():
            yield piece

    async def excerpt(self, most: int) -> bytes:
        """The body's first bytes, `most` of them at the most, for an error's text; what came of them if it breaks."""
        taken = bytearray()
        with suppress(ConnectionLostError):
            async for piece in self.pieces():
                taken += piece
                if len(taken) >= most:
                    break
        return bytes(taken[:most])

    async def _next(self) -> bytes:
        content = self._response.content
        try:
            async with asyncio.timeout(self._idle):
                taken = await content.readany()
                while 0 < len(taken) < SLOWEST and (piece := await content.readany()):
                    taken += piece
        except _TROUBLE as error:
            raise _lost(error, f"nothing came for {self._idle:g} s") from None
        return taken


class Transport:
    """A connection pool to Mixpanel. Belongs to one event loop.

    A caller's own `session` is used as it is and never closed; redirects, decompression, timeouts and middlewares
    are ours for each request, whatever it is set to.
    """

    def __init__(self, session: aiohttp.ClientSession | None, timeouts: Timeouts) -> None:
        if session is not None and session.auth is not None:
            raise ConfigurationError("The session has credentials of its own (auth=): pass one without.")
        self._owned = session is None
        # No limit of the pool's own: the limiter says how many may be open, and its queue is fair.
        self._session = session or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._timeouts = timeouts

    async def close(self) -> None:
        """Close the pool, unless it is the caller's."""
        if self._owned:
            await self._session.close()

    def get(
        self, url: str, parameters: Mapping[str, str], credentials: Credentials
    ) -> AbstractAsyncContextManager[Answer]:
        """Send a GET; inside the block the answer is open. Left early or cancelled, the connection is closed.

        Raises:
            ConnectionLostError: no connection, or no answer in time.
            ExportError: the server's certificate is not accepted; it is not worth asking again.
        """
        return self._answer("GET", url, parameters, credentials)

    def post(self, url: str, form: Mapping[str, str], credentials: Credentials) -> AbstractAsyncContextManager[Answer]:
        """Send a form by POST; the project is named in the URL. All else is as with `get`."""
        return self._answer("POST", url, form, credentials)

    @asynccontextmanager
    async def _answer(
        self, method: str, url: str, values: Mapping[str, str], credentials: Credentials
    ) -> AsyncIterator[Answer]:
        response = await self._send(method, url, values, credentials)
        try:
            yield Answer(response, self._timeouts.idle)
        finally:
            response.close()

    async def _send(
        self, method: str, url: str, values: Mapping[str, str], credentials: Credentials
    ) -> aiohttp.ClientResponse:
        async def once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            """Keep aiohttp from sending a GET again by itself: no limiter would know of it."""
            try:
                return await handler(request)
            except _TROUBLE as error:
                raise _lost(error, late) from None

        late = f"no answer within {self._timeouts.first_byte:g} s"
        try:
            async with asyncio.timeout(self._timeouts.first_byte):
                return await self._session.request(
                    method,
                    url,
                    params={**(values if method == "GET" else {}), **project_parameter(credentials)},
                    data=values if method == "POST" else None,
                    headers={
                        "Authorization": authorization(credentials),
                        "Accept": "text/plain, application/json",
                        "Accept-Encoding": "gzip",
                        "User-Agent": USER_AGENT,
                    },
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect),
                    auto_decompress=False,
                    middlewares=(once,),
                    allow_redirects=False,
                    raise_for_status=False,
                )
        except asyncio.CancelledError as error:
            raise _bare(error)  # noqa: B904 - it is the same error
        except ExportError as error:  # of `once`
            lost = error
        except _TROUBLE as error:
            lost = _lost(error, late)
        raise _bare(lost)


def _lost(error: BaseException, late: str) -> ExportError:
    """Name the trouble without aiohttp's own texts, which hold the URL and may hold the headers."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        refused = ExportError(f"The server's certificate is not accepted: {_reason(error.certificate_error)}")
        refused.ends_the_run = True
        return refused
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ConnectionLostError("No connection in time", may_be_too_large=False)
    if isinstance(error, TimeoutError):
        return ConnectionLostError(f"The connection stalled: {late}")
    if isinstance(error, aiohttp.ClientConnectorError):
        said = f"No connection to {error.host}: {_reason(error.os_error)}"
        return ConnectionLostError(said, may_be_too_large=False)
    return ConnectionLostError(f"The connection broke: {_reason(error)}")


def _bare(error: E) -> E:
    """The error without the frames of aiohttp, whose locals hold the headers, and without what led to it."""
    error.__context__ = None
    return error.with_traceback(None)


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
