"""The whole over real sockets: FakeMixpanel on loopback, real DuckDB files, and what the table should hold."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import duckdb
import pytest

from mixpanel_async import MixpanelClient, RateLimits, RetryPolicy, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, Project

UNHURRIED = RateLimits(per_second=10_000, per_hour=1_000_000, queries_per_hour=1_000_000, lexicon_per_minute=1_000_000)
AT_ONCE = RetryPolicy(attempts=3, wait_initial=0.0, wait_max=0.0)


@pytest.fixture
async def fake() -> AsyncIterator[FakeMixpanel]:
    events = GeneratedEvents(per_day=40, seed=7, duplicates=0.05, missing_insert_id=0.02)
    async with FakeMixpanel(events, today="2026-06-01", limits=None) as server:
        yield server


LAST = "2026-01-10"
"""The day that `Gated` holds back."""


class Gated:
    """Events of which the last day's come once the gate is open."""

    def __init__(self, source=None, last=LAST):
        self.source = source or GeneratedEvents(per_day=40, seed=7, duplicates=0.05)
        self.gate = threading.Event()
        self._last = last

    def pieces(self, day, **given):
        if day.isoformat() == self._last:
            self.gate.wait()
        yield from self.source.pieces(day, **given)


@pytest.fixture
def gated():
    source = Gated()
    yield source
    source.gate.set()


@pytest.fixture
async def gated_fake(gated):
    async with FakeMixpanel(gated, today="2026-06-01", limits=None) as server:
        yield server


@pytest.fixture
async def client_of(path: Path) -> AsyncIterator[Callable[..., MixpanelClient]]:
    """Make a client of a server; closed at the test's end."""
    made: list[MixpanelClient] = []

    def make(server: FakeMixpanel, **settings: object) -> MixpanelClient:
        account = server.project.service_account
        credentials = ServiceAccount(account.username, account.secret, server.project.id)
        given = {
            "credentials": credentials,
            "database": path,
            "base_url": server.url,
            "limits": UNHURRIED,
            "retry": AT_ONCE,
            **settings,
        }
        made.append(MixpanelClient(**given))
        return made[-1]

    yield make
    for client in made:
        await client.close()


def expected(
    server: FakeMixpanel, first: str, last: str, *, deduplicate: bool = True, project: Project | None = None
) -> Counter[bytes]:
    """The server's lines for these dates, of each repeated key the one that was processed last."""
    kept: dict[object, tuple[int, bytes]] = {}
    for number, line in enumerate(server.truth_lines(first, last, project=project, time_in_ms=True)):
        event = json.loads(line)
        properties = event["properties"]
        key: object = (event["event"], properties.get("distinct_id"), properties["time"], properties.get("$insert_id"))
        if not deduplicate or properties.get("$insert_id") is None:
            key = number
        processed = properties.get("mp_processing_time_ms", 0)
        if key not in kept or processed > kept[key][0]:
            kept[key] = (processed, line.rstrip(b"\n"))
    return Counter(line for _, line in kept.values())


def stored(path: Path, table: str = "events") -> Counter[bytes]:
    """The table's rows as lines of an export; its other columns must say the same as its properties."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            f"SELECT event_name, epoch_us(event_time), distinct_id, insert_id, properties FROM {table}"
        ).fetchall()
    lines: Counter[bytes] = Counter()
    for name, time, distinct_id, insert_id, properties in rows:
        parsed = json.loads(properties)
        assert time == parsed["time"] * (1000 if parsed["time"] >= 253_402_300_800 else 1_000_000)
        assert (distinct_id, insert_id) == (parsed.get("distinct_id"), parsed.get("$insert_id"))
        lines[
            b'{"event":%s,"properties":%s}' % (json.dumps(name, ensure_ascii=False).encode(), properties.encode())
        ] += 1
    return lines


def journal(path: Path, table: str = "events") -> list[tuple[str, str, int, int]]:
    """From, to, rows by the journal and rows by count, a chunk each; the two counts must agree."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            f"""SELECT from_date::VARCHAR, to_date::VARCHAR, rows,
                (SELECT count(*) FROM {table} WHERE event_time >= from_date AND event_time < to_date + 1)
            FROM _mixpanel_chunks WHERE table_name = ? ORDER BY from_date""",
            [table],
        ).fetchall()
    assert all(said == counted for _, _, said, counted in rows)
    return rows
