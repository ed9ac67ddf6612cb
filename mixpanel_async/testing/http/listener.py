"""What listens for the fake server: a port for each region, and connections that end as they begin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.web_protocol import RequestHandler

_HOST = "127.0.0.1"
_LONGEST_HEADER = 1 << 20

Answering = Callable[[web.BaseRequest, str], Any]
"""Answers a request; told the region that was asked."""


class Listener:
    """Listens at one port for each region; after a stop, at the same ports again."""

    __slots__ = ("_answer", "_hangs_up", "_ports", "_runner")

    def __init__(self, answer: Answering, regions: Sequence[str], port: int, hangs_up: Callable[[], bool]) -> None:
        """Prepare to listen: for the first region at ``port`` (0 for any). ``hangs_up`` is asked at each connection."""
        self._answer = answer
        self._hangs_up = hangs_up
        self._ports = dict.fromkeys(regions, 0)
        self._ports[regions[0]] = port
        self._runner: web.ServerRunner | None = None

    def url(self, region: str) -> str:
        """Return a region's base URL; raises KeyError if no project lives there."""
        return f"http://{_HOST}:{self._ports[region]}"

    async def start(self) -> None:
        """Begin to listen; raises OSError if a port is in use."""
        server = _Server(
            self._answered,
            access_log=None,
            handler_cancellation=True,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
        )
        server.hangs_up = self._hangs_up
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        await self.open_ports()

    async def open_ports(self) -> None:
        """Listen at the ports."""
        if self._runner is None:
            return
        for region, port in self._ports.items():
            await web.TCPSite(self._runner, _HOST, port).start()
            self._ports[region] = self._runner.addresses[-1][1]

    async def close_ports(self) -> None:
        """Let new connections be refused; those that stand go on."""
        for site in list(self._runner.sites) if self._runner else []:
            await site.stop()

    async def stop(self) -> None:
        """Stop listening and end all connections."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        port = request.get_extra_info("sockname")[1]
        region = next(region for region, known in self._ports.items() if known == port)
        return cast("web.StreamResponse", await self._answer(request, region))


class _Server(web.Server):
    """A server that hangs up on some connections as soon as they are made."""

    hangs_up: Callable[[], bool]

    def __call__(self) -> RequestHandler:
        if self.hangs_up():
            return cast("RequestHandler", _HangUp())
        return super().__call__()


class _HangUp(asyncio.Protocol):
    """Ends a connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
