"""A fetch that reports its progress: the client awaits a coroutine function after each chunk.

    python examples/async_hook.py

Without an account it exports from a fake Mixpanel on this machine. For your own project, set MP_USERNAME, MP_SECRET
and MP_PROJECT_ID (of a service account), and MP_REGION if it is not `us`. The events go into events.duckdb. If you run
it again tomorrow, it requests only the new days.
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
    """Yield the arguments of the client: none for your project, or those for the fake Mixpanel."""
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
    """Report one chunk. A hook may await anything: it does not slow down downloads or writes."""
    await asyncio.sleep(0.05)  # for example, send a message to a chat or write to a log
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
