"""Every hour, as a task in the lifespan of a web app: FastAPI, Starlette, Litestar and Quart take such a function.

    app = FastAPI(lifespan=lifespan)

    python examples/hourly_in_a_web_app.py    # runs it without an app, three times, a second apart

Each hour only the rows are requested that Mixpanel processed since the last hour (`late="merge"`); the first sync of a
day requests whole days, which also brings what a merge cannot see. A failed hour is logged and made up for by the next.
When the app stops, the task is cancelled: whole chunks stay, and the client closes.

Without an account it exports from a fake Mixpanel on this machine. For your own project, set MP_USERNAME, MP_SECRET
and MP_PROJECT_ID (of a service account), and MP_REGION if it is not `us`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from mixpanel_async import MixpanelClient, MixpanelError, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

logger = logging.getLogger(__name__)

TODAY = dt.datetime.now(dt.UTC).date()
FIRST = TODAY - dt.timedelta(days=7)


@asynccontextmanager
async def project() -> AsyncIterator[dict[str, Any]]:
    """Yield the arguments of the client: none for your project, or those for the fake Mixpanel."""
    if "MP_USERNAME" in os.environ:
        yield {}
        return
    async with FakeMixpanel(GeneratedEvents(per_day=500, late=0.05), today=TODAY, limits=None) as fake:
        account = fake.project.service_account
        yield {
            "credentials": ServiceAccount(account.username, account.secret, fake.project.id),
            "base_url": fake.url,
        }


@dataclass
class Syncs:
    """What the app's handlers can show."""

    done: int = 0
    thrice: asyncio.Event = field(default_factory=asyncio.Event)


async def keep_up_to_date(client: MixpanelClient, every: float, syncs: Syncs) -> None:
    """Sync, sleep, and sync again, for ever."""
    replaced_on = None
    while True:
        today = dt.datetime.now(dt.UTC).date()
        try:
            result = await client.sync_events(
                from_date=FIRST, to_date="today", late="merge" if replaced_on == today else "replace"
            )
        except MixpanelError:
            logger.exception("The sync failed; the next one makes up for it.")
        else:
            replaced_on = today
            syncs.done += 1
            if syncs.done == 3:
                syncs.thrice.set()
            print(f"{result.total_rows:,} rows came, {result.failed_batches} chunks failed", flush=True)
        await asyncio.sleep(every)


@asynccontextmanager
async def lifespan(_: object, every: float = 3600) -> AsyncIterator[Syncs]:
    """Run the task while the app runs."""
    syncs = Syncs()
    async with project() as settings, MixpanelClient(**settings, database="hourly.duckdb") as client:
        task = asyncio.create_task(keep_up_to_date(client, every, syncs))
        try:
            yield syncs
        finally:
            task.cancel()
            await asyncio.wait([task])


async def main() -> None:
    """Stand in for an app that runs for three syncs."""
    async with lifespan(None, every=1) as syncs:
        await syncs.thrice.wait()


if __name__ == "__main__":
    asyncio.run(main())
