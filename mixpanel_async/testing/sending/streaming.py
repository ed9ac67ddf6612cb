"""How a body goes out: ahead of time but not far, paced, and broken in ways aiohttp's server would not."""

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

_SLICES_A_SECOND = 20
_LARGEST_WRITE = 256 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a body travels."""

    headers: tuple[tuple[str, str], ...] = ()
    framing: Framing = "chunked"
    length: int | None = None
    ending: Ending = "clean"
    bytes_per_second: float | None = None
    write_size: int | None = None
    stall_after: int | None = None
    stall_seconds: float = 0.0


class Counted(Protocol):
    """What keeps count of the bytes that were sent."""

    bytes_sent: int


class _CloseDelimited(web.StreamResponse):
    """An answer with neither chunks nor a length: the end of the connection is its end."""

    _length_check = False  # keeps aiohttp from adding chunked encoding


async def send(
    request: web.BaseRequest, pieces: AsyncGenerator[bytes, None], delivery: Delivery, count: Counted
) -> web.StreamResponse:
    """Send a 200 with these pieces as its body. A client that leaves, or a cancel, ends it at once."""
    response = _response(request, delivery)
    await response.prepare(request)
    async with aclosing(pieces):
        await _send_body(response, pieces, delivery, count)
    if delivery.ending == "clean":
        await response.write_eof()
    else:
        await break_off(request, reset=delivery.ending == "reset")
    return response


async def break_off(request: web.BaseRequest, *, reset: bool) -> None:
    """Close the connection once all that was written has left: plainly, or by a TCP reset."""
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


async def ahead(pieces: Iterable[bytes], threads: Executor) -> AsyncGenerator[bytes, None]:
    """Yield the pieces, each made on a thread while the one before it is sent; no thread outlives this."""
    iterator, loop = iter(pieces), asyncio.get_running_loop()
    coming = loop.run_in_executor(threads, next, iterator, None)
    try:
        while (piece := await asyncio.shield(coming)) is not None:
            coming = loop.run_in_executor(threads, next, iterator, None)
            yield piece
    finally:
        await asyncio.wait([coming])


def _response(request: web.BaseRequest, delivery: Delivery) -> web.StreamResponse:
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


async def _send_body(
    response: web.StreamResponse, pieces: AsyncIterator[bytes], delivery: Delivery, count: Counted
) -> None:
    """Write the pieces in slices, no faster than they may go, and stall where it is wanted."""
    began = time.monotonic()
    size = _slice_size(delivery)
    stall_at = delivery.stall_after
    sent = 0
    if stall_at == 0:
        await asyncio.sleep(delivery.stall_seconds)
    async for piece in pieces:
        for part in _slices(piece, size, None if stall_at is None else stall_at - sent):
            await response.write(part)
            sent += len(part)
            count.bytes_sent += len(part)
            if sent == stall_at:
                await asyncio.sleep(delivery.stall_seconds)
            if delivery.bytes_per_second:
                await asyncio.sleep(began + sent / delivery.bytes_per_second - time.monotonic())


def _slice_size(delivery: Delivery) -> int:
    if delivery.write_size:
        return delivery.write_size
    if delivery.bytes_per_second:
        return max(1, min(_LARGEST_WRITE, int(delivery.bytes_per_second / _SLICES_A_SECOND)))
    return _LARGEST_WRITE


def _slices(piece: bytes, size: int, stop: int | None) -> Iterator[bytes]:
    """Cut a piece into slices, one of which ends at ``stop``."""
    place = 0
    while place < len(piece):
        end = place + size
        if stop is not None and place < stop < end:
            end = stop
        yield piece[place:end]
        place += len(piece[place:end])
