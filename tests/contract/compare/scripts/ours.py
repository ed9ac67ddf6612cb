"""This library: `sync_events` into `events.duckdb`; exits with 1 if a chunk failed, as docs/how-to/every-night.md."""

import asyncio
import json
from pathlib import Path

from mixpanel_async import MixpanelClient, ServiceAccount

task = json.loads(Path("task.json").read_text(encoding="utf-8"))


async def sync():
    account = ServiceAccount(task["username"], task["secret"], task["project_id"])
    async with MixpanelClient(account, base_url=task["url"], database="events.duckdb") as client:
        return await client.sync_events(from_date=task["from_date"], to_date=task["to_date"])


result = asyncio.run(sync())
raise SystemExit(int(result.has_failures))
