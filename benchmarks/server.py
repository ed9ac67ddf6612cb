"""FakeMixpanel in its own process: `python -m benchmarks.server DATASET`, where DATASET is a DataSet as JSON.

It reads lines of JSON from stdin. Each line sets attributes of the server, such as its latency, and the server replies
with its URL and its credentials. It ends at the end of stdin.
"""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import islice
from typing import TYPE_CHECKING

from benchmarks.data import DataSet
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

TODAY = "2030-01-01"
PEEKED = 2
"""How many pieces of a day the server reads before each response, to see whether the body is small."""


class Beginnings:
    """Generated events. The first pieces of each day are generated once; the server itself caches whole bodies."""

    def __init__(self, events: GeneratedEvents) -> None:
        self._events = events
        self._kept: dict[dt.date, list[bytes]] = {}

    def pieces(self, day: dt.date, *, now: dt.datetime, order: int = 0) -> Iterator[bytes]:
        """Yield a day's lines."""
        if day not in self._kept:
            self._kept[day] = list(islice(self._events.pieces(day, now=now, order=order), PEEKED))
        yield from self._kept[day]
        if len(self._kept[day]) == PEEKED:
            yield from islice(self._events.pieces(day, now=now, order=order), PEEKED, None)


def events(data: DataSet) -> GeneratedEvents:
    """Generate the data set's events."""
    if data.unique:
        return GeneratedEvents(
            per_day=data.events_of, seed=1, duplicates=0.0, shared_insert_id=0.0, missing_insert_id=0.0
        )
    return GeneratedEvents(per_day=data.events_of, seed=1)


async def serve(data: DataSet) -> None:
    """Serve until stdin ends."""
    async with FakeMixpanel(Beginnings(events(data)), today=TODAY, limits=None, cache=True) as fake:
        account = fake.project.service_account
        known = {"url": fake.url, "username": account.username, "secret": account.secret, "project_id": fake.project.id}
        while line := await asyncio.to_thread(sys.stdin.readline):
            for name, value in json.loads(line).items():
                setattr(fake, name, value)
            print(json.dumps(known), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(DataSet(**json.loads(sys.argv[1]))))
