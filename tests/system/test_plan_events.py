"""`plan_events` says what the call then does, and does nothing itself."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest

from mixpanel_async import (
    RateLimits,
    SelectionMismatchError,
    StoreError,
    TableExistsError,
    TableNotFoundError,
    clock,
)
from mixpanel_async.testing import FakeLimits, FakeMixpanel, GeneratedEvents

DATES = {"from_date": "2026-04-01", "to_date": "2026-04-30"}


def exports(server):
    requests = [record.params for record in server.requests if record.path.startswith("/api/2.0/export")]
    return sorted((params["from_date"], params["to_date"]) for params in requests)


@pytest.fixture
def now(fake, monkeypatch):
    monkeypatch.setattr(clock, "utc_now", lambda: fake.clock.now)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"parallel": True},
        {"parallel": True, "chunk_days": 4},
        {"parallel": True, "max_workers": 2, "where": 'properties["sequence"] > 3'},
    ],
)
async def test_a_new_table(fake, client_of, path, options):
    client = client_of(fake)
    plan = await client.plan_events(**DATES, **options)
    assert fake.requests == []
    assert not path.exists()
    await client.fetch_events(**DATES, **options)
    assert exports(fake) == list(plan.chunks)
    assert (plan.requests, plan.days, plan.settled_days) == (len(plan.chunks), 30, 0)
    assert plan.expected_bytes is None


async def test_a_table_that_is_there(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_events(from_date="2026-04-05", to_date="2026-04-10", parallel=True)
    fake.forget_requests()
    before = path.read_bytes()
    plan = await client.plan_events(**DATES, resume=True, parallel=True)
    again = await client.plan_events(**DATES, append=True, parallel=True)
    assert path.read_bytes() == before
    assert (plan.days, plan.settled_days, again.days, again.settled_days) == (24, 6, 30, 0)
    assert again.expected_bytes > plan.expected_bytes > 24 * 1000
    await client.fetch_events(**DATES, resume=True, parallel=True)
    assert exports(fake) == list(plan.chunks)


async def test_a_sync(fake, client_of, now):
    client = client_of(fake)
    fake.clock.now = "2026-05-10T03:00:00+00:00"
    first = await client.plan_events(from_date="2026-04-01", sync=True)
    assert first.chunks[-1][1] == "2026-05-08"  # the zone was not asked: yesterday is over in UTC, and not everywhere
    await client.sync_events(from_date="2026-04-01")
    fake.clock.now = "2026-05-12T03:00:00+00:00"
    for options in ({}, {"late": "merge"}, {"lookback_days": 2, "chunk_days": 1}):
        fake.forget_requests()
        plan = await client.plan_events(sync=True, **options)
        await client.sync_events(**options)
        assert exports(fake) == list(plan.chunks)
        assert plan.days + plan.settled_days == 41


async def test_it_raises_what_the_call_would_raise(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_events(from_date="2026-04-05", to_date="2026-04-06")
    fake.forget_requests()
    with pytest.raises(TableExistsError):
        await client.plan_events(**DATES)
    with pytest.raises(TableNotFoundError):
        await client.plan_events("other", **DATES, append=True)
    with pytest.raises(SelectionMismatchError):
        await client.plan_events(**DATES, resume=True, events=["One"])
    with pytest.raises(SelectionMismatchError):
        await client.plan_events(sync=True, events=["One"])
    with pytest.raises(ValueError, match="holds no dates yet"):
        await client.plan_events("other", sync=True)
    with pytest.raises(ValueError, match="has not begun anywhere"):
        await client.plan_events("other", from_date="2026-04-01", to_date="2100-01-01")
    assert fake.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({**DATES, "sync": True, "append": True}, "sync_events takes no append: leave it out, or plan without sync"),
        ({**DATES, "sync": True, "limit": 3, "parallel": True}, "sync_events takes no limit, parallel"),
        ({**DATES, "lookback_days": 3}, "fetch_events takes no lookback_days: leave it out, or plan with sync=True"),
        ({"from_date": "2026-04-01"}, "fetch_events needs from_date and to_date"),
        ({**DATES, "sync": "yes"}, "sync must be True or False"),
        ({**DATES, "chunk_days": 0}, "chunk_days must be a whole number"),
    ],
)
async def test_wrong_arguments(fake, client_of, arguments, message):
    with pytest.raises(ValueError, match=message):
        await client_of(fake).plan_events(**arguments)


async def test_a_database_without_our_tables_is_not_changed(fake, client_of, path):
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1 AS a")
    before = path.read_bytes()
    plan = await client_of(fake).plan_events(**DATES, parallel=True)
    assert plan.days == 30
    with pytest.raises(StoreError, match="'mine' was not made by this library"):
        await client_of(fake).plan_events("mine", **DATES, resume=True)
    assert path.read_bytes() == before
    with duckdb.connect() as connection:
        await client_of(fake, database=connection).plan_events(**DATES)
        assert connection.execute("SHOW ALL TABLES").fetchall() == []
    assert (await client_of(fake, database=":memory:").plan_events(**DATES)).requests == 1


async def test_three_years_fit_the_hour_without_a_429(client_of):
    """By Mixpanel's own limits on both sides, but for those a second, which would take 20 s here."""
    events = GeneratedEvents(per_day=2)
    async with FakeMixpanel(events, today="2026-06-01", limits=FakeLimits(per_second=None)) as server:
        client = client_of(server, limits=RateLimits(per_second=1000))
        dates = {"from_date": dt.date(2023, 6, 1), "to_date": dt.date(2026, 5, 31)}
        plan = await client.plan_events(**dates, parallel=True)
        assert plan.days == 1096
        assert plan.requests <= plan.requests_left == 60
        assert plan.wait_seconds == pytest.approx(0.0, abs=1.0)
        await client.fetch_events(**dates, parallel=True)
        assert [record.status for record in server.requests] == [200] * plan.requests
        after = await client.plan_events("other", **dates, parallel=True)
        assert after.requests_left == 60 - plan.requests
        assert after.wait_seconds == pytest.approx(3600, abs=60)
