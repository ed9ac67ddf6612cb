"""An application that exports two projects at the same time, each into its own database.

    python examples/two_projects.py

A client has one project, one rate limit and one database, so two projects need two clients. A task group waits for
both. If one raises, the other is cancelled, and keeps the chunks that it has committed.

Without an account, both projects are on a fake Mixpanel on this machine. For two of your own projects that the same
service account can access, set MP_USERNAME, MP_SECRET, MP_PROJECT_ID and MP_OTHER_PROJECT_ID, and MP_REGION if it is
not `us`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mixpanel_async import MixpanelClient, ParallelFetchResult, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, Project

TODAY = dt.datetime.now(dt.UTC).date()


@asynccontextmanager
async def projects() -> AsyncIterator[tuple[list[ServiceAccount], str | None]]:
    """Yield an account for each project, and the base URL, which is `None` for Mixpanel itself."""
    if "MP_USERNAME" in os.environ:
        ids = [os.environ["MP_PROJECT_ID"], os.environ["MP_OTHER_PROJECT_ID"]]
        yield (
            [ServiceAccount(os.environ["MP_USERNAME"], os.environ["MP_SECRET"], number) for number in ids],
            os.environ.get("MP_BASE_URL"),
        )
        return
    fakes = [Project(id=1001), Project(id=1002)]
    async with FakeMixpanel(GeneratedEvents(per_day=500), today=TODAY, projects=fakes, limits=None) as fake:
        account = fake.project.service_account
        yield [ServiceAccount(account.username, account.secret, project.id) for project in fakes], fake.url


async def export(account: ServiceAccount, base_url: str | None) -> ParallelFetchResult:
    """Export the last two weeks of one project; days that the table already holds are not requested again."""
    database, region = f"project_{account.project_id}.duckdb", os.environ.get("MP_REGION", "us")
    async with MixpanelClient(account, database=database, region=region, base_url=base_url) as client:
        return await client.fetch_events(
            from_date=TODAY - dt.timedelta(weeks=2),
            to_date=TODAY - dt.timedelta(days=1),
            parallel=True,
            resume=True,
        )


async def main() -> None:
    """Export both projects, then print the results."""
    async with projects() as (accounts, base_url), asyncio.TaskGroup() as group:
        exports = [group.create_task(export(account, base_url)) for account in accounts]
    for account, task in zip(accounts, exports, strict=True):
        result = task.result()
        print(f"project {account.project_id}: {result.total_rows:,} rows, failed: {result.failed_date_ranges}")


if __name__ == "__main__":
    asyncio.run(main())
