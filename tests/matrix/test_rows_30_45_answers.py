"""Answers that are not the events: broken off, refused, redirected, too much asked. And how fast may be asked."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import json
import logging
import shutil
import socket
import ssl
import subprocess
import time
from bisect import bisect_right
from contextlib import asynccontextmanager
from email.utils import formatdate

import aiohttp
import pytest

from mixpanel_async import (
    AuthenticationError,
    ConnectionLostError,
    ExportError,
    QueryError,
    RateLimitError,
    RateLimits,
    RetryPolicy,
    ServerError,
)
from mixpanel_async.api.limits import Limiter
from mixpanel_async.api.retry import RETRY_AFTER_MAX, retry_after
from mixpanel_async.testing import FakeClock, FakeMixpanel, Fault, GivenEvents
from tests.system.conftest import expected

from .conftest import (
    DAY,
    LINES,
    ONE_DAY,
    TEXT,
    WHOLE,
    asked_again,
    holds_nothing,
    holds_the_day,
    stored,
    text_of,
)
from .raw import RawServer, chunked, fall_silent, wait_for, with_length

SIX_DAYS = {"from_date": DAY, "to_date": "2026-01-06", "parallel": True, "chunk_days": 1}
TOO_MANY = "429 Too Many Requests"


def refusal(status, said, *lines):
    body = json.dumps({"request": "/api/2.0/export?x=1", "error": said}).encode()
    return with_length(body, encoding=None, status=status, kind="application/json", lines=lines)


# 200, and yet no whole answer


@pytest.mark.parametrize(
    "body",
    [text_of(*LINES[:20]) + b"terminated early", TEXT + b"export terminated early\n", b"terminated early."],
    ids=["after some lines", "after all lines", "alone"],
)
async def test_row_30_terminated_early(client_of, path, body):
    lost = await asked_again(client_of, path, chunked(gzip.compress(body)))
    assert isinstance(lost, ConnectionLostError)
    assert "terminated early" in str(lost)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "out of disk"}',
        TEXT + b'{"request": "/x", "error": "out of disk"}\n',
        text_of(LINES[0], b'{"error": "out of disk", "status": 500}', *LINES[1:]),
    ],
    ids=["alone", "after all lines", "between lines"],
)
async def test_row_31_an_error_in_the_body_is_no_event(client_of, path, body):
    failed = await asked_again(client_of, path, chunked(gzip.compress(body)))
    assert isinstance(failed, ServerError)
    assert "out of disk" in str(failed)
    assert "/x" not in str(failed)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "text/plain"])
async def test_row_32_a_web_page(client_of, path, kind):
    page = b"<!doctype html><html><body>Please log in</body></html>"
    failed = await asked_again(client_of, path, with_length(page, encoding=None, kind=kind))
    assert isinstance(failed, (ServerError, ConnectionLostError))
    assert failed.retryable


# Redirects


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_row_33_a_redirect_is_never_followed(client_of, path, status):
    async with (
        RawServer(WHOLE) as other,
        RawServer(with_length(b"", encoding=None, status=status, lines=[f"Location: {other.url}/a?b=c"])) as server,
    ):
        with pytest.raises(ExportError, match=r"not followed") as error:
            await client_of(server).fetch_events(**ONE_DAY)
        assert (len(server.requests), other.connections) == (1, 0)
    assert "to 127.0.0.1: not followed" in str(error.value)
    assert other.url not in str(error.value)
    assert not error.value.retryable
    holds_nothing(path)


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://user:hunter2@evil.example/path?token=hunter2", "evil.example"),
        ("file:///etc/hunter2", "nowhere"),
        ("//evil.example/hunter2", "evil.example"),
        ("http://[hunter2", "nowhere"),
    ],
)
async def test_row_34_a_redirect_names_no_more_than_a_host(client_of, location, named):
    async with RawServer(with_length(b"", status="302 Found", lines=[f"Location: {location}"])) as server:
        with pytest.raises(ExportError, match=f"to {named}: not followed") as error:
            await client_of(server).fetch_events(**ONE_DAY)
        assert len(server.requests) == 1
    assert "hunter2" not in repr(error.value)


# Refused


@pytest.mark.parametrize("status", ["400 Bad Request", "412 Precondition Failed", "413 Too Large"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_row_35_a_rejected_query_ends_the_run_with_mixpanels_words(client_of, path, status, packed):
    body = json.dumps({"error": "where: syntax error near 'x'"}).encode()
    answer = (
        with_length(gzip.compress(body), status=status) if packed else refusal(status, "where: syntax error near 'x'")
    )
    async with RawServer(answer) as server:
        with pytest.raises(QueryError, match="where: syntax error near 'x'") as error:
            await client_of(server).fetch_events(**SIX_DAYS, max_workers=1)
        assert len(server.requests) == 1
    assert error.value.status == int(status[:3])
    holds_nothing(path)


async def test_row_35_a_date_in_the_future_is_explained(client_of, fake):
    with pytest.raises(QueryError, match=r"later than today \(today is the project's own today"):
        await client_of(fake).fetch_events(from_date="2026-06-01", to_date="2026-06-02")
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        refusal("401 Unauthorized", "Invalid credentials"),
        refusal("403 Forbidden", "no access"),
        refusal("400 Bad Request", "Unable to authenticate request"),
        with_length(gzip.compress(b'{"error":"Unable to authenticate request"}'), status="400 Bad Request"),
    ],
    ids=["401", "403", "400", "400 as gzip"],
)
async def test_row_36_credentials_that_are_not_taken_end_every_chunk_at_once(client_of, path, answer):
    """Two chunks are open and silent when the third is refused: they are broken off, and nobody asks again."""
    all_open = asyncio.Event()

    def by_day(request):
        if len(server.requests) == 3:
            all_open.set()
        return (wait_for(all_open), answer) if request.params["from_date"] == "2026-01-03" else (fall_silent,)

    async with RawServer(by_day) as server:
        with pytest.raises(AuthenticationError):
            await asyncio.wait_for(client_of(server).fetch_events(**SIX_DAYS, max_workers=3), 10)
        assert len(server.requests) == 3
    holds_nothing(path)


@pytest.mark.parametrize(
    ("status", "hint"), [("402 Payment Required", ""), ("404 Not Found", "check region and base_url")]
)
async def test_row_37_no_plan_and_no_such_place_fail_at_once(client_of, path, status, hint):
    async with RawServer(refusal(status, "not for you")) as server:
        with pytest.raises(QueryError, match="not for you") as error:
            await client_of(server).fetch_events(**ONE_DAY)
        assert len(server.requests) == 1
    assert hint in str(error.value)
    holds_nothing(path)


# Again, and when


@pytest.mark.parametrize("status", ["500 Oops", "502 Bad Gateway", "503 Busy", "504 Gateway Timeout"])
async def test_row_38_a_server_error_passes(client_of, path, status):
    failed = await asked_again(client_of, path, refusal(status, "come back later"))
    assert isinstance(failed, ServerError)
    assert failed.status == int(status[:3])
    assert "come back later" in str(failed)


async def test_row_38_retry_after_is_honoured_before_the_next_attempt(client_of, path):
    async with RawServer(refusal("503 Busy", "busy", "Retry-After: 1"), WHOLE) as server:
        began = time.monotonic()
        await client_of(server).fetch_events(**ONE_DAY)
        assert 1.0 <= time.monotonic() - began < 1.9
    holds_the_day(path)


@pytest.mark.parametrize("header", ["1", lambda: formatdate(time.time() + 3, usegmt=True)], ids=["seconds", "date"])
async def test_row_39_a_429_holds_every_chunk_back(client_of, fake, path, header):
    """Two workers: the first request of the third day is told to wait, and no other goes meanwhile."""
    fake.faults.add(Fault.rate_limited(header if isinstance(header, str) else header()), date="2026-01-03", times=1)

    await client_of(fake).fetch_events(**SIX_DAYS, max_workers=2)

    refused = next(request for request in fake.requests if request.status == 429)
    gaps = [request.started - refused.ended for request in fake.requests]
    later = [gap for gap in gaps if gap > 0.2]  # one may have been on its way when the 429 came
    assert len(later) >= 3
    assert min(later) > 0.9
    assert stored(path) == expected(fake, DAY, "2026-01-06")


async def test_row_40_a_429_without_a_header_waits_by_the_windows_not_by_the_attempt(client_of, path, caplog):
    """Half of `wait_max` at least, even after a first attempt; said in the log at level INFO."""
    caplog.set_level(logging.INFO, "mixpanel_async")
    patient = RetryPolicy(attempts=3, wait_initial=0.0, wait_max=0.4)
    async with RawServer(refusal(TOO_MANY, "slow down"), WHOLE) as server:
        began = time.monotonic()
        await client_of(server, retry=patient).fetch_events(**ONE_DAY)
        assert time.monotonic() - began >= 0.2
    holds_the_day(path)
    assert "rate limit (429): slow down. Attempt 2 follows in 0." in caplog.text


def test_row_40_by_default_that_is_half_a_minute_at_least():
    assert min(RetryPolicy().wait(1, None, limited=True) for _ in range(100)) >= 30


NONSENSE = [
    "-1",
    "nan",
    "1e400",
    "inf",
    "١٢",
    "1" + "0" * 30,
    "0x10",
    "1.5",
    "",
    "Wed, 21 Oct 2015 07:28:00 GMT",
    "soon",
]


async def test_row_41_a_retry_after_that_is_nonsense_or_past_costs_no_time(client_of, path):
    answers = [with_length(b"", status=TOO_MANY, lines=[f"Retry-After: {value}"]) for value in NONSENSE]
    stubborn = RetryPolicy(attempts=len(NONSENSE) + 1, wait_initial=0.0, wait_max=0.0)
    async with RawServer(*answers, WHOLE) as server:
        async with asyncio.timeout(5):
            await client_of(server, retry=stubborn).fetch_events(**ONE_DAY)
        assert len(server.requests) == len(NONSENSE) + 1
    holds_the_day(path)


@pytest.mark.parametrize("value", ["999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_row_41_none_is_believed_for_longer_than_the_longest_window(value):
    assert retry_after(value, now=time.time()) == RETRY_AFTER_MAX


async def test_row_42_a_429_for_ever_ends_and_a_resume_goes_on(client_of, fake, path):
    fake.faults.add(Fault.rate_limited("0"), date="2026-01-03", times=6)
    client = client_of(fake)

    first = await client.fetch_events(**SIX_DAYS)
    assert first.failed_date_ranges == (("2026-01-03", "2026-01-03"),)
    with pytest.raises(ExportError, match=r"2026-01-03: ") as error:
        await client.fetch_events(**SIX_DAYS, resume=True)
    assert isinstance(error.value.__cause__, RateLimitError)
    assert error.value.status == 429

    await client.fetch_events(**SIX_DAYS, resume=True)
    assert stored(path) == expected(fake, DAY, "2026-01-06")


# Nobody there, or somebody else


async def no_way(client_of, path, server, says, **settings):
    """Three attempts for all six days, never fewer days: the connection is what fails."""
    with pytest.raises(ConnectionLostError, match=says) as lost:
        await client_of(server, **settings).fetch_events(from_date=DAY, to_date="2026-01-06")
    assert lost.value.attempts == 3
    holds_nothing(path)


async def test_row_43_nobody_listens(client_of, path):
    server = RawServer(WHOLE)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        await no_way(client_of, path, server, "No connection to 127.0.0.1: ")


async def test_row_43_no_such_name(client_of, path, monkeypatch):
    looked_up = []

    def unknown(host, *_, **__):
        looked_up.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    server = RawServer(WHOLE)
    server.url = "https://data.mixpanel.invalid"
    await no_way(client_of, path, server, "No connection to data.mixpanel.invalid: Name or service not known")
    assert looked_up == ["data.mixpanel.invalid"] * 3


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Makes a certificate for a name that only itself vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")

    def make(name):
        key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
        subprocess.run(
            ["openssl", "req", *kind, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context, certificate

    return make


async def test_row_44_a_certificate_that_nobody_vouches_for_fails_at_once(client_of, path, certificates):
    context, _ = certificates("localhost")
    async with RawServer(WHOLE, tls=context) as server:
        with pytest.raises(ExportError, match="certificate is not accepted: self-signed") as error:
            await client_of(server).fetch_events(**ONE_DAY)
        assert server.requests == []
    assert (type(error.value), error.value.attempts) == (ExportError, 1)
    holds_nothing(path)


async def test_row_44_a_certificate_of_another_host_fails_at_once(client_of, path, certificates):
    context, certificate = certificates("mixpanel.example")
    trusting = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=certificate))
    async with RawServer(WHOLE, tls=context) as server, aiohttp.ClientSession(connector=trusting) as session:
        with pytest.raises(ExportError, match=r"certificate is not accepted: .*127\.0\.0\.1") as error:
            await client_of(server, session=session).fetch_events(**ONE_DAY)
        assert server.requests == []
    assert error.value.attempts == 1
    holds_nothing(path)


# The limits


class StillClock(FakeClock):
    """Real time does not move it, so that a busy machine, on which requests arrive late, changes nothing."""

    def monotonic(self) -> float:
        return self._moved_by


async def test_row_45_no_window_holds_too_many_over_retries_and_two_calls(client_of, monkeypatch):
    """80 requests of two calls, a fifth of them again, on a clock that leaps where the limiter waits.

    The fake holds Mixpanel's own limits, so a 429 of its own would show here; and its log is counted in windows.
    """
    async with FakeMixpanel(GivenEvents(), clock=StillClock("2026-06-01")) as server:
        leaps = [(0.0, 0.0)]

        class Leaping(Limiter):
            let_go = 0

            def __init__(self, limits, record):
                super().__init__(limits, record, clock=server.clock.monotonic, sleep=self.leap)

            @asynccontextmanager
            async def slot(self):
                async with super().slot():
                    Leaping.let_go += 1
                    yield

            async def leap(self, seconds):
                """Only when all that was let go has arrived, or an arrival would seem later than it was."""
                await server.until(lambda: len(server.requests) == Leaping.let_go)
                server.clock.advance(seconds + 0.001)  # a step of less than a microsecond would be none
                leaps.append((time.monotonic(), leaps[-1][1] + seconds + 0.001))

        monkeypatch.setattr("mixpanel_async.core.Limiter", Leaping)
        for day in range(0, 40, 5):
            server.faults.add(
                Fault.status(503), from_date=(dt.date(2026, 1, 1) + dt.timedelta(days=day)).isoformat(), attempts=[1, 2]
            )
        client = client_of(server, limits=RateLimits(concurrent=20), retry=RetryPolicy(wait_initial=0, wait_max=0))
        forty = {"from_date": DAY, "to_date": "2026-02-09", "parallel": True, "chunk_days": 1, "max_workers": 30}

        async with asyncio.TaskGroup() as group:
            group.create_task(client.fetch_events("one", **forty))
            group.create_task(client.fetch_events("two", **forty))

        times = [leaps[bisect_right(leaps, (request.started, 0.0)) - 1][1] for request in server.requests]
        statuses = [request.status for request in server.requests]
    assert (statuses.count(200), statuses.count(503)) == (80, 16)
    assert len(statuses) == 96
    assert times == sorted(times)
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[3:], strict=False))
    assert all(later - earlier >= 3600.0 for earlier, later in zip(times, times[60:], strict=False))
    assert server.max_open <= 20


async def test_row_45_no_more_are_open_than_may_be_whatever_the_workers(client_of, fake):
    fake.faults.add(Fault.stall(), times=3)
    client = client_of(fake, limits=RateLimits(per_second=10_000, per_hour=1_000_000, concurrent=3))
    runs = [asyncio.ensure_future(client.fetch_events(name, **SIX_DAYS)) for name in ("one", "two")]
    await fake.until(lambda: fake.open == 3)
    for _ in range(50):
        await asyncio.sleep(0)
    assert fake.max_open == len(fake.requests) == 3
    for run in runs:
        run.cancel()
    await asyncio.gather(*runs, return_exceptions=True)
