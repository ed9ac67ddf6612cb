"""Peak memory of a client process against the length of the range: `python benchmarks/memory.py [DAYS ...]`.

FakeMixpanel runs here, the client in a process of its own, whose peak the operating system counts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

PER_DAY = 10_000
FIRST = "2026-01-01"

CLIENT = """
import asyncio, json, resource, sys
from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount
async def main(url, user, secret, project, first, last, path):
    account = ServiceAccount(user, secret, project)
    async with MixpanelClient(account, base_url=url, database=path, limits=RateLimits(1000, 100_000)) as client:
        result = await client.fetch_events(from_date=first, to_date=last, parallel=True, chunk_days=1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    print(json.dumps({"rows": result.total_rows, "seconds": result.duration_seconds, "peak_mb": peak}))
asyncio.run(main(*sys.argv[1:]))
"""


async def measure(days: int, per_day: int = PER_DAY) -> dict[str, float]:
    """Rows, seconds and peak MB of one export of so many days."""
    last = f"2026-{1 + (days - 1) // 28:02}-{1 + (days - 1) % 28:02}"
    events = GeneratedEvents(per_day=lambda day: per_day if day.day <= 28 else 0, seed=1)
    async with FakeMixpanel(events, today="2027-01-01", limits=None) as fake:
        account = fake.project.service_account
        with tempfile.TemporaryDirectory() as directory:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CLIENT,
                fake.url, account.username, account.secret, str(fake.project.id), FIRST, last,
                str(Path(directory) / "events.duckdb"),
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, _ = await process.communicate()
    return dict(json.loads(out))


async def main() -> None:
    """Print a line a range."""
    for days in map(int, sys.argv[1:] or ["30", "100"]):
        print(days, "days:", await measure(days))


if __name__ == "__main__":
    asyncio.run(main())
