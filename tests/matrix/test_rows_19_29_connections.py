"""Connections: reset, closed, silent, slow, endless. And bodies that would fill the memory."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from contextlib import contextmanager
from itertools import chain, repeat

import aiohttp
import pytest

from mixpanel_async import ConnectionLostError, QueryError, RetryPolicy, Timeouts
from mixpanel_async.decode import event_batches, gunzip, lines
from mixpanel_async.duck.chunk_loader import ChunkLoader
from mixpanel_async.export import fetch
from mixpanel_async.export.spool import Spool

from .conftest import (
    DAY,
    EMPTY,
    GZ,
    LINES,
    ONE_DAY,
    WHOLE,
    asked_again,
    event,
    holds_nothing,
    holds_the_day,
    query,
    text_of,
)
from .raw import (
    RawServer,
    chunked,
    drip,
    fall_silent,
    hang_up,
    head,
    reset,
    with_length,
)

HALF = len(GZ) // 2
TWO_DAYS = {"from_date": DAY, "to_date": "2026-01-02", "parallel": True, "chunk_days": 1, "max_workers": 1}
IMPATIENT = Timeouts(first_byte=0.2, idle=0.2)


@pytest.mark.parametrize("sent", [b"", GZ[:HALF], GZ[:-8]], ids=["no byte", "half", "all but the trailer"])
async def test_row_19_reset_in_a_body_that_the_connections_end_delimits(client_of, path, sent):
    lost = await asked_again(client_of, path, (head("Connection: close") + sent, reset))
    assert isinstance(lost, ConnectionLostError)


@pytest.mark.parametrize(
    "sent", [with_length(GZ[:HALF], len(GZ)), chunked(GZ[:HALF], last=b"")], ids=["length", "chunks"]
)
async def test_row_20_reset_in_a_body_of_a_length_or_of_chunks(client_of, path, sent):
    lost = await asked_again(client_of, path, (sent, reset))
    assert "connection broke" in str(lost)


BEFORE_THE_BODY = {
    "reset": (reset,),
    "closed": (hang_up,),
    "half the headers, reset": (b"HTTP/1.1 200 OK\r\nContent-Ty", reset),
    "half the headers, closed": (b"HTTP/1.1 200 OK\r\nContent-Ty", hang_up),
    "no status line": (b"\x16\x03\x01 this is no HTTP\r\n\r\n", hang_up),
    "no status": (b"HTTP/1.1 OK\r\n\r\n", hang_up),
}


@pytest.mark.parametrize("sent", BEFORE_THE_BODY.values(), ids=BEFORE_THE_BODY)
async def test_row_21_trouble_before_the_body_is_no_400_though_aiohttp_makes_one(client_of, path, sent):
    lost = await asked_again(client_of, path, sent)
    assert isinstance(lost, ConnectionLostError)
    assert lost.status is None


async def test_row_22_a_kept_connection_that_the_server_closed_is_replaced(client_of, path):
    """It is closed when the next request has come on it, so the client cannot have noticed before."""
    async with RawServer(WHOLE, (hang_up,), EMPTY) as server:
        result = await client_of(server).fetch_events(**TWO_DAYS)

    assert not result.has_failures
    assert [(request.params["from_date"], request.connection) for request in server.requests] == [
        (DAY, 0),
        ("2026-01-02", 0),
        ("2026-01-02", 1),
    ]
    retries = query(path, "SELECT retries FROM _mixpanel_chunks ORDER BY from_date")
    assert retries == [(0,), (1,)]  # an attempt of ours, which the limiter knows of, and none of aiohttp's own


async def test_row_23_silence_before_the_headers(client_of, path):
    lost = await asked_again(client_of, path, (fall_silent,), timeouts=IMPATIENT)
    assert "no response within 0.2 s" in str(lost)


def test_row_23_a_server_that_thinks_is_given_time():
    assert Timeouts().first_byte >= 600


@pytest.mark.parametrize("sent", [head("Connection: close"), with_length(GZ[:HALF], len(GZ)), chunked(GZ, last=b"")])
async def test_row_24_silence_in_the_body(client_of, path, sent):
    lost = await asked_again(client_of, path, (sent, fall_silent), timeouts=IMPATIENT)
    assert "nothing came for 0.2 s" in str(lost)


async def test_row_25_a_byte_now_and_then_is_a_stall(client_of, path):
    lost = await asked_again(client_of, path, (with_length(GZ[:HALF], 10**6), drip), timeouts=IMPATIENT)
    assert "stalled" in str(lost)


@pytest.mark.parametrize("own_session", [False, True])
async def test_row_26_no_limit_on_a_whole_answers_time(client_of, path, monkeypatch, own_session):
    """aiohttp's default of 300 s is made 0.1 s here; the answer takes longer."""
    brief = aiohttp.ClientTimeout(total=0.1, sock_read=0.1)
    monkeypatch.setattr("aiohttp.client.DEFAULT_TIMEOUT", brief)

    async def think(_, __):
        await asyncio.sleep(0.3)

    answer = (with_length(GZ[:HALF], len(GZ)), think, GZ[HALF:])
    async with RawServer(answer) as server, aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutError):
            async with session.get(server.url) as response:
                await response.read()
        await client_of(server, session=session if own_session else None).fetch_events(**ONE_DAY)
    holds_the_day(path)


async def test_row_27_a_slow_disk_is_no_stall_and_holds_the_decoder_back(client_of, path, monkeypatch):
    """Both the spool and the table stand still for longer than the idle limit, while the server sends at full speed."""
    long_lines = [event(number, name="x" * 10_000) for number in range(1500)]
    inserting, go_on, decoded = asyncio.Event(), threading.Event(), []
    loop, load, write = asyncio.get_running_loop(), ChunkLoader.load, Spool.write

    def slow_load(loader, batches):
        loop.call_soon_threadsafe(inserting.set)
        assert go_on.wait(10)
        load(loader, batches)

    async def slow_write(spool, data):
        if spool.size == 0:
            await asyncio.sleep(2 * IMPATIENT.idle)
        await write(spool, data)

    def counted(body, known_end):
        for batch in decode(body, known_end):
            decoded.append(batch.unparsed.num_rows)
            yield batch

    decode = fetch.decode
    monkeypatch.setattr(fetch, "decode", counted)
    monkeypatch.setattr(event_batches, "GROUP_SIZE", 1)
    monkeypatch.setattr(ChunkLoader, "load", slow_load)
    monkeypatch.setattr(Spool, "write", slow_write)
    async with RawServer(with_length(text_of(*long_lines), encoding=None)) as server:
        run = asyncio.ensure_future(client_of(server, timeouts=IMPATIENT).fetch_events(**ONE_DAY))
        await inserting.wait()
        await asyncio.sleep(2 * IMPATIENT.idle)
        ahead = len(decoded)
        go_on.set()
        assert (await run).rows == 1500

    assert len(server.requests) == 1
    assert ahead <= fetch.QUEUE_LENGTH + 3  # one is inserted, one waits for it, one for a place in the queue
    assert len(decoded) > ahead + 3


@contextmanager
def peak_memory(most):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def gzip_of(pieces):
    packer = gunzip.gzip_library.compressobj(1, 8, 31)
    return b"".join(chain(map(packer.compress, pieces), (packer.flush() for _ in range(1))))


async def test_row_28_a_line_of_200_mb_is_rejected_with_its_beginning_and_size(client_of, path):
    body = gzip_of(chain([text_of(*LINES), b'{"event":"'], repeat(b"x" * 1_000_000, 200), [b"\n"]))
    async with RawServer(with_length(body)) as server:
        with peak_memory(4 * lines.LINE_MAX):
            result = await client_of(server).fetch_events(**ONE_DAY)

    assert len(server.requests) == 1
    assert (result.rows, result.rejected_rows) == (40, 1)
    [(number, reason, line)] = query(path, "SELECT line_number, reason, line FROM _mixpanel_rejected")
    assert (number, line) == (41, b'{"event":"' + b"x" * 490)
    assert reason == f"longer than {lines.LINE_MAX} bytes: it has 200000010, and only its beginning is kept"


@pytest.mark.parametrize("filler", [b"\0", b" "])
async def test_row_29_a_bomb_is_unpacked_in_small_pieces(client_of, path, monkeypatch, filler):
    monkeypatch.setattr(lines, "LINE_MAX", 4 << 20)
    body = gzip_of(repeat(filler * 1_000_000, 300))
    assert len(body) < 2_000_000
    async with RawServer(with_length(body)) as server:
        with peak_memory(40 << 20), pytest.raises(ConnectionLostError, match="its last line is not whole"):
            await client_of(server, retry=RetryPolicy(attempts=1)).fetch_events(**ONE_DAY)
    holds_nothing(path)


async def test_row_29_a_bomb_of_an_error_is_read_no_further_than_its_excerpt(client_of):
    async def pour(_, writer):
        while True:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()

    answer = head("Transfer-Encoding: chunked", encoding=None, status="400 Bad Request"), pour
    async with RawServer(answer) as server:
        with pytest.raises(QueryError, match="rejects the query") as error:
            await client_of(server).fetch_events(**ONE_DAY)
        await server.hung_up.wait()
    assert len(str(error.value)) < 1000
