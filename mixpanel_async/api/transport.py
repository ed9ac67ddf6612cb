"""The connection to Mixpanel: the one module that imports aiohttp.

A `Response` has a status, headers and the body's bytes as they came, still gzip: with `auto_decompress` aiohttp would
not check that a gzip body is whole, so the decoder does. Errors are translated, and not chained to aiohttp's errors,
whose repr holds the request's headers.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
import threading
import warnings
import weakref
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from mixpanel_async import telemetry
from mixpanel_async._version import __version__
from mixpanel_async.api.credentials import authorization, project_parameter
from mixpanel_async.arguments import is_seconds
from mixpanel_async.errors import ConfigurationError, ConnectionLostError, ExportError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from mixpanel_async.api.credentials import Credentials

logger = logging.getLogger(__name__)

USER_AGENT = f"mixpanel-async/{__version__} (Python {sys.version_info.major}.{sys.version_info.minor})"

IDLE_BYTES = 1024
"""Bytes that must arrive within `Timeouts.idle` seconds; fewer count as a stall."""

LOOK_AT_SESSION = 1.0
"""Seconds between two looks at whether the caller's session is closed."""

E = TypeVar("E", bound=BaseException)

_CONNECTION_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait in silence, in seconds. A whole response has no limit: it may stream for hours."""

    connect: float = 30.0
    """For a connection, TLS included."""
    first_byte: float = 1200.0
    """From the request to the response's headers: Mixpanel prepares large exports for minutes."""
    idle: float = 300.0
    """Between two arrivals of the body's bytes."""

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("connect", "first_byte", "idle"):
            if not is_seconds(value := getattr(self, name)) or value == 0:
                raise ValueError(f"Timeouts.{name} must be a number of seconds above 0.")


class Response:
    """A response whose headers have arrived and whose body can be read."""

    def __init__(self, response: aiohttp.ClientResponse, idle: float) -> None:
        self._response = response
        self._idle = idle

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def host(self) -> str | None:
        """The host that sent it."""
        return self._response.url.host

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names are case-insensitive."""
        return self._response.headers

    @property
    def has_end_mark(self) -> bool:
        """Whether the framing marks the body's end. Where only the end of the connection does, a cut looks the same."""
        return "Content-Length" in self.headers or "chunked" in self.headers.get("Transfer-Encoding", "").lower()

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they arrive.

        The time that the consumer takes is not counted as a stall.

        Raises:
            ConnectionLostError: the connection broke, or stalled for `Timeouts.idle` seconds.
        """
        while data := await self._next():
            yield data

    async def read_beginning(self, size: int) -> bytes:
        """Return at most `size` of the body's first bytes; fewer if the connection breaks."""
        received = bytearray()
        with suppress(ConnectionLostError):
            async for data in self.iter_bytes():
                received += data
                if len(received) >= size:
                    break
        return bytes(received[:size])

    async def _next(self) -> bytes:
        content = self._response.content
        try:
            async with asyncio.timeout(self._idle):
                received = await content.readany()
                while 0 < len(received) < IDLE_BYTES and (data := await content.readany()):
                    received += data
        except _CONNECTION_ERRORS as error:
            raise _translated(error, f"nothing came for {self._idle:g} s") from None
        return received


class Transport:
    """A connection pool to Mixpanel. Belongs to one event loop.

    A caller's own `session` is never closed. Its settings for redirects, decompression, timeouts and middlewares are
    overridden in each request. A pool of our own that is never closed is closed when the last user is gone, with a
    ResourceWarning.

    Raises:
        ConfigurationError: the caller's session belongs to another event loop.
    """

    def __init__(self, session: aiohttp.ClientSession | None, timeouts: Timeouts) -> None:
        self._owned = session is None
        # The pool has no limit: the limiter decides how many requests are open, first in, first out.
        self._session = session or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._timeouts = timeouts
        loop = asyncio.get_running_loop()
        if getattr(self._session, "_loop", loop) is not loop:  # its public name is deprecated
            raise ConfigurationError(
                "The session passed as session= belongs to another event loop: make it on this one."
            )
        if self._owned:
            # Not `__del__`: in a reference cycle aiohttp's own could come first, and warn in words of its own.
            self._forgotten = weakref.finalize(self, _close_forgotten, self._session, loop)

    async def close(self) -> None:
        """Close the pool, unless it is the caller's."""
        if self._owned:
            self._forgotten.detach()
            await self._session.close()

    def get(
        self, url: str, parameters: Mapping[str, str], credentials: Credentials, *, resends: int = 0
    ) -> AbstractAsyncContextManager[Response]:
        """Send a GET; inside the block the response is open. If the block is left early or cancelled, the connection
        closes. `resends`: how often it was sent before, for logs and spans.

        Raises:
            ConnectionLostError: no connection, or no response in time.
            ExportError: the server's certificate is not accepted; a retry would not help.
            ConfigurationError: the caller's session is closed.
        """
        return self._open("GET", url, parameters, credentials, resends)

    def post(
        self, url: str, form: Mapping[str, str], credentials: Credentials, *, resends: int = 0
    ) -> AbstractAsyncContextManager[Response]:
        """Send a form by POST, the project in the URL; otherwise as `get`."""
        return self._open("POST", url, form, credentials, resends)

    @asynccontextmanager
    async def _open(
        self, method: str, url: str, values: Mapping[str, str], credentials: Credentials, resends: int
    ) -> AsyncIterator[Response]:
        path = urlsplit(url).path
        with telemetry.attempt(method, url, resends) as attempt:
            logger.debug("%s %s is sent; attempt %d.", method, path, resends + 1)
            response = await self._send(method, url, values, credentials)
            attempt.responded(response.status)
            logger.debug("%s %s: status %d.", method, path, response.status)
            try:
                with self._when_session_closes(response.close):
                    yield Response(response, self._timeouts.idle)
            except ConnectionLostError:
                self._check_session()
                raise
            finally:
                response.close()

    async def _send(
        self, method: str, url: str, values: Mapping[str, str], credentials: Credentials
    ) -> aiohttp.ClientResponse:
        async def once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            """Keep aiohttp from repeating a GET by itself, which no limiter would count."""
            try:
                return await handler(request)
            except _CONNECTION_ERRORS as error:
                raise _translated(error, timeout_text) from None

        timeout_text = f"no response within {self._timeouts.first_byte:g} s"
        self._check_session()
        try:
            async with asyncio.timeout(self._timeouts.first_byte) as patience:
                with self._when_session_closes(lambda: None if patience.expired() else patience.reschedule(0)):
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
            raise _without_frames(error)  # noqa: B904 - it is the same error
        except ExportError as error:  # of `once`
            lost = error
        except _CONNECTION_ERRORS as error:
            lost = _translated(error, timeout_text)
        self._check_session()
        raise _without_frames(lost)

    @contextmanager
    def _when_session_closes(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call `wake` when the caller closes the session meanwhile: aiohttp leaves a request that waits waiting."""
        if self._owned:
            yield
            return

        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal timer
            if self._session.closed:
                wake()
            else:
                timer = loop.call_later(LOOK_AT_SESSION, look)

        timer = loop.call_later(LOOK_AT_SESSION, look)
        try:
            yield
        finally:
            timer.cancel()

    def _check_session(self) -> None:
        """Raise ConfigurationError if the caller has closed the session: a retry would not help."""
        if not self._owned:
            check_session(self._session)


def check_session(session: aiohttp.ClientSession | None) -> None:
    """Check a caller's session.

    Raises:
        ConfigurationError: it is no session, is closed, or has credentials of its own.
    """
    if session is None:
        return
    if not isinstance(session, aiohttp.ClientSession):
        raise ConfigurationError(f"session must be an aiohttp.ClientSession, or None, not {type(session).__name__}.")
    if session.closed:
        raise ConfigurationError(
            "The session passed as session= is closed: keep it open for as long as the client is used."
        ) from None
    if session.auth is not None:
        raise ConfigurationError("The session passed as session= has credentials of its own (auth=): pass one without.")


def _close_forgotten(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    """Close the pool of a client that nobody closed, in any thread and at any time, and say so."""
    if loop.is_running():
        loop.call_soon_threadsafe(_close_now, session, loop)
    else:
        _close_now(session, loop)
    message = "A MixpanelClient was not closed: use `async with MixpanelClient(...)`, or `await client.close()`."
    warnings.warn(message, ResourceWarning, stacklevel=1)


def _close_now(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    closing = session.close()
    if loop.is_running() or loop.is_closed():
        with suppress(StopIteration):
            closing.send(None)  # the first step closes the connections, and the others only wait
        closing.close()
    elif _runs_a_loop():  # a thread runs one at a time
        thread = threading.Thread(target=loop.run_until_complete, args=(closing,))
        thread.start()
        thread.join()
    else:
        loop.run_until_complete(closing)


def _runs_a_loop() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _translated(error: BaseException, timeout_text: str) -> ExportError:
    """Translate an error without aiohttp's own texts, which hold the URL and may hold the headers."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        refused = ExportError(f"The server's certificate is not accepted: {_reason(error.certificate_error)}")
        refused.fatal = True
        return refused
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ConnectionLostError("No connection in time", may_be_too_large=False)
    if isinstance(error, TimeoutError):
        return ConnectionLostError(f"The connection stalled: {timeout_text}")
    if isinstance(error, aiohttp.ClientConnectorError):
        message = f"No connection to {error.host}: {_reason(error.os_error)}"
        return ConnectionLostError(message, may_be_too_large=False)
    return ConnectionLostError(f"The connection broke: {_reason(error)}")


def _without_frames(error: E) -> E:
    """Return the error without its cause and without the frames of aiohttp, whose locals hold the headers."""
    error.__context__ = None
    return error.with_traceback(None)


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
