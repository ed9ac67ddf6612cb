"""Start and close, the request log, speed and memory."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import tracemalloc

import aiohttp
import pytest

import mixpanel_async.testing
from mixpanel_async.testing import FakeClock, FakeMixpanel, Fault, GeneratedEvents

DAY = "2026-02-01"
NIGHTLY = os.environ.get("MIXPANEL_ASYNC_NIGHTLY") == "1"


async def test_close_breaks_off_open_streams_and_leaves_no_task(ask):
    before = asyncio.all_tasks()
    fake = FakeMixpanel(GeneratedEvents(per_day=50_000), bytes_per_second=1000, limits=None)
    await fake.start()
    replies = [asyncio.create_task(ask(fake, encoding=encoding)) for encoding in ("gzip", "identity") * 3]
    await fake.until(lambda: fake.open == 6)
    began = time.monotonic()
    await fake.close()
    await fake.close()
    assert time.monotonic() - began < 0.5
    assert fake.open == 0
    assert all(reply.error for reply in await asyncio.gather(*replies))
    assert not any(record.finished for record in fake.requests)
    assert all(record.ended is not None for record in fake.requests)
    del replies
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_item_74_refused_while_closed_and_back_at_the_same_url(ask):
    fake = FakeMixpanel(GeneratedEvents(per_day=100))
    async with fake:
        assert (await ask(fake)).status == 200
        url = fake.url
    assert isinstance((await ask(fake)).error, aiohttp.ClientConnectorError)
    async with fake:
        assert fake.url == url
        assert len((await ask(fake)).lines) == 100


async def test_a_port_in_use(session):
    async with FakeMixpanel() as fake:
        other = FakeMixpanel(port=int(fake.url.rpartition(":")[2]))
        with pytest.raises(OSError, match="in use"):
            await other.start()


async def test_a_long_search_for_nothing_ends_when_the_client_leaves_or_the_server_closes(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=50_000_000)) as fake:
        asking = asyncio.create_task(ask(fake, event='["no such"]', encoding="gzip"))
        await fake.until(lambda: fake.open == 1)
        await asyncio.sleep(0.05)
        asking.cancel()
        async with asyncio.timeout(1):
            await fake.until(lambda: fake.open == 0)
        asking = asyncio.create_task(ask(fake, event='["no such"]'))
        await fake.until(lambda: fake.open == 1)
        await asyncio.sleep(0.05)
        began = time.monotonic()
    assert time.monotonic() - began < 1
    assert (await asking).error is not None


async def test_a_client_that_leaves_frees_its_slot_at_once(session):
    async with FakeMixpanel(GeneratedEvents(per_day=100_000), limits=None) as fake:
        params = {"project_id": "12345", "from_date": DAY, "to_date": DAY}
        headers = {"Authorization": fake.project.service_account.authorization()}
        response = await session.get(f"{fake.url}/api/2.0/export", params=params, headers=headers)
        await response.content.readany()
        assert fake.open == 1
        response.close()
        async with asyncio.timeout(1):
            await fake.until(lambda: fake.open == 0)
        assert fake.requests[0].status == 200
        assert not fake.requests[0].finished
        assert 0 < fake.requests[0].bytes_sent < 100_000_000


@pytest.mark.parametrize("fault", [Fault.first_byte_delay(3600), Fault.stall(after_bytes=10), Fault.slow_drip(1)])
async def test_a_client_that_leaves_while_nothing_comes_frees_its_slot(ask, fault):
    async with FakeMixpanel(GeneratedEvents(per_day=100)) as fake:
        fake.faults.add(fault)
        asking = asyncio.create_task(ask(fake))
        await fake.until(lambda: fake.open == 1)
        asking.cancel()
        async with asyncio.timeout(1):
            await fake.until(lambda: fake.open == 0)


async def test_latency_and_most_open_at_once(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=100), latency=0.2, limits=None) as fake:
        began = time.monotonic()
        replies = await asyncio.gather(*(ask(fake, f"2026-01-0{day}") for day in range(1, 9)))
        assert 0.2 <= time.monotonic() - began < 1.2
        assert fake.max_open == 8
        assert fake.open == 0
    assert all(len(reply.lines) == 100 for reply in replies)


async def test_pace_is_kept(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=200), bytes_per_second=500_000) as fake:
        began = time.monotonic()
        reply = await ask(fake)
        took = time.monotonic() - began
    assert took >= len(reply.body) / 500_000 * 0.9


async def test_log_of_requests(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=100)) as fake:
        fake.faults.add(Fault.status(503), attempts=[1])
        await ask(fake, event='["Page View"]')
        reply = await ask(fake, DAY, DAY)
        await ask(fake, path="/other")
    first, second, other = fake.requests
    assert (first.method, first.path, first.status, first.attempt) == ("GET", "/api/2.0/export", 503, 1)
    assert (first.from_date, first.to_date, first.params["event"]) == (DAY, DAY, '["Page View"]')
    assert (first.fault, second.fault) == ("status 503", None)
    assert (second.status, second.attempt, second.bytes_sent) == (200, 2, len(reply.body))
    assert second.finished
    assert second.ended is not None
    assert first.started <= second.started <= second.ended
    assert second.headers["authorization"] == "Basic ***"
    secret = fake.project.service_account.authorization().split()[1]
    assert secret not in repr(fake.requests)
    assert (other.path, other.status) == ("/other", 404)


async def test_truth_is_what_is_sent(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=600)) as fake:
        reply = await ask(fake, DAY, "2026-02-03", encoding="gzip")
        assert reply.lines == list(fake.truth_lines(DAY, "2026-02-03"))
        assert reply.events == list(fake.truth(DAY, "2026-02-03"))


async def test_old_clients_without_chunks():
    async with FakeMixpanel(GeneratedEvents(per_day=20)) as fake:
        reader, writer = await asyncio.open_connection(*fake.url.removeprefix("http://").split(":"))
        value = fake.project.service_account.authorization()
        path = f"/api/2.0/export?project_id=12345&from_date={DAY}&to_date={DAY}"
        writer.write(f"GET {path} HTTP/1.0\r\nAuthorization: {value}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert b"chunked" not in head.lower()
        assert body.split(b"\n")[:-1] == list(fake.truth_lines(DAY, DAY))


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b""])
async def test_bad_requests_do_no_harm(ask, junk):
    async with FakeMixpanel() as fake:
        _, writer = await asyncio.open_connection(*fake.url.removeprefix("http://").split(":"))
        writer.write(junk)
        await writer.drain()
        writer.close()
        assert (await ask(fake)).status == 200


async def test_long_queries_are_taken(ask):
    async with FakeMixpanel() as fake:
        assert (await ask(fake, event='["' + "x" * 100_000 + '"]')).status == 200


async def test_connections_are_kept_alive(session, ask):
    async with FakeMixpanel(GeneratedEvents(per_day=50)) as fake:
        await ask(fake)
        await ask(fake, encoding="gzip")
        assert isinstance(session.connector, aiohttp.TCPConnector)
        assert sum(len(connections) for connections in session.connector._conns.values()) == 1


async def test_item_77_memory_does_not_grow_with_a_day(session):
    per_day = 300_000 if NIGHTLY else 50_000  # some 300 MB or 50 MB
    async with FakeMixpanel(GeneratedEvents(per_day=per_day)) as fake:
        params = {"project_id": "12345", "from_date": DAY, "to_date": DAY}
        headers = {"Authorization": fake.project.service_account.authorization(), "Accept-Encoding": "identity"}
        lines = 0
        tracemalloc.start()
        try:
            async with session.get(f"{fake.url}/api/2.0/export", params=params, headers=headers) as response:
                async for part in response.content.iter_any():
                    lines += part.count(b"\n")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert lines == per_day
    assert peak < 16_000_000


async def test_a_client_that_fills_the_loops_threads_still_gets_its_bytes(ask):
    free = threading.Event()
    async with FakeMixpanel(GeneratedEvents(per_day=600)) as fake:
        blocked = [asyncio.create_task(asyncio.to_thread(free.wait)) for _ in range(40)]
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert len((await ask(fake)).lines) == 600
        free.set()
        await asyncio.gather(*blocked)


async def test_no_thread_outlives_the_server(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=600)) as fake:
        await ask(fake)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fake-mixpanel")]


class Watched:
    """A source that notes on which threads its lines are made."""

    def __init__(self, source):
        self.source, self.threads = source, set()

    def pieces(self, day, **given):
        for piece in self.source.pieces(day, **given):
            self.threads.add(threading.get_ident())
            yield piece


async def test_bodies_are_made_on_threads(ask):
    """So the event loop stays free."""
    source = Watched(GeneratedEvents(per_day=6_000))
    async with FakeMixpanel(source) as fake:
        await ask(fake, encoding="gzip")
    assert source.threads
    assert threading.get_ident() not in source.threads


def test_clock():
    clock = FakeClock("2026-02-10")
    assert clock.now.isoformat() == "2026-02-10T12:00:00+00:00"
    began = clock.monotonic()
    clock.advance(3600)
    assert clock.now.hour == 13
    assert clock.monotonic() - began >= 3600
    clock.now = "2026-02-10T05:00:00+02:00"
    assert clock.now.isoformat() == "2026-02-10T03:00:00+00:00"
    assert clock.monotonic() - began >= 3600
    with pytest.raises(ValueError, match="forward only"):
        clock.advance(-1)


def test_today_or_clock():
    with pytest.raises(ValueError, match="today or clock"):
        FakeMixpanel(today="2026-02-10", clock=FakeClock())


def test_every_public_name_is_there_and_explained():
    for name in mixpanel_async.testing.__all__:
        assert getattr(mixpanel_async.testing, name).__doc__
        assert name in (mixpanel_async.testing.__doc__ or "") or name in {"FaultPlan", "PlannedFault"}
