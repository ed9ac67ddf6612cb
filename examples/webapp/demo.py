"""The project of an app without an account: a slow fake Mixpanel on this machine that first refuses some dates."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mixpanel_async import RetryPolicy, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents

ATTEMPTS = 2


@asynccontextmanager
async def project() -> AsyncIterator[dict[str, Any]]:
    """Yield the arguments of the client: none with an account in the environment, or those for the fake."""
    if "MP_USERNAME" in os.environ:
        yield {}
        return
    today = dt.datetime.now(dt.UTC).date()
    events = GeneratedEvents(per_day=lambda day: (400 if day.weekday() > 4 else 900) + day.toordinal() * 37 % 200)
    async with FakeMixpanel(events, today=today, limits=None, latency=1.0, bytes_per_second=100_000) as fake:
        refused = today - dt.timedelta(days=10)
        fake.faults.add(Fault.status(503, "try again later"), date=refused.isoformat(), times=ATTEMPTS)
        account = fake.project.service_account
        yield {
            "credentials": ServiceAccount(account.username, account.secret, fake.project.id),
            "base_url": fake.url,
            "retry": RetryPolicy(attempts=ATTEMPTS, wait_initial=0.5),
        }
