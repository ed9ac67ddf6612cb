"""A test of your own code with a fake Mixpanel: the fixture `fake_mixpanel` comes with the library.

    pytest examples/test_your_export.py

`export` stands for your code. The fake server runs in its own thread, so your code may block or be async, and it need
not use this library.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from mixpanel_async import MixpanelClient, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, Fault


def export(account: ServiceAccount, base_url: str, database: Path) -> int:
    """Export a week; return the number of rows."""

    async def week() -> int:
        async with MixpanelClient(account, base_url=base_url, database=database) as client:
            return (await client.fetch_events(from_date="2026-01-01", to_date="2026-01-07")).rows

    return asyncio.run(week())


def test_a_week_is_complete_although_the_first_response_is_cut(fake_mixpanel: FakeMixpanel, tmp_path: Path) -> None:
    fake_mixpanel.faults.add(Fault.cut(after_fraction=0.5), times=1)
    known = fake_mixpanel.project.service_account
    account = ServiceAccount(known.username, known.secret, fake_mixpanel.project.id)

    rows = export(account, fake_mixpanel.url, tmp_path / "events.duckdb")

    events = fake_mixpanel.truth("2026-01-01", "2026-01-07", time_in_ms=True)
    assert rows == len({(event["properties"]["time"], event["properties"]["sequence"]) for event in events})
    assert [request.fault for request in fake_mixpanel.requests] == ["cut", None]
