"""A fetch that reports on itself: a coroutine function is awaited after each chunk.

    python examples/async_hook.py

Without an account it exports from a fake Mixpanel on this machine. For a project of yours set MP_USERNAME, MP_SECRET
and MP_PROJECT_ID (a service account's), and MP_REGION where it is not `us`. The events go into events.duckdb; run it
again tomorrow, and only the days that are new are asked for.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import duckdb

from mixpanel_async import BatchProgress, MixpanelClient, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

TODAY = dt.datetime.now(dt.UTC).date()


@asynccontextmanager
async def project() -> AsyncIterator[dict[str, Any]]:
    """Say what a client needs to know: nothing for your project, or where the fake one is."""
    if "MP_USERNAME" in os.environ:
        yield {}
        return
    async with FakeMixpanel(GeneratedEvents(per_day=500), today=TODAY, limits=None) as fake:
        account = fake.project.service_account
        yield {
            "credentials": ServiceAccount(account.username, account.secret, fake.project.id),
            "base_url": fake.url,
        }


async def report(done: BatchProgress) -> None:
    """Tell of one chunk. A hook may await what it likes: it holds neither downloads nor writes back."""
    await asyncio.sleep(0.05)  # here a message to a chat, a row in a log, ...
    what = f"{done.rows:,} rows" if done.success else f"failed: {done.error}"
    print(f"[{done.batch_index + 1}/{done.total_batches}] {done.from_date} to {done.to_date}: {what}")


async def main() -> None:
    """Fetch the last four weeks, then count."""
    async with project() as settings, MixpanelClient(**settings, database="events.duckdb") as client:
        result = await client.fetch_events(
            from_date=TODAY - dt.timedelta(weeks=4),
            to_date=TODAY - dt.timedelta(days=1),
            parallel=True,
            resume=True,
            on_batch_complete=report,
        )
    print(f"{result.total_rows:,} rows in {result.duration_seconds:.1f} s; failed: {result.failed_date_ranges}")
    with duckdb.connect("events.duckdb") as connection:
        print(
            connection.sql(
                "SELECT event_name, count(*) AS events FROM events GROUP BY ALL ORDER BY events DESC LIMIT 5"
            )
        )


if __name__ == "__main__":
    asyncio.run(main())
