"""Faults."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from ssl import create_default_context

import pytest
from aiohttp import ClientConnectorError, ClientPayloadError, ServerDisconnectedError

from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents

DAY = "2026-02-01"
LINES = 1000
PARAMS = {"project_id": 12345, "from_date": DAY, "to_date": DAY}


@pytest.fixture
async def fake():
    async with FakeMixpanel(GeneratedEvents(per_day=LINES), limits=None) as fake:
        yield fake


@pytest.fixture
def lines(fake):
    return list(fake.truth_lines(DAY, DAY))


async def faulty(ask, fake, fault, encoding="gzip"):
    fake.faults.add(fault, times=1)
    return await ask(fake, encoding=encoding)


def readable(body):
    """Decompress as much as possible of an incomplete gzip stream."""
    return zlib.decompressobj(31).decompress(body)


async def test_item_59_only_terminated(ask, fake):
    reply = await faulty(ask, fake, Fault.only_terminated())
    assert (reply.status, reply.body, reply.error) == (200, b"export terminated early", None)


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_item_60_terminated_early_without_newline(ask, fake, lines, encoding):
    reply = await faulty(ask, fake, Fault.terminated_early(700), encoding)
    assert reply.error is None
    assert reply.text == b"\n".join([*lines[:700], b"terminated early"])


async def test_item_61_terminated_early_with_newline(ask, fake, lines):
    fault = Fault.terminated_early(3, "export terminated early", newline=True)
    reply = await faulty(ask, fake, fault)
    assert reply.text == b"\n".join([*lines[:3], b"export terminated early\n"])


async def test_item_60_terminated_after_all_lines(ask, fake, lines):
    assert (await faulty(ask, fake, Fault.terminated_early())).lines == [*lines, b"terminated early"]


async def test_item_62_half_line(ask, fake, lines):
    reply = await faulty(ask, fake, Fault.half_line(600))
    assert reply.lines[:600] == lines[:600]
    assert len(reply.lines) == 601
    assert reply.lines[600]
    assert lines[600].startswith(reply.lines[600])
    assert reply.error is None


@pytest.mark.parametrize("ending", ["reset", "hang-up"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_item_63_cut_at_a_line(fake, lines, encoding, ending):
    fake.faults.add(Fault.cut_at_line(10, ending=ending))
    raw, _ = await raw_answer(fake, encoding)
    body = dechunked(raw)
    text = readable(body) if encoding == "gzip" else body
    assert text == b"\n".join([*lines[:10], b""])
    assert not raw.endswith(b"0\r\n\r\n")


async def test_item_63_the_client_sees_an_error(ask, fake):
    assert isinstance((await faulty(ask, fake, Fault.cut_at_line(10, ending="hang-up"))).error, ClientPayloadError)


async def test_item_64_missing_rows_cannot_be_noticed(ask, fake, lines):
    reply = await faulty(ask, fake, Fault.missing_rows(999))
    assert (reply.status, reply.error, reply.lines) == (200, None, lines[:999])


async def test_item_65_no_trailer(ask, fake, lines):
    reply = await faulty(ask, fake, Fault.no_trailer())
    assert reply.error is None
    assert readable(reply.body).split(b"\n")[:-1] == lines
    with pytest.raises(EOFError):
        assert reply.text


async def test_item_65_bad_crc(ask, fake):
    reply = await faulty(ask, fake, Fault.bad_crc())
    with pytest.raises(zlib.error, match="incorrect data check"):
        readable(reply.body)


async def test_item_65_corrupt(ask, fake):
    good = await ask(fake, encoding="gzip")
    reply = await faulty(ask, fake, Fault.corrupt(at=1234))
    assert [place for place, byte in enumerate(reply.body) if byte != good.body[place]] == [1234]


@pytest.mark.parametrize("per_day", [0, 1, LINES])
async def test_item_65_second_member(ask, per_day):
    async with FakeMixpanel(GeneratedEvents(per_day=per_day), limits=None) as fake:
        reply = await faulty(ask, fake, Fault.second_member())
        first = zlib.decompressobj(31)
        begin = first.decompress(reply.body)
        assert first.eof
        assert first.unused_data[:2] == b"\x1f\x8b"
        assert reply.lines == list(fake.truth_lines(DAY, DAY))
        assert len(begin) < len(reply.text) or per_day < 2


@pytest.mark.parametrize(
    ("fault", "tail"), [(Fault.garbage_after(b"junk"), b"junk"), (Fault.zero_padding(512), bytes(512))]
)
async def test_item_65_bytes_after_the_stream(ask, fake, fault, tail):
    good = await ask(fake, encoding="gzip")
    assert (await faulty(ask, fake, fault)).body == good.body + tail


async def test_item_65_gzip_faults_force_gzip_on_small_bodies(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=1)) as fake:
        assert "content-encoding" not in (await ask(fake, encoding="gzip")).headers
        reply = await faulty(ask, fake, Fault.no_trailer())
    assert reply.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("framing", ["chunked-clean", "chunked-broken", "close", "content-length"])
@pytest.mark.parametrize("how", [{"after_bytes": 5000}, {"after_fraction": 0.25}, {"after_bytes": 0}])
async def test_item_65_cut(ask, fake, framing, how):
    whole = (await ask(fake, encoding="gzip")).body
    wanted = how.get("after_bytes", int(len(whole) * 0.25))
    fake.faults.add(Fault.cut(**how, framing=framing))
    raw, head = await raw_answer(fake, "gzip")
    body = dechunked(raw) if framing.startswith("chunked") else raw
    assert body == whole[:wanted]
    assert raw.endswith(b"0\r\n\r\n") == (framing == "chunked-clean")
    assert (b"chunked" in head.lower()) == framing.startswith("chunked")
    assert (b"content-length: %d\r\n" % len(whole) in head.lower()) == (framing == "content-length")
    reply = await ask(fake, encoding="gzip")
    assert (reply.error is None) == (framing in {"chunked-clean", "close"})
    assert [record.finished for record in fake.requests[-2:]] == [framing in {"chunked-clean", "close"}] * 2
    assert fake.requests[-2].bytes_sent == wanted


@pytest.mark.parametrize("how", [{}, {"after_bytes": 1, "after_fraction": 0.1}])
def test_item_65_cut_needs_one_place(how):
    with pytest.raises(ValueError, match="either"):
        Fault.cut(**how)


async def test_item_66_split_record(ask, fake, lines):
    for at in (1, 600):
        reply = await faulty(ask, fake, Fault.split_record(at))
        assert len(reply.lines) == LINES + 1
        assert b"".join(reply.lines) == b"".join(lines)
        assert reply.lines[at - 1] + reply.lines[at] == lines[at - 1]


async def test_item_67_other_separators(ask, fake, lines):
    reply = await faulty(ask, fake, Fault.separators())
    assert reply.text == b"".join(line + b"\r\n\r\n" for line in lines)
    assert (await faulty(ask, fake, Fault.separators("\n\n"))).text == b"".join(line + b"\n\n" for line in lines)


async def test_item_68_bad_utf8(ask, fake, lines):
    for at in (1, 600):
        reply = await faulty(ask, fake, Fault.bad_utf8(at))
        assert len(reply.lines) == LINES
        assert reply.lines[at - 1].replace(b"\xff", b"") == lines[at - 1] != reply.lines[at - 1]
        with pytest.raises(UnicodeDecodeError):
            reply.text.decode()


async def test_item_69_error_line(ask, fake, lines):
    reply = await faulty(ask, fake, Fault.error_line(513))
    assert reply.lines == [*lines[:513], b'{"error":"internal error"}', *lines[513:]]


async def test_item_70_stall_then_go_on(ask, fake, lines):
    began = time.monotonic()
    reply = await faulty(ask, fake, Fault.stall(after_bytes=1000, seconds=0.2))
    assert time.monotonic() - began >= 0.2
    assert reply.lines == lines


async def test_item_70_a_stall_ends_when_the_server_closes(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=100)) as fake:
        fake.faults.add(Fault.stall())
        reply = asyncio.create_task(ask(fake))
        await fake.until(lambda: fake.open == 1)
        await asyncio.sleep(0)
    assert (await reply).error is not None


async def test_item_70_first_byte_delay(ask, fake):
    began = time.monotonic()
    assert (await faulty(ask, fake, Fault.first_byte_delay(0.2))).status == 200
    assert time.monotonic() - began >= 0.2


async def test_item_71_slow_drip_splits_anywhere(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=1)) as fake:
        fake.faults.add(Fault.slow_drip(20_000))
        began = time.monotonic()
        reply = await ask(fake, encoding="gzip")
        assert time.monotonic() - began >= len(reply.body) / 20_000 * 0.9
        assert reply.lines == list(fake.truth_lines(DAY, DAY))


@pytest.mark.parametrize("code", [500, 502, 503, 504])
async def test_item_72_server_errors_once_then_ok(ask, fake, code):
    reply = await faulty(ask, fake, Fault.status(code))
    assert (reply.status, reply.body[:6]) == (code, b"<html>")
    assert reply.headers["content-type"].startswith("text/html")
    reply = await faulty(ask, fake, Fault.status(code, "", headers={"Retry-After": "7"}))
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (code, b"", "7")
    assert (await ask(fake)).status == 200


async def test_item_73_timeout_error(ask, fake):
    reply = await faulty(ask, fake, Fault.timeout_error())
    assert reply.status == 400
    error = json.loads(reply.body)
    assert error["error"] == "Timeout Error."
    assert error["request"].startswith("/api/2.0/export?")


async def test_item_42_auth_expires_for_a_chunk(ask, fake):
    assert (await faulty(ask, fake, Fault.auth_expired())).status == 401
    assert (await faulty(ask, fake, Fault.auth_expired(400))).status == 400


@pytest.mark.parametrize("retry_after", [None, 3, "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_item_53_rate_limited_to_order(ask, fake, retry_after):
    reply = await faulty(ask, fake, Fault.rate_limited(retry_after))
    assert reply.status == 429
    assert reply.headers.get("retry-after") == (None if retry_after is None else str(retry_after))


async def test_item_74_reset_before_headers(ask, fake):
    fake.faults.add(Fault.reset())
    reply = await ask(fake)
    assert reply.status is None
    assert isinstance(reply.error, (ServerDisconnectedError, OSError))
    assert (fake.requests[0].status, fake.requests[0].finished) == (None, False)


async def test_item_74_reset_is_a_tcp_reset(fake):
    fake.faults.add(Fault.reset(after_bytes=100))
    reader, writer = await asyncio.open_connection(*address(fake))
    writer.write(raw_request(fake, "gzip"))
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_item_74_refused(ask, fake, session):
    async with fake.refusing():
        assert isinstance((await ask(fake)).error, ClientConnectorError)
    assert (await ask(fake)).status == 200
    async with fake.refusing():
        assert (await ask(fake)).status == 200  # over the open connection
        await session.connector.close()


async def test_item_74_a_tls_handshake_that_is_cut_off(ask, fake):
    planned = fake.faults.add(Fault.hang_up(), times=2)
    with pytest.raises(OSError):
        await asyncio.open_connection(*address(fake), ssl=create_default_context())
    reader, writer = await asyncio.open_connection(*address(fake))
    assert await reader.read() == b""
    writer.close()
    assert (await ask(fake)).status == 200
    assert planned.happened == 2
    assert len(fake.requests) == 1


async def test_item_74_connections_that_stand_are_not_hung_up_on(ask, fake):
    await ask(fake)
    planned = fake.faults.add(Fault.hang_up())
    assert (await ask(fake)).status == 200
    assert (planned.happened, fake.requests[-1].fault) == (0, None)


@pytest.mark.parametrize("chosen", [{"date": DAY}, {"from_date": DAY}, {"to_date": DAY}, {"attempts": [1]}])
async def test_item_74_a_connection_is_no_request(fake, chosen):
    with pytest.raises(ValueError, match="no dates or attempts"):
        fake.faults.add(Fault.hang_up(), **chosen)


async def test_item_75_html(ask, fake):
    reply = await faulty(ask, fake, Fault.html())
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/html")


async def test_item_76_redirect(ask, fake):
    reply = await faulty(ask, fake, Fault.redirect("https://elsewhere.example/export"))
    assert (reply.status, reply.headers["location"]) == (302, "https://elsewhere.example/export")


@pytest.mark.parametrize("tells", [True, False])
async def test_item_76_another_host_sees_whether_a_secret_went_along(fake, session, tells):
    """aiohttp does not send the header to another host; a client that follows redirects itself might."""
    async with FakeMixpanel() as other:
        fake.faults.add(Fault.redirect(f"{other.url}/api/2.0/export"))
        headers = {"Authorization": fake.project.service_account.authorization()}
        async with session.get(f"{fake.url}/api/2.0/export", params=PARAMS, headers=headers) as response:
            assert response.url.port == int(address(other)[1])
        if tells:
            async with session.get(f"{other.url}/api/2.0/export", headers=headers):
                pass
        assert ("authorization" in other.requests[-1].headers) is tells


async def test_faults_by_chunk_and_attempt(ask, fake):
    by_date = fake.faults.add(Fault.status(500), date="2026-02-02", attempts=[1, 3])
    fake.faults.add(Fault.status(502), from_date="2026-01-05", to_date="2026-01-06", attempts=range(2, 4))
    assert [(await ask(fake, DAY, "2026-02-03")).status for _ in range(4)] == [500, 200, 500, 200]
    assert [(await ask(fake, "2026-01-05", "2026-01-06")).status for _ in range(4)] == [200, 502, 502, 200]
    assert (await ask(fake, "2026-01-05")).status == 200
    assert by_date.happened == 2
    fake.forget_requests()
    assert (await ask(fake, DAY, "2026-02-03")).status == 500
    fake.faults.clear()
    fake.forget_requests()
    assert (await ask(fake, DAY, "2026-02-03")).status == 200


async def test_faults_by_chance_are_the_same_in_any_order(ask):
    days = [f"2026-01-{day:02}" for day in range(1, 31)]
    hit = []
    for order in (days, days[::-1]):
        async with FakeMixpanel(limits=None) as fake:
            planned = fake.faults.add(Fault.status(503), chance=0.4, seed=7)
            hit.append({day for day in order if (await ask(fake, day)).status == 503})
            assert planned.happened == len(hit[-1])
    assert hit[0] == hit[1]
    assert 4 < len(hit[0]) < 20


@pytest.mark.parametrize("chance", [-0.1, 1.1])
def test_a_chance_is_from_0_to_1(chance):
    with pytest.raises(ValueError, match="chance must be from 0 to 1"):
        FakeMixpanel().faults.add(Fault.html(), chance=chance)


async def test_faults_add_up(ask, fake, lines):
    fake.faults.add(Fault.error_line(2, "!"))
    fake.faults.add(Fault.terminated_early(5))
    fake.faults.add(Fault.garbage_after(b"junk"))
    reply = await ask(fake, encoding="gzip")
    assert readable(reply.body).split(b"\n") == [*lines[:2], b"!", *lines[2:4], b"terminated early"]
    assert reply.body.endswith(b"junk")
    assert fake.requests[-1].fault == "error_line, terminated_early, garbage_after"


def test_faults_are_values():
    assert Fault.cut(after_bytes=1) == Fault.cut(after_bytes=1) != Fault.cut(after_bytes=2)
    assert len({Fault.reset(), Fault.reset(), Fault.html()}) == 2


def address(fake):
    return fake.url.removeprefix("http://").split(":")


def raw_request(fake, encoding):
    account = fake.project.service_account
    return (
        f"GET /api/2.0/export?project_id=12345&from_date={DAY}&to_date={DAY} HTTP/1.1\r\nHost: x\r\n"
        f"Accept-Encoding: {encoding}\r\nAuthorization: {account.authorization()}\r\nConnection: close\r\n\r\n"
    ).encode()


async def raw_answer(fake, encoding):
    """Return the bytes after the headers, up to the end or the reset; and the headers."""
    reader, writer = await asyncio.open_connection(*address(fake))
    writer.write(raw_request(fake, encoding))
    head = await reader.readuntil(b"\r\n\r\n")
    raw = b""
    try:
        while part := await reader.read(65536):
            raw += part
    except ConnectionResetError:
        pass
    writer.close()
    return raw, head


def dechunked(raw):
    """Decode chunked encoding; the last chunk may be missing."""
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        length = int(size, 16)
        body += raw[:length]
        raw = raw[length + 2 :]
    return body
