"""What goes wrong on the way is asked for again, or told; never half written."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter

import pytest

from mixpanel_async import (
    AuthenticationError,
    ConnectionLostError,
    ExportError,
    QueryError,
    RateLimitError,
    RateLimits,
    RetryPolicy,
    ServerError,
)
from mixpanel_async.dates import split_date_range
from mixpanel_async.export import fetch as export_fetch
from mixpanel_async.export.download import Downloads
from mixpanel_async.export.fetch import CHUNKS_AT_ONCE, ChunkFetcher
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents
from tests.matrix.raw import RawServer, hang_up, until_close, with_length

from .conftest import AT_ONCE, expected, journal, stored

FIRST, LAST = "2026-01-01", "2026-01-06"
DAYS = {"from_date": FIRST, "to_date": LAST, "parallel": True, "chunk_days": 2}

EVENT = b'{"event":"a","properties":{"time":1767225600}}\n'

PASSING = {
    "429": Fault.rate_limited("0"),
    "429 without a header": Fault.rate_limited(),
    "500": Fault.status(500),
    "502": Fault.status(502, "<html>bad gateway</html>"),
    "503": Fault.status(503, headers={"Retry-After": "0"}),
    "504": Fault.status(504, ""),
    "Timeout Error": Fault.timeout_error(),
    "reset before headers": Fault.reset(),
    "reset in the body": Fault.reset(after_bytes=2000),
    "cut, clean chunked end": Fault.cut(after_fraction=0.7, framing="chunked-clean"),
    "cut, no chunked end": Fault.cut(after_fraction=0.7, framing="chunked-broken"),
    "cut, connection closed": Fault.cut(after_fraction=0.7, framing="close"),
    "cut, length says so": Fault.cut(after_fraction=0.7, framing="content-length"),
    "no trailer": Fault.no_trailer(),
    "half a trailer": Fault.no_trailer(4),
    "bad CRC": Fault.bad_crc(),
    "reset at a line's end": Fault.cut_at_line(20),
    "terminated early": Fault.terminated_early(30),
    "terminated early, with a line break": Fault.terminated_early(30, "export terminated early", newline=True),
    "terminated early and nothing else": Fault.only_terminated(),
    "half a line": Fault.half_line(30),
    "an error as JSON": Fault.error_line(30, '{"error": "out of disk"}'),
    "a web page": Fault.html(),
    "garbage behind the gzip": Fault.garbage_after(),
}

HARMLESS = {
    "a second gzip member": Fault.second_member(),
    "zeros behind the gzip": Fault.zero_padding(),
    "one record on two lines": Fault.split_record(10),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
async def test_a_passing_fault_is_asked_for_again_and_leaves_no_trace(fake, client_of, path, fault):
    fake.faults.add(fault, date="2026-01-03", attempts=[1])

    result = await client_of(fake).fetch_events(**DAYS)

    assert not result.has_failures
    assert stored(path) == expected(fake, FIRST, LAST)
    asked = [request.from_date for request in fake.requests]
    assert sorted(asked) == ["2026-01-01", "2026-01-03", "2026-01-03", "2026-01-05"]


@pytest.mark.parametrize("fault", HARMLESS.values(), ids=HARMLESS)
async def test_a_strange_but_whole_answer_is_taken(fake, client_of, path, fault):
    fake.faults.add(fault, date="2026-01-03")

    await client_of(fake).fetch_events(**DAYS)

    assert stored(path).total() == expected(fake, FIRST, LAST).total()
    assert len(fake.requests) == 3


async def test_a_chunk_that_keeps_failing_stops_no_other_and_can_be_fetched_later(fake, client_of, path):
    fake.faults.add(Fault.cut(after_fraction=0.5), date="2026-01-03", times=5)  # two for both days, three for one
    client = client_of(fake)

    first = await client.fetch_events(**DAYS)
    assert first.failed_date_ranges == (("2026-01-03", "2026-01-04"),)
    assert (first.successful_batches, first.failed_batches) == (2, 1)
    assert stored(path) == expected(fake, FIRST, "2026-01-02") + expected(fake, "2026-01-05", LAST)

    second = await client.fetch_events(**DAYS, resume=True)
    assert (second.successful_batches, second.has_failures) == (1, False)
    assert stored(path) == expected(fake, FIRST, LAST)


async def test_all_chunks_failed_is_an_error_that_gives_the_first_cause(fake, client_of):
    fake.faults.add(Fault.status(503, "overloaded"))

    with pytest.raises(
        ExportError, match=r"All 3 chunks failed.*2026-01-01 to 2026-01-02.*503.*overloaded.*3 attempts"
    ) as error:
        await client_of(fake).fetch_events(**DAYS)
    failures = error.value.failures
    assert [(each.from_date, each.to_date, each.attempts) for each in failures] == [
        (first, last, 3) for first, last in split_date_range(FIRST, LAST, 2)
    ]
    assert all(each.error.startswith("Mixpanel failed (503)") for each in failures)


@pytest.mark.parametrize(
    ("fault", "error", "attempts"),
    [
        (Fault.status(503), ServerError, 3),
        (Fault.cut(after_fraction=0.5), ConnectionLostError, 3),  # as a request for one day
        (Fault.rate_limited("0"), RateLimitError, 3),
    ],
)
async def test_one_request_raises_its_own_error(fake, client_of, fault, error, attempts):
    fake.faults.add(fault)

    with pytest.raises(error) as caught:
        await client_of(fake).fetch_events(from_date=FIRST, to_date=LAST)

    assert (caught.value.from_date, caught.value.to_date, caught.value.attempts) == (FIRST, LAST, attempts)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.auth_expired(401), AuthenticationError),
        (Fault.auth_expired(400), AuthenticationError),
        (Fault.status(403, '{"error": "no access"}'), AuthenticationError),
        (Fault.status(400, "where: syntax error"), QueryError),
        (Fault.status(402, '{"error": "Your plan does not allow API calls."}'), QueryError),
    ],
)
async def test_what_every_chunk_would_meet_ends_the_run_at_once(fake, client_of, path, fault, error):
    fake.faults.add(fault)

    with pytest.raises(error):
        await client_of(fake).fetch_events(
            from_date=FIRST, to_date="2026-03-31", parallel=True, chunk_days=1, max_workers=1
        )

    assert len(fake.requests) == 1


async def test_a_run_to_which_nothing_came_leaves_no_table(fake, client_of, path):
    fake.faults.add(Fault.auth_expired(401), times=1)
    client = client_of(fake)
    with pytest.raises(AuthenticationError):
        await client.fetch_events(from_date=FIRST, to_date=LAST)

    await client.fetch_events(from_date=FIRST, to_date=LAST)  # no TableExistsError

    assert stored(path) == expected(fake, FIRST, LAST)


async def test_a_failed_append_leaves_the_old_rows(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_events(**DAYS)
    before = stored(path), journal(path)
    fake.faults.add(Fault.no_trailer(), date="2026-01-05")

    result = await client.fetch_events(**DAYS, append=True)

    assert result.failed_date_ranges == (("2026-01-05", "2026-01-06"),)
    assert (stored(path), journal(path)) == before


async def test_the_servers_own_limits_are_waited_out(client_of, path):
    """The fake holds Mixpanel's limits; a client that keeps to them meets no 429."""
    async with FakeMixpanel(GeneratedEvents(per_day=5), today="2026-06-01") as server:
        client = client_of(server, limits=RateLimits())
        result = await client.fetch_events(from_date=FIRST, to_date="2026-01-05", parallel=True, chunk_days=1)

        assert result.successful_batches == 5
        assert [request.status for request in server.requests] == [200] * 5


@pytest.mark.parametrize("parallel", [True, False])
async def test_a_chunk_that_keeps_breaking_off_is_asked_for_in_halves_down_to_a_day(fake, client_of, path, parallel):
    for days in (6, 3, 2):  # every request of more than a day breaks off
        for first in range(1, 8 - days):
            dates = {"from_date": f"2026-01-{first:02}", "to_date": f"2026-01-{first + days - 1:02}"}
            fake.faults.add(Fault.cut(after_fraction=0.5), **dates)

    client = client_of(fake, retry=AT_ONCE)
    await client.fetch_events(from_date=FIRST, to_date=LAST, parallel=parallel, chunk_days=7)

    assert stored(path) == expected(fake, FIRST, LAST)
    assert [chunk[:2] for chunk in journal(path)] == [(FIRST, LAST)]
    asked = Counter((request.from_date, request.to_date) for request in fake.requests)
    assert asked.pop((FIRST, LAST)) == 2
    assert set(asked.values()) == {1}
    assert len(asked) == 10


@pytest.mark.parametrize("fault", [Fault.cut(after_fraction=0.5), Fault.terminated_early(10), Fault.no_trailer()])
@pytest.mark.parametrize("way", ["table", "stream"])
async def test_what_came_whole_is_not_requested_again(client_of, path, fault, way, monkeypatch):
    """Of 28 days the last never comes. Each request is sent five times at most, and each good body comes once."""
    waits = []
    monkeypatch.setattr(RetryPolicy, "wait", lambda _, attempt, *__, **___: waits.append(attempt) or 0)
    dates = {"from_date": "2026-01-01", "to_date": "2026-01-28"}
    async with FakeMixpanel(GeneratedEvents(per_day=5), today="2026-06-01", limits=None) as server:
        server.faults.add(fault, date="2026-01-28")
        client = client_of(server, retry=RetryPolicy(attempts=5, wait_initial=0, wait_max=0))
        with pytest.raises(ConnectionLostError, match=r"the request for 2026-01-28\).*after 5 attempts"):
            if way == "table":
                await client.fetch_events(**dates)
            else:
                await anext(client.stream_events(**dates, chunk_days=28))
        asked = Counter((request.from_date[-2:], request.to_date[-2:]) for request in server.requests)

    halves = [("01", "14"), ("15", "28"), ("15", "21"), ("22", "28"), ("22", "25"), ("26", "28"), ("26", "27")]
    assert asked == {("01", "28"): 2, **dict.fromkeys(halves, 1), ("28", "28"): 5}
    assert waits == list(range(1, 10))  # they grow from a request to its halves


@pytest.mark.parametrize("fault", [Fault.no_trailer(), Fault.bad_crc(), Fault.cut(after_fraction=0.5)])
async def test_a_long_chunk_that_breaks_off_is_requested_again(fake, client_of, path, monkeypatch, fault):
    """Its insert ids are read before it is decoded."""
    monkeypatch.setattr(export_fetch, "LONG_DAY", 1)
    fake.faults.add(fault, date="2026-01-03", attempts=[1])
    result = await client_of(fake).fetch_events(**DAYS)
    assert not result.has_failures
    assert stored(path) == expected(fake, FIRST, LAST)
    assert len(fake.requests) == 4


@pytest.mark.parametrize("way", ["table", "stream"])
async def test_good_halves_are_kept_while_others_come(client_of, path, way):
    async with FakeMixpanel(GeneratedEvents(per_day=5), today="2026-06-01", limits=None) as server:
        server.faults.add(Fault.cut(after_fraction=0.5), from_date="2026-01-01", to_date="2026-01-04", times=2)
        server.faults.add(Fault.no_trailer(), from_date="2026-01-03", to_date="2026-01-04")
        server.faults.add(Fault.reset(after_bytes=100), from_date="2026-01-04", to_date="2026-01-04", times=2)
        client = client_of(server, retry=RetryPolicy(attempts=5, wait_initial=0, wait_max=0))
        dates = {"from_date": "2026-01-01", "to_date": "2026-01-04"}
        if way == "table":
            await client.fetch_events(**dates)
            assert stored(path) == expected(server, "2026-01-01", "2026-01-04")
        else:
            events = [event async for event in client.stream_events(**dates, raw=True, chunk_days=7)]
            assert len(events) == len(list(server.truth_lines(*dates.values())))
        asked = Counter((request.from_date[-1], request.to_date[-1]) for request in server.requests)
    assert asked == {("1", "4"): 2, ("1", "2"): 1, ("3", "4"): 1, ("3", "3"): 1, ("4", "4"): 3}


@pytest.mark.parametrize("way", ["table", "stream"])
async def test_a_limited_request_is_never_cut_in_halves(fake, client_of, way):
    fake.faults.add(Fault.cut(after_fraction=0.5))
    client, dates = client_of(fake), {"from_date": FIRST, "to_date": LAST, "limit": 100}
    with pytest.raises(ConnectionLostError):
        await (client.fetch_events(**dates) if way == "table" else anext(client.stream_events(**dates)))
    assert {(request.from_date, request.to_date) for request in fake.requests} == {(FIRST, LAST)}
    assert len(fake.requests) == 3


async def test_a_day_that_keeps_breaking_off_is_given_up_and_its_chunk_left_out(fake, client_of, path):
    fake.faults.add(Fault.terminated_early(10), date="2026-01-03")

    result = await client_of(fake).fetch_events(**DAYS)

    assert result.failed_date_ranges == (("2026-01-03", "2026-01-04"),)
    assert stored(path) == expected(fake, FIRST, "2026-01-02") + expected(fake, "2026-01-05", LAST)


async def test_why_a_chunk_failed_is_in_the_log_and_in_the_result(fake, client_of, path, caplog):
    fake.faults.add(Fault.status(500, "out of memory"), date="2026-01-02")
    result = await client_of(fake).fetch_events(
        from_date="2026-01-01", to_date="2026-01-03", parallel=True, chunk_days=1
    )
    [failure] = result.failures
    assert (failure.from_date, failure.to_date) == result.failed_date_ranges[0] == ("2026-01-02", "2026-01-02")
    assert failure.attempts > 1
    assert "out of memory" in failure.error
    assert any(failure.error in record.getMessage() for record in caplog.records if record.levelname == "WARNING")


@pytest.mark.parametrize("unframed", ["01", "02"])
@pytest.mark.parametrize("way", ["table", "stream"])
async def test_the_framing_of_each_body_of_a_chunk_is_looked_at(client_of, caplog, unframed, way):
    """Two days broke off together and came one by one; of one of them the end is not marked."""

    def answer(request):
        first, last = request.params["from_date"], request.params["to_date"]
        body = gzip.compress(EVENT)
        if first != last:
            return with_length(body[:-9], len(body)), hang_up
        return until_close(body) if first.endswith(unframed) else with_length(body)

    async with RawServer(answer) as server:
        client, dates = client_of(server), {"from_date": "2026-01-01", "to_date": "2026-01-02"}
        if way == "table":
            await client.fetch_events(**dates)
        else:
            assert len([event async for event in client.stream_events(**dates, chunk_days=2)]) == 2
    [warning] = [record.getMessage() for record in caplog.records if "nor an end mark" in record.getMessage()]
    assert warning.startswith("2026-01-01 to 2026-01-02: the response's headers gave neither its length")


async def test_no_more_chunks_are_written_at_once_than_there_are_cores(fake, client_of, path, monkeypatch):
    """Eight chunks have come before the first is written. Each that is written holds its rows in memory."""
    fetch, load = Downloads._fetch, ChunkFetcher._load
    come, writing, most = asyncio.Semaphore(0), set(), []

    async def fetched(downloads, *what):
        await fetch(downloads, *what)
        come.release()

    async def loaded(fetcher, chunk, body, **options):
        writing.add(chunk)
        most.append(len(writing))
        if len(most) == 1:
            for _ in range(8):
                await come.acquire()
        await load(fetcher, chunk, body, **options)
        writing.discard(chunk)

    monkeypatch.setattr(Downloads, "_fetch", fetched)
    monkeypatch.setattr(ChunkFetcher, "_load", loaded)
    await client_of(fake).fetch_events(from_date=FIRST, to_date="2026-01-20", parallel=True, chunk_days=1)

    assert stored(path) == expected(fake, FIRST, "2026-01-20")
    assert len(most) == 20
    assert max(most) <= CHUNKS_AT_ONCE
