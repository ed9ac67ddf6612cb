"""The streams of mixpanel_async, in a loop that counts the events, with a ticker in the same event loop."""

from __future__ import annotations

import asyncio
import time
from importlib import import_module

from benchmarks.contenders.ours import UNLIMITED, ticker
from benchmarks.task import Task, given, tell
from mixpanel_async import MixpanelClient, ServiceAccount


async def stream(task: Task) -> None:
    """Read all events, and print the figures."""
    account, rows = ServiceAccount(task.username, task.secret, task.project_id), 0
    options = {"from_date": task.from_date, "to_date": task.to_date, "chunk_days": 1, **task.options}
    if batches := options.pop("batches", False):
        import_module("pyarrow").array([0])  # imports are not measured; the first array imports pandas
    async with ticker() as waits:
        began = time.perf_counter()
        async with MixpanelClient(account, base_url=task.url, limits=UNLIMITED) as client:
            if batches:
                async for batch in client.stream_batches(**options):
                    rows += batch.num_rows
            else:
                async for _ in client.stream_events(**options):
                    rows += 1
        seconds = time.perf_counter() - began
    tell(seconds=seconds, rows=rows, **waits.figures())


if __name__ == "__main__":
    asyncio.run(stream(given()))
