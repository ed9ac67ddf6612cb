"""The fake Mixpanel of the pictures: a slow one, in which a request breaks off and the first day is refused."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GeneratedProfiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def environment() -> AsyncIterator[dict[str, str]]:
    """Start it, and yield the environment of a process that uses it."""
    events, profiles = GeneratedEvents(per_day=300), GeneratedProfiles(count=10_000)
    async with FakeMixpanel(events, profiles=profiles, today="2026-04-01", limits=None, latency=0.3) as fake:
        fake.faults.add(Fault.cut(after_fraction=0.5), date="2026-01-05", times=1)
        fake.faults.add(Fault.status(400, "date range exceeds 90 days"), date="2026-01-01")
        account = fake.project.service_account
        yield {
            **{name: value for name, value in os.environ.items() if not name.startswith("MP_")},
            "MP_USERNAME": account.username,
            "MP_SECRET": account.secret,
            "MP_PROJECT_ID": str(fake.project.id),
            "MP_BASE_URL": fake.url,
        }
