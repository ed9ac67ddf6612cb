"""Every night: bring events and profiles of a project up to date, and say what failed.

    python examples/nightly/nightly.py --from 2026-01-01 --database mixpanel.duckdb

Run it under cron or systemd; README.md beside this file has both. It needs no memory of its own: the tables know what
they hold. A night that was missed, a day that failed and a run that was killed are made up for by the next run. The
exit code is 1 if a chunk or a page failed, so that cron or systemd report it.

Set MP_USERNAME, MP_SECRET and MP_PROJECT_ID (of a service account), and MP_REGION if it is not `us`. Without an
account, try it with `--fake`: it then exports from a fake Mixpanel on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mixpanel_async import MixpanelClient, MixpanelError, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, GeneratedProfiles

TODAY = dt.datetime.now(dt.UTC).date()


@asynccontextmanager
async def project(*, fake: bool) -> AsyncIterator[dict[str, Any]]:
    """Yield the arguments of the client: none for your project, or those for the fake Mixpanel."""
    if not fake:
        yield {}
        return
    events = GeneratedEvents(per_day=200, late=0.05)
    async with FakeMixpanel(events, profiles=GeneratedProfiles(count=500), today=TODAY, limits=None) as server:
        account = server.project.service_account
        yield {
            "credentials": ServiceAccount(account.username, account.secret, server.project.id),
            "base_url": server.url,
        }


async def sync(first: str, database: str, *, fake: bool) -> bool:
    """Sync both tables; return whether all of it came."""
    async with project(fake=fake) as settings, MixpanelClient(**settings, database=database) as client:
        events = await client.sync_events(from_date=first)
        print(f"events: {events.total_rows:,} rows in {events.successful_batches} chunks")
        for failure in events.failures:
            print(f"  {failure.from_date} to {failure.to_date} failed: {failure.error}")
        profiles = await client.sync_profiles()
        print(f"profiles: {profiles.total_rows:,} rows in {profiles.successful_pages} pages")
    return not (events.has_failures or profiles.has_failures)


def main() -> int:
    """Run, and return the exit code."""
    parser = argparse.ArgumentParser(description="Bring the tables of a project up to date.")
    parser.add_argument("--from", dest="first", default=(TODAY - dt.timedelta(days=30)).isoformat())
    parser.add_argument("--database", default="mixpanel.duckdb")
    parser.add_argument("--fake", action="store_true", help="export from a fake Mixpanel on this machine")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        return 0 if asyncio.run(sync(arguments.first, arguments.database, fake=arguments.fake)) else 1
    except MixpanelError as error:
        print(f"The sync failed: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
