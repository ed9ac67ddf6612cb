"""What goes wrong on the way is asked for again, or told; never half written."""

from __future__ import annotations

import pytest

from mixpanel_async import (
    AuthenticationError,
    ConnectionLostError,
    ExportError,
    QueryError,
    RateLimitError,
    RateLimits,
    ServerError,
)
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents

from .conftest import AT_ONCE, expected, journal, stored

FIRST, LAST = "2026-01-01", "2026-01-06"
DAYS = {"from_date": FIRST, "to_date": LAST, "parallel": True, "chunk_days": 2}

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
    fake.faults.add(Fault.cut(after_fraction=0.5), date="2026-01-03", times=3)
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
    ):
        await client_of(fake).fetch_events(**DAYS)


@pytest.mark.parametrize(
    ("fault", "error", "attempts"),
    [
        (Fault.status(503), ServerError, 3),
        (Fault.cut(after_fraction=0.5), ConnectionLostError, 5),  # it was cut into days
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
    await client.fetch_events(from_date=FIRST, to_date=LAST, parallel=parallel)

    assert stored(path) == expected(fake, FIRST, LAST)
    assert [chunk[:2] for chunk in journal(path)] == [(FIRST, LAST)]
    assert [(request.from_date, request.to_date) for request in fake.requests[-6:]] == [
        (f"2026-01-{day:02}", f"2026-01-{day:02}") for day in range(1, 7)
    ]


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
