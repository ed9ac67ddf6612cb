"""How a client and a caller's session begin and end: entered, closed, closed too early, never closed."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import warnings

import aiohttp
import pytest

from mixpanel_async import ConfigurationError, MixpanelClient
from mixpanel_async.api import transport
from mixpanel_async.testing import Fault
from tests.test_secrets import ACCOUNT, server, shows  # noqa: F401 - a fixture

FIRST, LAST = "2026-01-01", "2026-01-12"
DAYS = {"from_date": FIRST, "to_date": LAST, "chunk_days": 2}


def test_a_plain_with_says_what_to_use():
    with pytest.raises(TypeError, match=r"`async with MixpanelClient\(\.\.\.\) as client`"), MixpanelClient(ACCOUNT):
        pass


async def test_a_client_is_entered_once(fake, client_of):
    client = client_of(fake)
    async with client:
        with pytest.raises(RuntimeError, match="in an `async with` already"):
            await client.__aenter__()
        await client.fetch_events(**DAYS)  # the failed one closed nothing
    with pytest.raises(RuntimeError, match="This client is closed: make a new one"):
        await client.__aenter__()


async def test_nothing_works_after_close_and_close_works_twice(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_events(**DAYS)
    requests = len(fake.requests)
    await asyncio.gather(client.close(), client.close())
    await client.close()

    for call in (
        client.fetch_events("again", **DAYS),
        client.fetch_profiles(),
        client.lookups.cohorts(),
        anext(client.stream_events(**DAYS)),
        anext(client.stream_batches(**DAYS)),
        anext(client.stream_profiles()),
    ):
        with pytest.raises(RuntimeError, match="This client is closed: make a new one"):
            await call
    assert len(fake.requests) == requests


@pytest.mark.parametrize("days", [2, 30], ids=["in the middle", "in the last chunk"])
@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("verb", ["stream_events", "stream_batches"])
async def test_a_stream_whose_client_is_closed_says_so(fake, client_of, monkeypatch, days, parallel, verb):
    monkeypatch.setattr("mixpanel_async.decode.proven_blocks.SMALL_BLOCK", 1000)
    monkeypatch.setattr("mixpanel_async.decode.record_batches.BATCH_SIZE", 1000)
    client, count = client_of(fake), 0
    with pytest.raises(RuntimeError, match=r"client (is|was) closed"):
        async for _ in getattr(client, verb)(**{**DAYS, "chunk_days": days}, parallel=parallel):
            count += 1
            await client.close()
    assert count > 0


async def test_a_stream_of_profiles_whose_client_is_closed_says_so(fake, client_of):
    fake.profiles = [{"$distinct_id": f"{number:04}", "$properties": {}} for number in range(900)]
    client, count = client_of(fake), 0
    with pytest.raises(RuntimeError, match=r"client (is|was) closed"):
        async for _ in client.stream_profiles():
            count += 1
            await client.close()
    assert 0 < count < 900


async def test_close_in_another_event_loop(fake, client_of):
    client = client_of(fake)
    await client.fetch_events(**DAYS)
    with pytest.raises(RuntimeError, match="belongs to another event loop"):
        await asyncio.to_thread(asyncio.run, client.close())
    await client.fetch_events("again", **DAYS)


async def test_a_client_is_closed_after_its_loop(fake, client_of):
    client = client_of(fake)

    def two_loops():
        asyncio.run(client.fetch_events(**DAYS))
        asyncio.run(client.close())

    await asyncio.to_thread(two_loops)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # asyncio's own warning: a connection was open when its loop was closed


# A client that nobody closes

FORGET = """
import asyncio, gc
from mixpanel_async import MixpanelClient, ServiceAccount
from mixpanel_async.testing import FakeMixpanel

account = ServiceAccount("user", "hunter2hunter2hunter2", 12345)
client = None

async def use(url, day="2026-01-01"):
    global client
    client = MixpanelClient(account, base_url=url, database=":memory:")
    client.cycle = [client]
    return await client.fetch_events(from_date=day, to_date=day)
"""
ENDS = {
    "garbage": """
        async def main(url):
            global client
            await use(url)
            client = None
            gc.collect()
            await asyncio.sleep(0)
        asyncio.run(main(URL))
    """,
    "garbage in another thread": """
        async def main(url):
            global client
            await use(url)
            client = None
            await asyncio.to_thread(gc.collect)
        asyncio.run(main(URL))
    """,
    "garbage after its loop": """
        asyncio.run(use(URL))
        client = None
        gc.collect()
    """,
    "garbage of a loop that stands still": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use(URL))
        client = None
        gc.collect()
        loop.close()
    """,
    "garbage of a loop that stands still, while another runs": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use(URL))
        async def main():
            global client
            client = None
            gc.collect()
        asyncio.run(main())
        loop.close()
    """,
    "a stream that is left": """
        async def main(url):
            client = MixpanelClient(account, base_url=url, database=":memory:")
            async for _ in client.stream_events(from_date="2026-01-01", to_date="2026-01-20", parallel=True, chunk_days=1):
                break
        asyncio.run(main(URL))
    """,
    "a call that runs": """
        async def main(url):
            task = asyncio.create_task(use(url, "2026-02-01"))
            await asyncio.sleep(0.1)
        asyncio.run(main(URL))
        client = None
        gc.collect()
    """,
    "the process's end": """
        asyncio.run(use(URL))
    """,
}


async def test_clients_that_nobody_closed_warn_once_each_in_our_words(server):  # noqa: F811
    server.faults.add(Fault.first_byte_delay(60), date="2026-02-01")
    script = "".join([FORGET, f"URL = {server.url!r}\n", *map(textwrap.dedent, ENDS.values())])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "dev", "-W", "always::ResourceWarning", "-c", script,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    shown = (await process.communicate())[0].decode()

    ours = "A MixpanelClient was not closed: use `async with MixpanelClient(...)`, or `await client.close()`."
    assert shown.count(ours) == len(ENDS), shown
    for noise in (
        "Unclosed",
        "Task was destroyed",
        "Authorization",
        "Traceback",
        "never awaited",
        "DeprecationWarning",
    ):
        assert noise not in shown, shown
    assert shows(shown) == []


async def test_a_client_that_was_never_used_needs_no_close(recwarn):
    gc.collect()
    recwarn.clear()
    MixpanelClient(ACCOUNT)
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


# A caller's session

CLOSED = r"^The session passed as session= is closed: keep it open for as long as the client is used\.$"


async def test_a_session_that_is_closed_is_refused(fake, client_of, path):
    async with aiohttp.ClientSession() as session:
        client = client_of(fake, session=session)
    with pytest.raises(ConfigurationError, match=CLOSED):
        client_of(fake, session=session)
    for call in (
        client.fetch_events(**DAYS, parallel=True),
        client.fetch_profiles(),
        client.lookups.cohorts(),
        anext(client.stream_events(**DAYS)),
        anext(client.stream_profiles()),
    ):
        with pytest.raises(ConfigurationError, match=CLOSED):
            await call
    assert fake.requests == []


@pytest.mark.parametrize("fault", [Fault.first_byte_delay(60), Fault.stall(after_bytes=100)], ids=["headers", "body"])
@pytest.mark.parametrize("call", ["events", "profiles", "stream"])
async def test_a_session_that_is_closed_in_the_middle_ends_the_call(fake, client_of, monkeypatch, fault, call):
    monkeypatch.setattr(transport, "LOOK_AT_SESSION", 0.05)
    fake.profiles = [{"$distinct_id": "a", "$properties": {"much": "x" * 1000}}]
    fake.faults.add(fault)
    fake.faults.add(fault, endpoint="engage")
    session = aiohttp.ClientSession()
    client = client_of(fake, session=session)
    work = {
        "events": lambda: client.fetch_events(**DAYS, parallel=True),
        "profiles": client.fetch_profiles,
        "stream": lambda: anext(client.stream_events(**DAYS)),
    }[call]
    task = asyncio.ensure_future(work())
    await fake.until(lambda: fake.open + fake.open_queries > 0)
    await asyncio.sleep(0.05)  # the response's first bytes
    requests = len(fake.requests)
    await session.close()
    with pytest.raises(ConfigurationError, match=CLOSED):
        await task
    assert len(fake.requests) == requests


async def test_a_session_with_credentials_of_its_own_is_refused():
    with warnings.catch_warnings(action="ignore"):  # newer releases of aiohttp deprecate it
        session = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "pass"))
    async with session:
        with pytest.raises(ConfigurationError, match=r"credentials of its own \(auth=\): pass one without"):
            MixpanelClient(ACCOUNT, session=session)


async def test_a_session_of_another_event_loop_is_refused(fake, client_of):
    async def make():
        return aiohttp.ClientSession()

    session = await asyncio.to_thread(asyncio.run, make())
    client = client_of(fake, session=session)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="another event loop"):
            await client.fetch_events(**DAYS)
    await session.close()
