"""A test of your own code against a fake Mixpanel: the fixture `fake_mixpanel` comes with the library.

    pytest examples/test_your_export.py

What is tested here is `export`, which stands for your code. The fake serves from a thread of its own, so it does not
matter how your code waits, and whether it uses this library at all.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from mixpanel_async import MixpanelClient, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, Fault


def export(account: ServiceAccount, base_url: str, database: Path) -> int:
    """Export a week; gives the number of rows."""

    async def week() -> int:
        async with MixpanelClient(account, base_url=base_url, database=database) as client:
            return (await client.fetch_events(from_date="2026-01-01", to_date="2026-01-07")).rows

    return asyncio.run(week())


def test_a_week_comes_whole_though_the_first_answer_breaks_off(fake_mixpanel: FakeMixpanel, tmp_path: Path) -> None:
    fake_mixpanel.faults.add(Fault.cut(after_fraction=0.5), times=1)
    known = fake_mixpanel.project.service_account
    account = ServiceAccount(known.username, known.secret, fake_mixpanel.project.id)

    rows = export(account, fake_mixpanel.url, tmp_path / "events.duckdb")

    events = fake_mixpanel.truth("2026-01-01", "2026-01-07")
    assert rows == len({(event["properties"]["time"], event["properties"]["sequence"]) for event in events})
    assert [request.fault for request in fake_mixpanel.requests] == ["cut", None]
