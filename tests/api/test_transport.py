"""The wire, against tiny servers that speak raw bytes: what is sent, what comes back, and how trouble is told."""

from __future__ import annotations

import asyncio
import base64
import gzip
import re
import shutil
import socket
import ssl
import subprocess
import traceback
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aioresponses import aioresponses

from mixpanel_async._version import __version__
from mixpanel_async.api import transport as transports
from mixpanel_async.api.credentials import OAuthToken, ProjectSecret, ServiceAccount
from mixpanel_async.api.responses import error_from_response
from mixpanel_async.api.transport import Timeouts, Transport
from mixpanel_async.errors import ConnectionLostError, ExportError, QueryError

SECRET = "v3ry-s3cret"
ACCOUNT = ServiceAccount("user", SECRET, 42)
BODY = gzip.compress(b'{"event":"a","properties":{"time":1}}\n' * 100)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n"
WITH_LENGTH = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY)
SHORT = Timeouts(connect=5, first_byte=0.2, idle=0.2)


class Server:
    """Answers each connection with one script; keeps the requests it saw."""

    def __init__(self, script):
        self._script, self.requests, self.hung_up, self.tasks = script, [], asyncio.Event(), []

    async def __call__(self, reader, writer):
        self.tasks.append(asyncio.current_task())
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(self._script, bytes):
                writer.write(self._script)
                await writer.drain()
            else:
                await self._script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.hung_up.set()
            writer.close()


@asynccontextmanager
async def serving(script, **options):
    server = Server(script)
    listener = await asyncio.start_server(server, "127.0.0.1", 0, **options)
    scheme = "https" if options.get("ssl") else "http"
    server.url = f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}/api/2.0/export"
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()
        await asyncio.gather(*server.tasks)


@asynccontextmanager
async def transport(session=None, timeouts=SHORT):
    opened = Transport(session, timeouts)
    try:
        yield opened
    finally:
        await opened.close()


async def fetch(script, *, credentials=ACCOUNT, timeouts=SHORT, session=None, **parameters):
    """One request to one server: status, body, the request as it was sent."""
    async with serving(script) as server, transport(session, timeouts) as wire:
        async with wire.get(server.url, parameters, credentials) as response:
            body = b"".join([piece async for piece in response.iter_bytes()])
        return response.status, body, server.requests[0]


def chunked(*pieces, last=b"0\r\n\r\n"):
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + last


def sent(request):
    """A request's path and headers."""
    first, *headers = request.decode().strip().split("\r\n")
    return first.split()[1], {name.lower(): value for name, value in (line.split(": ", 1) for line in headers)}


# What is sent


async def test_a_request_says_who_asks_what_and_that_gzip_is_wanted():
    path, headers = sent((await fetch(WITH_LENGTH + BODY, from_date="2024-01-01", where='x == "ä & b"'))[2])
    assert path == "/api/2.0/export?from_date=2024-01-01&where=x+%3D%3D+%22%C3%A4+%26+b%22&project_id=42"
    assert headers["authorization"] == "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()
    assert headers["accept-encoding"] == "gzip"
    assert headers["accept"] == "text/plain, application/json"
    assert re.fullmatch(rf"mixpanel-async/{re.escape(__version__)} \(Python 3\.[0-9]+\)", headers["user-agent"])


@pytest.mark.parametrize(
    ("credentials", "header", "project"),
    [
        (ProjectSecret(SECRET), "Basic " + base64.b64encode(f"{SECRET}:".encode()).decode(), False),
        (OAuthToken(SECRET, "7"), f"Bearer {SECRET}", True),
    ],
)
async def test_the_other_credentials(credentials, header, project):
    path, headers = sent((await fetch(WITH_LENGTH + BODY, credentials=credentials))[2])
    assert headers["authorization"] == header
    assert ("project_id=7" in path) == project == ("project_id" in path)


async def test_a_form_is_sent_in_the_body_and_the_project_in_the_url():
    bodies = []

    async def script(reader, writer):
        bodies.append(await reader.readexactly(len(b"where=%C3%A4+%26+b&page=3")))
        writer.write(WITH_LENGTH + BODY)

    async with serving(script) as server, transport() as wire:
        async with wire.post(server.url, {"where": "ä & b", "page": "3"}, ACCOUNT) as response:
            assert response.status == 200
        head, (path, headers) = server.requests[0], sent(server.requests[0])

    assert head.startswith(b"POST ")
    assert path == "/api/2.0/export?project_id=42"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert bodies == [b"where=%C3%A4+%26+b&page=3"]


# What comes back


@pytest.mark.parametrize(
    "script",
    [WITH_LENGTH + BODY, chunked(BODY[:7], BODY[7:]), HEAD + b"Connection: close\r\n\r\n" + BODY],
    ids=["length", "chunked", "until the end"],
)
async def test_bytes_come_as_they_were_sent_still_gzip(script):
    status, body, _ = await fetch(script)
    assert (status, body) == (200, BODY)


async def test_even_a_body_that_is_no_gzip_or_another_one_is_left_as_it_is():
    body = b"\x1f\x8bnot gzip at all"
    assert (await fetch(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body))[1] == body
    brotli = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc"
    assert (await fetch(brotli))[1] == b"abc"


async def test_a_redirect_is_not_followed():
    asked = []

    async def elsewhere(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))

    async with serving(elsewhere) as other:
        script = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % other.url.encode()
        assert (await fetch(script))[0] == 302
    assert asked == []


async def test_headers_are_read_in_any_case_and_an_excerpt_is_never_more():
    script = b"HTTP/1.1 503 Busy\r\nRETRY-AFTER: 7\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000
    async with serving(script) as server, transport() as wire, wire.get(server.url, {}, ACCOUNT) as response:
        assert response.headers["Retry-After"] == "7"
        assert await response.read_beginning(100) == b"x" * 100


async def test_an_answer_that_is_left_early_closes_its_connection():
    async def endless(_, writer):
        writer.write(HEAD + b"\r\n")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with serving(endless) as server, transport() as wire:
        async with wire.get(server.url, {}, ACCOUNT) as response:
            async for _ in response.iter_bytes():
                break
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_a_cancelled_request_closes_its_connection():
    asked = asyncio.Event()

    async def silent(reader, _):
        asked.set()
        await reader.read()

    async with serving(silent) as server, transport(timeouts=Timeouts()) as wire:

        async def ask():
            async with wire.get(server.url, {}, ACCOUNT):
                pass

        task = asyncio.create_task(ask())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.hung_up.wait(), 5)


async def test_no_request_is_made_twice_behind_the_limiters_back():
    """A connection that the server closed while it was idle: aiohttp would ask again by itself."""

    async def once_then_close(reader, writer):
        writer.write(WITH_LENGTH + BODY)
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        server.requests.append(b"again")

    async with serving(once_then_close) as server, transport() as wire:
        async with wire.get(server.url, {}, ACCOUNT) as response:
            assert b"".join([piece async for piece in response.iter_bytes()]) == BODY
        with pytest.raises(ConnectionLostError):
            await wire.get(server.url, {}, ACCOUNT).__aenter__()
        assert len(server.requests) == 2


# A caller's own session


async def test_a_callers_session_is_not_closed_and_its_settings_do_not_count():
    async with aiohttp.ClientSession(
        auto_decompress=True,
        raise_for_status=True,
        headers={"Authorization": "Basic wrong", "Accept-Encoding": "br", "X-Own": "stays"},
        timeout=aiohttp.ClientTimeout(total=0.000001),
    ) as session:
        status, body, request = await fetch(WITH_LENGTH + BODY, session=session)
        assert (status, body) == (200, BODY)
        headers = sent(request)[1]
        assert headers["accept-encoding"] == "gzip"
        assert headers["authorization"] != "Basic wrong"
        assert headers["x-own"] == "stays"
        assert (await fetch(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", session=session))[0] == 500
        assert not session.closed
        assert session.auto_decompress


async def test_our_own_session_is_closed():
    async with transport() as wire:
        session = wire._session
    assert session.closed


# Trouble


async def reset(_, writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def hold(reader, _):
    await reader.read()


def after(first, then):
    async def script(reader, writer):
        writer.write(first)
        await writer.drain()
        await then(reader, writer)

    return script


TROUBLE = {
    "closed before an answer": b"",
    "reset before an answer": reset,
    "half a status line": b"HTTP/1.1 2",
    "half the headers": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "garbage for a status line": b"\x16\x03\x01 this is no HTTP\r\n\r\n",
    "a header that is none": b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    "too long a header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "silence": hold,
    "silence after half the headers": after(b"HTTP/1.1 200 OK\r\n", hold),
    "fewer bytes than told": WITH_LENGTH + BODY[:-10],
    "no last chunk": chunked(BODY, last=b""),
    "half a chunk": chunked(last=b"100\r\nabc"),
    "a chunk of no size": chunked(last=b"zz\r\nabc\r\n"),
    "reset within the body": after(WITH_LENGTH + BODY[:20], reset),
    "silence within the body": after(WITH_LENGTH + BODY[:20], hold),
    "silence after the headers": after(WITH_LENGTH, hold),
}


def assert_safe(error):
    """No aiohttp error is chained that a traceback would show, and no way of showing the error shows the secret."""
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    encoded = base64.b64encode(f"user:{SECRET}".encode()).decode()
    for text in (str(error), repr(error), repr(error.__dict__), shown.replace(f"SECRET = {SECRET!r}", "")):
        assert SECRET not in text
        assert encoded not in text
    assert "aiohttp.client_exceptions" not in shown


@pytest.mark.parametrize("kind", TROUBLE)
async def test_trouble_is_a_lost_connection_that_may_pass(kind):
    with pytest.raises(ConnectionLostError) as lost:
        await fetch(TROUBLE[kind], event="x")
    assert lost.value.retryable
    assert lost.value.status is None
    assert_safe(lost.value)


@pytest.mark.parametrize("kind", ["silence", "silence within the body"])
async def test_a_stall_says_for_how_long(kind):
    with pytest.raises(ConnectionLostError, match=r"^The connection stalled: .* 0\.2 s$"):
        await fetch(TROUBLE[kind])


async def test_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        async with transport() as wire:
            with pytest.raises(ConnectionLostError, match=r"No connection to 127\.0\.0\.1: ") as lost:
                await wire.get(url, {}, ACCOUNT).__aenter__()
    assert_safe(lost.value)


async def test_a_trickle_is_a_stall():
    async def trickle(reader, writer):
        writer.write(HEAD + b"\r\n")
        while not reader.at_eof():
            writer.write(b"x" * 100)
            await writer.drain()
            await asyncio.sleep(0.03)

    with pytest.raises(ConnectionLostError, match="stalled"):
        await fetch(trickle)


async def test_a_slow_body_of_enough_bytes_is_no_stall():
    async def slow(_, writer):
        writer.write(HEAD + b"\r\n")
        for _ in range(8):
            writer.write(b"x" * transports.IDLE_BYTES)
            await writer.drain()
            await asyncio.sleep(0.05)

    assert len((await fetch(slow))[1]) == 8 * transports.IDLE_BYTES


async def test_a_slow_consumer_is_no_stall():
    body = b"x" * 3_000_000
    script = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    async with serving(script) as server, transport() as wire, wire.get(server.url, {}, ACCOUNT) as response:
        size, pauses = 0, 0
        async for piece in response.iter_bytes():
            size += len(piece)
            if pauses < 2:
                pauses += 1
                await asyncio.sleep(1.5 * SHORT.idle)
    assert size == len(body)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate that nobody vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run(
        ["openssl", "req", *kind, "-days", "2", "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_a_certificate_that_nobody_vouches_for_is_not_worth_asking_again(certificate):
    async with serving(WITH_LENGTH + BODY, ssl=certificate) as server, transport(timeouts=Timeouts()) as wire:
        with pytest.raises(ExportError, match="certificate is not accepted: self-signed certificate") as refused:
            await wire.get(server.url, {}, ACCOUNT).__aenter__()
        assert server.requests == []
    assert type(refused.value) is ExportError
    assert not refused.value.retryable
    assert_safe(refused.value)


async def test_https_to_a_server_that_speaks_http():
    async def speak(_, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with listener, transport() as wire:
        url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        with pytest.raises(ConnectionLostError) as lost:
            await wire.get(url, {}, ACCOUNT).__aenter__()
    assert_safe(lost.value)


# One small answer, judged


@pytest.mark.parametrize(
    ("body", "said"), [('{"error": "no such event"}', "no such event"), ("plain words", "plain words")]
)
async def test_a_rejected_query_says_what_mixpanel_said(body, said):
    with aioresponses() as mixpanel:
        mixpanel.get("https://data.mixpanel.com/api/2.0/export?project_id=42", status=400, body=body)
        async with transport() as wire, wire.get("https://data.mixpanel.com/api/2.0/export", {}, ACCOUNT) as response:
            error = error_from_response(response.status, response.headers, await response.read_beginning(1000), now=0)
    assert type(error) is QueryError
    assert said in str(error)


# Timeouts


@pytest.mark.parametrize("name", ["connect", "first_byte", "idle"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_timeouts_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"Timeouts.{name} must be"):
        Timeouts(**{name: value})


def test_timeouts_by_default_bear_what_mixpanel_needs():
    assert Timeouts() == Timeouts(connect=30.0, first_byte=1200.0, idle=300.0)
