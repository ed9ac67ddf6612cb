"""mixpanel_async, as a user would call it, with a ticker in the same event loop that measures its lag.

Python's garbage collector sometimes visits all imported objects, and the event loop waits. Its longest pause is printed
beside the lag, because it is a part of the lag that no library can avoid.
"""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.task import Task, given, tell
from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TICK = 0.005
UNLIMITED = RateLimits(per_second=100_000, per_hour=1_000_000, concurrent=1000)


@dataclass(frozen=True, slots=True)
class Waits:
    """How long the event loop was blocked, in seconds."""

    late: list[float] = field(default_factory=list)
    """How late the ticker woke up, each time."""
    collections: list[float] = field(default_factory=list)
    """How long the garbage collector took, each time."""

    def figures(self) -> dict[str, float]:
        """Return them as figures of a contender."""
        late = sorted(self.late)
        return {
            "lag_p99_ms": 1000 * late[len(late) * 99 // 100],
            "lag_max_ms": 1000 * late[-1],
            "collector_max_ms": 1000 * max(self.collections, default=0.0),
        }


async def export(task: Task) -> None:
    """Export the events, and print the figures."""
    account = ServiceAccount(task.username, task.secret, task.project_id)
    async with ticker() as waits:
        began = time.perf_counter()
        async with MixpanelClient(account, base_url=task.url, database=task.database, limits=UNLIMITED) as client:
            await client.fetch_events(
                from_date=task.from_date,
                to_date=task.to_date,
                parallel=True,
                max_workers=task.workers,
                **task.options,
            )
        seconds = time.perf_counter() - began
    tell(seconds=seconds, **waits.figures())


@asynccontextmanager
async def ticker() -> AsyncIterator[Waits]:
    """Wake up every 5 ms, and record how late that was."""
    waits = Waits()

    async def tick() -> None:
        while True:
            due = time.perf_counter() + TICK
            await asyncio.sleep(TICK)
            waits.late.append(time.perf_counter() - due)

    with noted(waits.collections):
        ticking = asyncio.create_task(tick())
        try:
            yield waits
        finally:
            ticking.cancel()


@contextmanager
def noted(collections: list[float]) -> Iterator[None]:
    """Record how long each collection takes."""
    began = 0.0

    def note(phase: str, _: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        else:
            collections.append(time.perf_counter() - began)

    gc.callbacks.append(note)
    try:
        yield
    finally:
        gc.callbacks.remove(note)


if __name__ == "__main__":
    asyncio.run(export(given()))
