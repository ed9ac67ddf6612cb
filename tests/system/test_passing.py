"""A response that another attempt mends, for every kind of call: it costs one more request and nothing else."""

from __future__ import annotations

import pytest

from mixpanel_async.testing import Catalog, Cohort, FakeMixpanel, Fault, GeneratedEvents, QueryRules

from .conftest import expected, stored

DATES = {"from_date": "2026-01-01", "to_date": "2026-01-04"}
PEOPLE = [{"$distinct_id": str(number), "$properties": {"n": number}} for number in range(35)]
PAGE = "<html><title>403 Forbidden</title><p>blocked by the firewall</html>"

PASSING = {
    "202": Fault.status(202, ""),
    "204": Fault.status(204, ""),
    "408": Fault.status(408),
    "425": Fault.status(425),
    "499": Fault.status(499),
    "a web page in a 403": Fault.status(403, PAGE, content_type="text/html"),
    "429, Retry-After 0": Fault.rate_limited(0),
    "429 that says nothing": Fault.status(429, ""),
    "503, Retry-After 0": Fault.status(503, headers={"Retry-After": "0"}),
}
passing = pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)


@pytest.fixture
async def fake():
    catalog, rules = Catalog(cohorts=(Cohort(1, "One"),)), QueryRules(page_size=10)
    async with FakeMixpanel(
        GeneratedEvents(per_day=20),
        profiles=PEOPLE,
        catalog=catalog,
        query_rules=rules,
        limits=None,
        today="2026-06-01",
    ) as server:
        yield server


def ids(profiles):
    return sorted(int(profile["distinct_id"]) for profile in profiles)


@passing
async def test_a_table_of_events(fake, client_of, path, fault):
    fake.faults.add(fault, date="2026-01-03", attempts=[1])
    result = await client_of(fake).fetch_events(**DATES, parallel=True, chunk_days=2)
    assert not result.has_failures
    assert stored(path) == expected(fake, *DATES.values())
    assert len(fake.requests) == 3


@passing
@pytest.mark.parametrize("parallel", [True, False])
async def test_a_stream_of_events(fake, client_of, fault, parallel):
    fake.faults.add(fault, date="2026-01-03", attempts=[1])
    stream = client_of(fake).stream_events(**DATES, parallel=parallel, chunk_days=2, raw=True)
    assert [event async for event in stream] == list(fake.truth(*DATES.values(), time_in_ms=True))
    assert len(fake.requests) == 3


@passing
@pytest.mark.parametrize("page", [0, 2])
@pytest.mark.parametrize("parallel", [True, False])
async def test_a_table_of_profiles(fake, client_of, fault, page, parallel):
    fake.faults.add(fault, page=page, attempts=[1])
    result = await client_of(fake).fetch_profiles(parallel=parallel)
    assert (result.total_rows if parallel else result.rows) == 35
    assert len(fake.requests) == 5


@passing
@pytest.mark.parametrize("page", [0, 2])
async def test_a_stream_of_profiles(fake, client_of, fault, page):
    fake.faults.add(fault, page=page, attempts=[1])
    profiles = [profile async for profile in client_of(fake).stream_profiles()]
    assert ids(profiles) == list(range(35))
    assert len(fake.requests) == 5


@passing
async def test_a_lookup(fake, client_of, fault):
    fake.faults.add(fault, endpoint="cohorts/list", attempts=[1])
    assert len(await client_of(fake).lookups.cohorts()) == 1
    assert len(fake.requests) == 2
