"""A server that speaks bytes: each request gets the next of a list of answers, well formed or not."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from mixpanel_async.testing import Project

Step = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Bytes to send, or something to do with the connection."""

Answer = bytes | tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    connection: int
    """Which connection it came on, from 0."""


class RawServer:
    """Gives the answers in order, the last one for ever; or asks a function that is told the request.

    A connection stays open for another request until a step closes it. Has what `client_of` asks of a server.
    """

    project = Project()

    def __init__(self, *answers: Answer | Callable[[Request], Answer], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.hung_up = asyncio.Event()
        """Set when a connection is over, whoever ended it."""
        self._answers = list(answers)
        self._tls = tls
        self._tasks: set[asyncio.Task[None] | None] = set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        scheme = "http" if self._tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        tasks = [task for task in self._tasks if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._listener.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        connection, self.connections = self.connections, self.connections + 1
        try:
            while not writer.is_closing():
                self.requests.append(_read(await reader.readuntil(b"\r\n\r\n"), connection))
                for step in self._next_answer():
                    if isinstance(step, bytes):
                        writer.write(step)
                        await writer.drain()
                    else:
                        await step(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the test over; a cancel would be logged as an error by asyncio
        finally:
            self.hung_up.set()
            writer.close()

    def _next_answer(self) -> tuple[Step, ...]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if callable(answer):
            answer = answer(self.requests[-1])
        return (answer,) if isinstance(answer, bytes) else answer


def _read(request: bytes, connection: int) -> Request:
    first, *headers = request.decode().strip().split("\r\n")
    target = urlsplit(first.split()[1])
    params = {name: values[0] for name, values in parse_qs(target.query).items()}
    named = {name.lower(): value for name, value in (header.split(": ", 1) for header in headers)}
    return Request(target.path, params, named, connection)


# Answers


def head(*lines: str, encoding: str | None = "gzip", status: str = "200 OK", kind: str = "text/plain") -> bytes:
    """A status line and headers."""
    named = ["Content-Type: " + kind, *(["Content-Encoding: " + encoding] if encoding else []), *lines]
    return "".join(f"{line}\r\n" for line in [f"HTTP/1.1 {status}", *named, ""]).encode()


def with_length(body: bytes, length: int | None = None, lines: Iterable[str] = (), **options: str | None) -> bytes:
    return head(f"Content-Length: {len(body) if length is None else length}", *lines, **options) + body


def chunked(*pieces: bytes, last: bytes = b"0\r\n\r\n", **options: str | None) -> bytes:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head("Transfer-Encoding: chunked", **options) + framed + last


def until_close(body: bytes, **options: str | None) -> Answer:
    """Neither a length nor chunks: the end of the connection is the body's end."""
    return head("Connection: close", **options) + body, hang_up


# Steps


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection plainly (FIN), once all is sent."""
    writer.close()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection (RST)."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def fall_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Send nothing more, until the client hangs up."""
    while await reader.read(1 << 16):
        pass


def wait_for(event: asyncio.Event) -> Step:
    async def wait(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await event.wait()

    return wait


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, until the client hangs up; a patient one is given two seconds."""
    for _ in range(100):
        if reader.at_eof():
            return
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)
    writer.close()
