"""Listens on loopback: one port for each region. Can also close a new connection at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.web_protocol import RequestHandler

_HOST = "127.0.0.1"
_MAX_HEADER_BYTES = 1 << 20

Handler = Callable[[web.BaseRequest, str], Any]
"""Responds to a request. The second argument is the region whose port received it."""


class Listener:
    """Listens on one port for each region. After a stop it can start again, on the same ports."""

    __slots__ = ("_handler", "_ports", "_runner", "_should_hang_up")

    def __init__(self, handler: Handler, regions: Sequence[str], port: int, should_hang_up: Callable[[], bool]) -> None:
        """Prepare to listen; ``start()`` opens the ports.

        Args:
            handler: responds to each request.
            regions: the regions; at least one.
            port: the port of the first region; 0 for any free port, which the other regions always get.
            should_hang_up: called for each new connection; True closes the connection at once.
        """
        self._handler = handler
        self._should_hang_up = should_hang_up
        self._ports = dict.fromkeys(regions, 0)
        self._ports[regions[0]] = port
        self._runner: web.ServerRunner | None = None

    def url(self, region: str) -> str:
        """Return a region's base URL; raises KeyError if no project belongs to the region."""
        return f"http://{_HOST}:{self._ports[region]}"

    async def start(self) -> None:
        """Start to listen; raises OSError if a port is in use."""
        server = _Server(
            self._handle,
            access_log=None,
            handler_cancellation=True,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        server.should_hang_up = self._should_hang_up
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        await self.open_ports()

    async def open_ports(self) -> None:
        """Accept connections on all ports; raises OSError if a port is in use."""
        if self._runner is None:
            return
        for region, port in self._ports.items():
            await web.TCPSite(self._runner, _HOST, port).start()
            self._ports[region] = self._runner.addresses[-1][1]

    async def close_ports(self) -> None:
        """Refuse new connections. Open connections stay open."""
        for site in list(self._runner.sites) if self._runner else []:
            await site.stop()

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        port = request.get_extra_info("sockname")[1]
        region = next(region for region, known in self._ports.items() if known == port)
        return cast("web.StreamResponse", await self._handler(request, region))


class _Server(web.Server):
    """An aiohttp server that closes some connections as soon as they are open."""

    should_hang_up: Callable[[], bool]

    def __call__(self) -> RequestHandler:
        if self.should_hang_up():
            return cast("RequestHandler", _HangUp())
        return super().__call__()


class _HangUp(asyncio.Protocol):
    """Closes a connection as soon as it is open."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
