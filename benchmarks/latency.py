"""Workers against a slow server: `python benchmarks/latency.py [WORKERS ...]`.

30 chunks of a day, 1 s to the first byte.
Rounds alternate between the numbers of workers; the ratio is best against best.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

ROUNDS = 3
LATENCY = 1.0


async def measure(fake: FakeMixpanel, workers: int) -> float:
    """Seconds of one export."""
    account = ServiceAccount(*_names(fake), fake.project.id)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "events.duckdb"
        limits = RateLimits(1000, 100_000)
        async with MixpanelClient(account, base_url=fake.url, database=path, limits=limits) as client:
            result = await client.fetch_events(
                from_date="2026-01-01", to_date="2026-01-30", parallel=True, chunk_days=1, max_workers=workers
            )
    return result.duration_seconds


def _names(fake: FakeMixpanel) -> tuple[str, str]:
    account = fake.project.service_account
    return account.username, account.secret


async def main() -> None:
    """Print each round, then the ratios to the first."""
    counts = [int(word) for word in sys.argv[1:]] or [1, 10]
    best: dict[int, float] = {}
    events = GeneratedEvents(per_day=1000, seed=1)
    async with FakeMixpanel(events, today="2026-06-01", limits=None, latency=LATENCY, cache=True) as fake:
        for _ in range(ROUNDS):
            for workers in counts:
                seconds = await measure(fake, workers)
                best[workers] = min(seconds, best.get(workers, seconds))
                print(f"{workers} workers: {seconds:.2f} s", flush=True)
    for workers in counts:
        print(f"{workers} workers: best {best[workers]:.2f} s, {best[counts[0]] / best[workers]:.2f} times the first")


if __name__ == "__main__":
    asyncio.run(main())
