"""Streams a body: made on threads, at a given speed, and ended in ways that aiohttp's server does not offer."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from mixpanel_async.testing.faults.fault import Ending, Framing

_WRITES_PER_SECOND = 20
_MAX_WRITE_BYTES = 256 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a body is sent: its headers, its framing, its speed and its end."""

    headers: tuple[tuple[str, str], ...] = ()
    framing: Framing = "chunked"
    length: int | None = None
    """Content-Length; None to send none."""
    ending: Ending = "clean"
    bytes_per_second: float | None = None
    write_size: int | None = None
    """How many bytes each write has; None for a size that fits the speed."""
    stall_after: int | None = None
    """After how many bytes the body stalls; None for no stall."""
    stall_seconds: float = 0.0


class ByteCounter(Protocol):
    """Counts the bytes that were sent."""

    bytes_sent: int


class _CloseDelimited(web.StreamResponse):
    """A response with neither chunks nor a length. It ends when the connection ends."""

    _length_check = False  # keeps aiohttp from adding chunked encoding


async def stream(
    request: web.BaseRequest, pieces: AsyncGenerator[bytes, None], delivery: Delivery, counter: ByteCounter
) -> web.StreamResponse:
    """Send a 200 with the pieces as its body.

    Raises ConnectionResetError if the client disconnects. The generator is closed in any case, also on a cancel.
    """
    response = _prepare(request, delivery)
    await response.prepare(request)
    async with aclosing(pieces):
        await _write_body(response, pieces, delivery, counter)
    if delivery.ending == "clean":
        await response.write_eof()
    else:
        await break_off(request, reset=delivery.ending == "reset")
    return response


async def break_off(request: web.BaseRequest, *, reset: bool) -> None:
    """Close the connection after all written bytes were sent; by a TCP reset if ``reset`` is true."""
    transport = request.transport
    if transport is None:
        return
    while transport.get_write_buffer_size() and not transport.is_closing():  # noqa: ASYNC110 - has no event
        await asyncio.sleep(0.001)
    if not reset:
        transport.close()
        return
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


async def prefetch(pieces: Iterable[bytes], threads: Executor) -> AsyncGenerator[bytes, None]:
    """Yield the pieces. Each is made on a thread while the one before is sent.

    When the generator is closed or cancelled, it waits for the piece that is being made, so no thread stays busy.
    """
    iterator, loop = iter(pieces), asyncio.get_running_loop()
    coming = loop.run_in_executor(threads, next, iterator, None)
    try:
        while (piece := await asyncio.shield(coming)) is not None:
            coming = loop.run_in_executor(threads, next, iterator, None)
            yield piece
    finally:
        await asyncio.wait([coming])


def _prepare(request: web.BaseRequest, delivery: Delivery) -> web.StreamResponse:
    by_close = delivery.framing == "close" or (request.version < (1, 1) and delivery.length is None)
    response = _CloseDelimited() if by_close else web.StreamResponse()
    response.headers.extend(delivery.headers)
    if by_close or delivery.ending != "clean":
        response.force_close()
    if delivery.length is not None and not by_close:
        response.content_length = delivery.length
    elif not by_close:
        response.enable_chunked_encoding()
    return response


async def _write_body(
    response: web.StreamResponse, pieces: AsyncIterator[bytes], delivery: Delivery, counter: ByteCounter
) -> None:
    """Write the pieces in slices, at the given speed, and stall where the delivery says so."""
    began = time.monotonic()
    size = _write_size(delivery)
    stall_at = delivery.stall_after
    sent = 0
    if stall_at == 0:
        await asyncio.sleep(delivery.stall_seconds)
    async for piece in pieces:
        for part in _slices(piece, size, None if stall_at is None else stall_at - sent):
            await response.write(part)
            sent += len(part)
            counter.bytes_sent += len(part)
            if sent == stall_at:
                await asyncio.sleep(delivery.stall_seconds)
            if delivery.bytes_per_second:
                await asyncio.sleep(began + sent / delivery.bytes_per_second - time.monotonic())


def _write_size(delivery: Delivery) -> int:
    if delivery.write_size:
        return delivery.write_size
    if delivery.bytes_per_second:
        return max(1, min(_MAX_WRITE_BYTES, int(delivery.bytes_per_second / _WRITES_PER_SECOND)))
    return _MAX_WRITE_BYTES


def _slices(piece: bytes, size: int, stop: int | None) -> Iterator[bytes]:
    """Cut a piece into slices of at most ``size`` bytes. If ``stop`` lies within the piece, one slice ends there."""
    place = 0
    while place < len(piece):
        end = place + size
        if stop is not None and place < stop < end:
            end = stop
        yield piece[place:end]
        place += len(piece[place:end])
