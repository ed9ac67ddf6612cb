"""Mixpanel refuses some dates of a range: a day after its today, or days before those that the plan keeps."""

from __future__ import annotations

import json
from contextlib import aclosing

import pytest

from mixpanel_async import AuthenticationError, ExportError, QueryError
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, Wording

from .conftest import expected, stored

TODAY, TOMORROW = "2026-06-01", "2026-06-02"
FIRST = "2026-05-03"
RANGE = {"from_date": FIRST, "to_date": TOMORROW}
TOO_OLD = "Date range exceeds 30 days into the past"
FUTURE = "to_date cannot be later than today"


def as_json(text):
    return json.dumps({"request": "/api/2.0/export?x", "error": text})


REFUSALS = {
    "400, text": Fault.status(400, TOO_OLD),
    "400, JSON": Fault.status(400, as_json(TOO_OLD)),
    "403, text": Fault.status(403, TOO_OLD),
    "403, JSON": Fault.status(403, as_json(TOO_OLD)),
    "JSON in a 200": Fault.error_in_200(TOO_OLD),
    "JSON of a query in a 200": Fault.status(200, as_json(TOO_OLD)),
    "text in a 200": Fault.status(200, TOO_OLD),
    "a year that is too early": Fault.status(400, as_json("Error in from_date: invalid date, bad year")),
}
refusals = pytest.mark.parametrize("fault", REFUSALS.values(), ids=REFUSALS)


@pytest.fixture
async def fake(request):
    """A server with its own today; `indirect` sets how it words that a day has not come."""
    events = GeneratedEvents(per_day=20, seed=7)
    wording = Wording(future_date=getattr(request, "param", "plain"))
    async with FakeMixpanel(events, today=TODAY, limits=None, wording=wording) as server:
        yield server


async def collect(stream, into):
    async with aclosing(stream):
        async for event in stream:
            into += [event]


def requests(fake, day):
    return sum(made.from_date <= day <= made.to_date for made in fake.requests)


@pytest.mark.parametrize("fake", ["plain", "json"], indirect=True)
@pytest.mark.parametrize(("chunk_days", "refused"), [(7, "2026-05-31"), (1, TOMORROW)])
async def test_a_day_that_has_not_come_fails_its_chunk_alone(fake, client_of, path, chunk_days, refused):
    client = client_of(fake)
    result = await client.fetch_events(**RANGE, parallel=True, chunk_days=chunk_days)

    assert result.failed_date_ranges == ((refused, TOMORROW),)
    last = "2026-05-30" if chunk_days == 7 else TODAY
    before = expected(fake, FIRST, last)
    assert stored(path) == before
    [failure] = result.failures
    assert (failure.attempts, requests(fake, TOMORROW)) == (1, 1)
    assert failure.error.startswith(f"Mixpanel rejects the dates (400): {FUTURE} (today is")

    fake.clock.advance(86400)
    again = await client.fetch_events(**RANGE, parallel=True, chunk_days=chunk_days, resume=True)
    assert not again.has_failures
    assert stored(path) == before + expected(fake, refused, TOMORROW)


@refusals
@pytest.mark.parametrize("chunk_days", [7, 1])
async def test_days_before_what_the_plan_keeps_fail_their_chunks_alone(fake, client_of, path, fault, chunk_days):
    for day in (FIRST, "2026-05-04"):
        fake.faults.add(fault, date=day)

    result = await client_of(fake).fetch_events(
        from_date=FIRST, to_date=TODAY, parallel=True, chunk_days=chunk_days, max_workers=2
    )

    if chunk_days == 7:
        failed, kept = ((FIRST, "2026-05-09"),), "2026-05-10"
    else:
        failed, kept = ((FIRST, FIRST), ("2026-05-04", "2026-05-04")), "2026-05-05"
    assert result.failed_date_ranges == failed
    assert stored(path) == expected(fake, kept, TODAY)
    assert requests(fake, FIRST) == 1
    assert all("Mixpanel rejects the dates" in each.error for each in result.failures)


async def test_both_ends_at_once(fake, client_of, path):
    fake.faults.add(REFUSALS["403, JSON"], date=FIRST)
    result = await client_of(fake).fetch_events(**RANGE, parallel=True, chunk_days=7)
    assert result.failed_date_ranges == ((FIRST, "2026-05-09"), ("2026-05-31", TOMORROW))
    assert TOO_OLD in result.failures[0].error
    assert FUTURE in result.failures[1].error
    assert stored(path) == expected(fake, "2026-05-10", "2026-05-30")


@refusals
async def test_all_dates_refused_is_an_error(fake, client_of, path, fault):
    fake.faults.add(fault)
    client = client_of(fake)
    with pytest.raises(ExportError, match=r"All 5 chunks failed.*rejects the dates"):
        await client.fetch_events(**RANGE, parallel=True, chunk_days=7)
    with pytest.raises(QueryError, match="rejects the dates"):
        await client.fetch_events(**RANGE)
    assert len(fake.requests) == 6


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("chunk_days", [7, 1])
async def test_a_stream_ends_at_the_day_that_has_not_come(fake, client_of, parallel, chunk_days):
    came = []
    with pytest.raises(QueryError, match=FUTURE) as caught:
        stream = client_of(fake).stream_events(**RANGE, raw=True, parallel=parallel, chunk_days=chunk_days)
        await collect(stream, came)
    assert caught.value.from_date == ("2026-05-31" if chunk_days == 7 else TOMORROW)
    assert came == list(fake.truth(FIRST, "2026-05-30" if chunk_days == 7 else TODAY, time_in_ms=True))
    assert requests(fake, TOMORROW) == 1


@refusals
async def test_a_stream_ends_at_a_chunk_that_is_refused(fake, client_of, fault):
    fake.faults.add(fault, date="2026-05-12")
    came = []
    stream = client_of(fake).stream_events(from_date=FIRST, to_date=TODAY, raw=True, parallel=True, chunk_days=7)
    with pytest.raises(QueryError, match="rejects the dates"):
        await collect(stream, came)
    assert came == list(fake.truth(FIRST, "2026-05-09", time_in_ms=True))
    assert requests(fake, "2026-05-12") == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.auth_expired(401), AuthenticationError),
        (Fault.auth_expired(400), AuthenticationError),
        (Fault.status(403, '{"error": "Not permitted to read project 1"}'), AuthenticationError),
        (Fault.status(400, as_json("Error in where: syntax error")), QueryError),
        (Fault.status(402, as_json("Your plan does not allow API calls")), QueryError),
        (Fault.status(404, ""), QueryError),
        (Fault.status(412, "precondition"), QueryError),
        (Fault.status(413, "too large"), QueryError),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_a_refusal_that_names_no_dates_ends_the_run(fake, client_of, fault, error):
    fake.faults.add(fault, date="2026-05-12")
    with pytest.raises(error):
        await client_of(fake).fetch_events(from_date=FIRST, to_date=TODAY, parallel=True, chunk_days=1, max_workers=1)
    assert len(fake.requests) == 10


@pytest.mark.parametrize("fault", [each for each in REFUSALS.values() if each != REFUSALS["text in a 200"]])
@pytest.mark.parametrize("parallel", [True, False])
async def test_profiles_and_lookups_have_no_other_dates_so_it_is_their_error(fake, client_of, fault, parallel):
    for endpoint in ("engage", "events/names"):
        fake.faults.add(fault, endpoint=endpoint)
    client = client_of(fake)
    with pytest.raises(QueryError, match="rejects the dates"):
        await client.fetch_profiles(parallel=parallel)
    with pytest.raises(QueryError, match="rejects the dates"):
        [profile async for profile in client.stream_profiles()]
    with pytest.raises(QueryError, match="rejects the dates"):
        await client.lookups.event_names()
    assert len(fake.requests) == 3
