"""Ctrl-C, as a script and a notebook meet it."""

from __future__ import annotations

import asyncio
import signal
import sys
import textwrap
from collections import Counter

import pytest
from jupyter_client.manager import start_new_async_kernel

from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents
from tests.system.conftest import expected, journal, stored

FIRST, LAST = "2026-01-01", "2026-01-06"

CODE = """
import asyncio
from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount

async def export(**more):
    account = ServiceAccount({user!r}, {secret!r}, {project!r})
    async with MixpanelClient(account, base_url={url!r}, database={path!r}, limits=RateLimits(1000, 10000)) as client:
        await client.fetch_events(from_date="2026-01-01", to_date="2026-01-06", parallel=True, chunk_days=1,
                                  resume=True, on_batch_complete=lambda news: print("committed", flush=True), **more)
"""


@pytest.fixture
async def server():
    async with FakeMixpanel(GeneratedEvents(per_day=30, seed=3), today="2026-06-01", limits=None) as fake:
        fake.faults.add(Fault.stall(after_bytes=100), date="2026-01-06", times=1)
        yield fake


def code_for(server, path):
    account = server.project.service_account
    return textwrap.dedent(CODE).format(
        user=account.username, secret=account.secret, project=server.project.id, url=server.url, path=str(path)
    )


def check(server, path):
    done = journal(path)
    assert done
    assert stored(path) == sum((expected(server, *row[:2]) for row in done), start=Counter())


async def test_in_a_script_under_asyncio_run(server, path):
    script = code_for(server, path) + "\nasyncio.run(export())\n"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert await process.stdout.readline() == b"committed\n"
    process.send_signal(signal.SIGINT)
    _, told = await process.communicate()

    assert process.returncode != 0
    assert b"KeyboardInterrupt" in told
    check(server, path)
    again = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.DEVNULL)
    assert await again.wait() == 0
    assert stored(path) == expected(server, FIRST, LAST)


@pytest.mark.filterwarnings("ignore")  # of the kernel's own client
async def test_in_a_notebook(server, path):
    manager, client = await start_new_async_kernel(kernel_name="python3")
    try:
        client.execute(code_for(server, path) + "\nawait export()\n")
        await heard(client, "stream")
        await manager.interrupt_kernel()
        assert (await heard(client, "error"))["ename"] in ("KeyboardInterrupt", "CancelledError")
        await heard_idle(client)
        check(server, path)

        client.execute("await export()")  # the same kernel, the same loop
        await heard_idle(client)
        assert stored(path) == expected(server, FIRST, LAST)
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("ignore")  # as above
async def test_an_interrupted_cell_with_a_bar_tells_what_stays(server, path):
    manager, client = await start_new_async_kernel(kernel_name="python3")
    try:
        client.execute(code_for(server, path) + "\nawait export(progress=True)\n")
        while "committed" not in (await heard(client, "stream"))["text"]:
            pass
        await manager.interrupt_kernel()
        told = ""
        while (message := await client.get_iopub_msg(timeout=120))["msg_type"] != "error":
            told += message["content"].get("text", "")
        [line] = [line for line in told.splitlines() if line.startswith("Interrupted: ")]
        await heard_idle(client)
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
    assert line == "Interrupted: committed chunks are kept. Run the cell again, a fetch with resume=True, for the rest."
    check(server, path)


async def heard(client, kind):
    while (message := await client.get_iopub_msg(timeout=120))["msg_type"] != kind:
        pass
    return message["content"]


async def heard_idle(client):
    while (await heard(client, "status"))["execution_state"] != "idle":
        pass
