"""A stream's memory does not grow with its range, nor with the size of a chunk."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from mixpanel_async.testing import FakeMixpanel, GeneratedEvents
from tests.slices import whole

DAYS = whole(24, 12)

CLIENT = """
import asyncio, json, resource, sys
from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount
from mixpanel_async.export import spool
async def main(url, user, secret, project, last, chunk_days, room):
    spool.MemoryBudget.__init__.__defaults__ = (int(room),)
    account, rows = ServiceAccount(user, secret, project), 0
    async with MixpanelClient(account, base_url=url, limits=RateLimits(1000, 100_000)) as client:
        options = {"from_date": "2026-01-01", "to_date": last, "chunk_days": int(chunk_days)}
        async for event in client.stream_events(**options, parallel=True, max_workers=2):
            rows += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    print(json.dumps([rows, peak]))
asyncio.run(main(*sys.argv[1:]))
"""


async def peak(fake, days, chunk_days, room=1 << 20):
    """Peak MB of a process that streams so many days."""
    account = fake.project.service_account
    arguments = fake.url, account.username, account.secret, fake.project.id, f"2026-01-{days:02}", chunk_days, room
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, *map(str, arguments), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    rows, megabytes = json.loads(out)
    assert rows == days * 3000
    return megabytes


@pytest.mark.parametrize("chunk_days", [2, DAYS])
async def test_memory_is_flat(chunk_days):
    events = GeneratedEvents(per_day=3000, seed=1)
    async with FakeMixpanel(events, today="2026-06-01", limits=None, cache=True) as fake:
        few, many = await peak(fake, 2, chunk_days), await peak(fake, DAYS, chunk_days)
    assert many - few < 20  # of 24 days the events are 72 MB of text, and some 400 MB of objects
