"""FakeMixpanel in a process of its own: `python -m benchmarks.server EVENTS DAYS DUPLICATES`.

It reads lines of JSON, which set attributes of the server (how slow it is), and answers each by where it is and whom
it knows. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import sys

from benchmarks.data import DataSet
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

TODAY = "2028-01-01"


async def serve(data: DataSet) -> None:
    """Serve until nobody speaks any more."""
    events = GeneratedEvents(per_day=data.events_of, seed=1, duplicates=data.duplicates)
    async with FakeMixpanel(events, today=TODAY, limits=None, cache=True) as fake:
        account = fake.project.service_account
        known = {"url": fake.url, "username": account.username, "secret": account.secret, "project_id": fake.project.id}
        while line := await asyncio.to_thread(sys.stdin.readline):
            for name, value in json.loads(line).items():
                setattr(fake, name, value)
            print(json.dumps(known), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(DataSet(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))))
