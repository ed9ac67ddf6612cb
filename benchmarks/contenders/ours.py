"""mixpanel_async, as a user would call it, with a ticker beside it that tells how late the event loop is."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks.task import Task, given, tell
from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TICK = 0.005
UNLIMITED = RateLimits(per_second=100_000, per_hour=1_000_000, concurrent=1000)


async def export(task: Task) -> None:
    """Export, and tell."""
    account = ServiceAccount(task.username, task.secret, task.project_id)
    async with ticker() as late:
        began = time.perf_counter()
        async with MixpanelClient(account, base_url=task.url, database=task.database, limits=UNLIMITED) as client:
            await client.fetch_events(
                from_date=task.from_date,
                to_date=task.to_date,
                parallel=True,
                chunk_days=1,
                max_workers=task.workers,
            )
        seconds = time.perf_counter() - began
    tell(seconds=seconds, **lags(late))


def lags(late: list[float]) -> dict[str, float]:
    """Name what a ticker noted, as figures."""
    late = sorted(late)
    return {"lag_p99_ms": 1000 * late[len(late) * 99 // 100], "lag_max_ms": 1000 * late[-1]}


@asynccontextmanager
async def ticker() -> AsyncIterator[list[float]]:
    """Wake every 5 ms, and note the seconds by which it was late."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + TICK
            await asyncio.sleep(TICK)
            late.append(time.perf_counter() - due)

    ticking = asyncio.create_task(tick())
    try:
        yield late
    finally:
        ticking.cancel()


if __name__ == "__main__":
    asyncio.run(export(given()))
