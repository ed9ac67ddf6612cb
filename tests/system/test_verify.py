"""`verify_events` over real sockets: equal counts, counts that differ, and what cannot be compared."""

from __future__ import annotations

import datetime as dt
import json

import duckdb
import pytest

from mixpanel_async import (
    DatabaseLockedError,
    DayCount,
    QueryError,
    RateLimitError,
    ServerError,
    StoreError,
    TableNotFoundError,
    clock,
)
from mixpanel_async.testing import Catalog, FakeMixpanel, Fault, Schema
from tests.store.conftest import process_that_holds

from .conftest import expected

DAY = 1769904000  # 2026-02-01
DATES = {"from_date": "2026-02-01", "to_date": "2026-02-03"}


def event(name, day=0, **properties):
    return {"event": name, "properties": {"time": DAY + day * 86_400, "distinct_id": "a"} | properties}


def queries(server):
    return [record for record in server.requests if record.path == "/api/query/events"]


def counts(verification):
    return [(day.ours, day.mixpanels) for day in verification.days]


async def test_equal_counts(fake, client_of):
    """The export repeats rows, which neither the table nor Mixpanel's counts have."""
    client = client_of(fake)
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-10", chunk_days=3, parallel=True)
    await client.fetch_events(from_date="2026-01-14", to_date="2026-01-14", append=True)
    verification = await client.verify_events()
    assert [day.date for day in verification.days] == [f"2026-01-{day:02}" for day in (*range(1, 11), 14)]
    assert verification.differing == ()
    assert [day.mixpanels for day in verification.days] == [
        expected(fake, day.date, day.date).total() for day in verification.days
    ]
    (query,) = queries(fake)
    assert (query.params["from_date"], query.params["to_date"], query.params["unit"]) == (
        "2026-01-01",
        "2026-01-14",
        "day",
    )
    some = await client.verify_events(from_date="2026-01-02", to_date="2026-01-03")
    assert some.days == verification.days[1:3]


async def test_a_day_without_events_is_zero_at_both(client_of):
    async with FakeMixpanel([event("a", 1)], today="2026-02-20", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(**DATES)
        assert counts(await client.verify_events()) == [(0, 0), (1, 1), (0, 0)]


async def test_a_project_without_events_needs_no_counts(client_of):
    async with FakeMixpanel([], today="2026-02-20", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(**DATES)
        assert counts(await client.verify_events()) == [(0, 0)] * 3
        assert queries(server) == []


async def test_events_that_came_late_differ_until_they_are_fetched(client_of):
    events = [event("a"), event("a", 1), event("late", 1, mp_processing_time_ms=(DAY + 10 * 86_400) * 1000)]
    async with FakeMixpanel(events, today="2026-02-05", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(**DATES)
        assert (await client.verify_events()).differing == ()
        server.clock.advance(dt.timedelta(days=10))
        assert (await client.verify_events()).differing == (DayCount("2026-02-02", 1, 2),)
        await client.fetch_events(**DATES, append=True)
        assert counts(await client.verify_events()) == [(1, 1), (2, 2), (0, 0)]


async def test_repeated_rows_differ_in_a_table_that_keeps_them(client_of):
    repeated = [event("a", **{"$insert_id": "i"})] * 3 + [event("a")] * 2
    async with FakeMixpanel(repeated, today="2026-02-20", limits=None) as server:
        client = client_of(server)
        await client.fetch_events("all", **DATES, deduplicate=False)
        await client.fetch_events("once", **DATES)
        assert (await client.verify_events("all")).differing == (DayCount("2026-02-01", 5, 3),)
        assert (await client.verify_events("once")).differing == ()


async def test_hidden_events_differ(client_of):
    catalog = Catalog(schemas=(Schema("hidden", metadata={"com.mixpanel": {"hidden": True}}),))
    async with FakeMixpanel([event("a"), event("hidden")], today="2026-02-20", catalog=catalog, limits=None) as server:
        client = client_of(server)
        await client.fetch_events(**DATES)
        assert (await client.verify_events()).differing == (DayCount("2026-02-01", 2, 1),)


async def test_rows_that_are_missing_or_too_many_differ(client_of, path):
    async with FakeMixpanel([event("a"), event("b"), event("a", 2)], today="2026-02-20", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(**DATES)
        with duckdb.connect(str(path)) as connection:
            connection.execute("DELETE FROM events WHERE event_name = 'b'")
            connection.execute("INSERT INTO events FROM events WHERE event_time >= '2026-02-03'")
        assert counts(await client.verify_events()) == [(1, 2), (0, 0), (2, 1)]


async def test_a_table_of_some_events_is_compared_with_these(client_of):
    async with FakeMixpanel([event("a"), event("b"), event("c")], today="2026-02-20", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(**DATES, events=["b", "none", "a"])
        assert counts(await client.verify_events())[0] == (2, 2)
        assert [json.loads(query.params["event"]) for query in queries(server)] == [["a", "b", "none"]]
        assert [each.path for each in server.requests if each.path.endswith("/names")] == []


async def test_names_are_those_of_mixpanel_and_of_the_table(client_of, path):
    async with FakeMixpanel([event("a"), event("b")], today="2026-02-20", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(**DATES)
        with duckdb.connect(str(path)) as connection:
            connection.execute("UPDATE events SET event_name = 'ours' WHERE event_name = 'b'")
        await client.verify_events()
        assert [json.loads(query.params["event"]) for query in queries(server)] == [["a", "b", "ours"]]


async def test_names_that_do_not_fit_one_url(client_of):
    names = [f"Größe {number} {'x' * 100}" for number in range(150)]
    async with FakeMixpanel([event(name) for name in names], today="2026-02-20", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(**DATES)
        assert counts(await client.verify_events()) == [(150, 150), (0, 0), (0, 0)]
        asked = [json.loads(query.params["event"]) for query in queries(server)]
    assert len(asked) > 2
    assert sorted(name for some in asked for name in some) == sorted(names)


async def test_a_range_of_years_is_cut(client_of, monkeypatch):
    monkeypatch.setattr(clock, "utc_now", lambda: dt.datetime(2028, 6, 1, tzinfo=dt.UTC))
    async with FakeMixpanel([event("a"), event("a", 800)], today="2028-06-01", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(from_date="2026-01-01", to_date="2028-05-31", parallel=True)
        verification = await client.verify_events()
        assert (len(verification.days), verification.differing) == (882, ())
        assert sum(day.mixpanels for day in verification.days) == 2
        ranges = [(query.params["from_date"], query.params["to_date"]) for query in queries(server)]
    assert ranges == [("2026-01-01", "2026-12-31"), ("2027-01-01", "2027-12-31"), ("2028-01-01", "2028-05-31")]


# What cannot be compared: nothing is requested


@pytest.mark.parametrize(
    ("selection", "dates", "message"),
    [
        ({"where": 'properties["a"] == 1'}, {}, "was fetched with where=.* compare a table that was fetched without"),
        ({"limit": 10}, {}, "was fetched with limit=10"),
        ({}, {"from_date": "2026-01-30"}, "does not hold 2026-01-30 to 2026-01-31: fetch it first"),
        ({}, {"to_date": "2026-02-04"}, "does not hold 2026-02-04: fetch it first"),
        ({}, {"from_date": "2027-01-01"}, "does not hold 2027-01-01"),
    ],
)
async def test_what_cannot_be_compared_is_an_error(fake, client_of, selection, dates, message):
    client = client_of(fake)
    await client.fetch_events(**DATES, **selection)
    before = len(fake.requests)
    with pytest.raises(StoreError, match=message):
        await client.verify_events(**dates)
    assert len(fake.requests) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "no good"}, "name="),
        ({"from_date": "2026-02-30"}, "there is no day"),
        ({"from_date": "2026-02-03", "to_date": "2026-02-01"}, "is after"),
    ],
)
async def test_wrong_arguments_are_errors(fake, client_of, path, arguments, message):
    with pytest.raises(ValueError, match=message):
        await client_of(fake).verify_events(**arguments)
    assert (list(path.parent.iterdir()), len(fake.requests)) == ([], 0)


async def test_tables_that_are_missing_or_hold_profiles_are_errors(fake, client_of):
    client = client_of(fake)
    with pytest.raises(StoreError, match="There is no database"):
        await client.verify_events()
    await client.fetch_profiles()
    with pytest.raises(TableNotFoundError, match="There is no table 'events'"):
        await client.verify_events()
    with pytest.raises(StoreError, match="holds profiles, not events"):
        await client.verify_events("profiles")


async def test_a_file_that_somebody_holds_is_told_before_anything_is_requested(fake, client_of, path):
    client = client_of(fake, lock_timeout=0)
    await client.fetch_events(**DATES)
    before = len(fake.requests)
    with process_that_holds(path), pytest.raises(DatabaseLockedError):
        await client.verify_events()
    assert len(fake.requests) == before


# Mixpanel's errors


async def test_a_plan_without_the_query_api(fake, client_of):
    client = client_of(fake)
    await client.fetch_events(**DATES)
    fake.plan_has_queries = False
    with pytest.raises(QueryError, match="Your plan does not allow API calls") as refused:
        await client.verify_events()
    assert refused.value.status == 402


async def test_a_429_is_tried_again(fake, client_of):
    client = client_of(fake)
    await client.fetch_events(**DATES)
    fault = fake.faults.add(Fault.status(429), endpoint="events", times=2)
    assert (await client.verify_events()).differing == ()
    assert (fault.happened, len(queries(fake))) == (2, 3)
    fake.faults.add(Fault.status(429), endpoint="events")
    with pytest.raises(RateLimitError, match=r"^Counts of events, 2026-02-01 to 2026-02-03: .*\(after 3 attempts\)"):
        await client.verify_events()


async def test_a_response_of_another_shape(fake, client_of):
    client = client_of(fake)
    await client.fetch_events(**DATES)
    fake.faults.add(Fault.html(b'{"data": []}'), endpoint="events")
    with pytest.raises(ServerError, match=r"the response has another shape than documented: .*`object`, got `array`"):
        await client.verify_events()


async def test_a_closed_client_compares_nothing(fake, client_of):
    client = client_of(fake)
    await client.close()
    with pytest.raises(RuntimeError, match="This client is closed"):
        await client.verify_events()
