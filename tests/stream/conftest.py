"""Streams over real sockets, and what they should give."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator

import pytest

from mixpanel_async.testing import FakeMixpanel, GeneratedEvents
from tests.system.conftest import client_of  # noqa: F401 - a fixture

FIRST, LAST = "2026-01-01", "2026-01-12"
DAYS = {"from_date": FIRST, "to_date": LAST, "chunk_days": 2}


@pytest.fixture
async def fake() -> AsyncIterator[FakeMixpanel]:
    events = GeneratedEvents(per_day=150, seed=7, duplicates=0.05, missing_insert_id=0.02)
    async with FakeMixpanel(events, today="2026-06-01", limits=None) as server:
        yield server


def normalized(raw):
    """What a stream gives for an event of Mixpanel's."""
    properties = raw["properties"]
    time = properties["time"] if abs(properties["time"]) < 253_402_300_800 else properties["time"] / 1000
    return {
        "event_name": raw["event"],
        "event_time": dt.datetime.fromtimestamp(time, dt.UTC),
        "distinct_id": properties.get("distinct_id"),
        "insert_id": properties.get("$insert_id"),
        "properties": properties,
    }


def event_line(properties="", time="1767225600", name="e"):
    """A line of an export."""
    more = f",{properties}" if properties else ""
    return f'{{"event":{json.dumps(name)},"properties":{{"time":{time}{more}}}}}'.encode()
