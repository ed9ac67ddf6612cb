"""Every event that the server has comes once, in the order of the dates, whatever breaks on the way."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
from contextlib import aclosing

import pytest

from mixpanel_async import (
    AuthenticationError,
    ConnectionLostError,
    DecodeError,
    MixpanelClient,
    RateLimits,
    RetryPolicy,
    ServerError,
    ServiceAccount,
)
from mixpanel_async.export import spool
from mixpanel_async.testing import FakeMixpanel, Fault, GivenEvents
from tests.conftest import tasks_of_the_library
from tests.slices import few
from tests.system.test_faults import HARMLESS, PASSING

from .conftest import DAYS, FIRST, LAST, event_line, normalized

PATIENT = RetryPolicy(attempts=11, wait_initial=0.0, wait_max=0.0)


async def take(stream, events):
    async for event in stream:
        events.append(event)


async def taken(stream):
    return [event async for event in stream]


def key(event):
    return event["event"], event["properties"]["time"], event["properties"]["sequence"]


def truth(fake, first=FIRST, last=LAST):
    return list(fake.truth(first, last, time_in_ms=True))


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("chunk_days", [1, 5, 30, "auto"])
async def test_all_events_in_the_servers_order(fake, client_of, path, parallel, chunk_days):
    choice = {**DAYS, "parallel": parallel, "chunk_days": chunk_days, "max_workers": 3}

    assert await taken(client_of(fake).stream_events(**choice)) == list(map(normalized, truth(fake)))
    assert await taken(client_of(fake).stream_events(**choice, raw=True)) == truth(fake)

    assert fake.max_open <= (3 if parallel else 1)
    assert not path.exists()  # nothing is stored


@pytest.mark.parametrize("parallel", [False, True])
async def test_broken_ten_times_each_event_comes_once(fake, client_of, parallel):
    breaks = [Fault.reset(after_bytes=4000), Fault.cut(after_fraction=0.7), Fault.cut_at_line(200), Fault.no_trailer()]
    for day in range(1, 11):
        fake.faults.add(breaks[day % 4], date=f"2026-01-{day:02}", attempts=[1])

    events = await taken(client_of(fake).stream_events(**{**DAYS, "chunk_days": 1}, raw=True, parallel=parallel))

    assert events == truth(fake)
    assert len(fake.requests) == 12 + 10


async def test_one_chunk_that_breaks_ten_times_comes_once(fake, client_of):
    fake.faults.add(Fault.cut(after_fraction=0.9), date=FIRST, times=10)

    events = await taken(client_of(fake, retry=PATIENT).stream_events(from_date=FIRST, to_date=FIRST, raw=True))

    assert events == truth(fake, FIRST, FIRST)
    assert len(fake.requests) == 11


async def test_a_chunk_that_keeps_breaking_off_is_asked_for_in_halves(fake, client_of):
    fake.faults.add(Fault.cut(after_fraction=0.9), from_date=FIRST, to_date="2026-01-04")

    events = await taken(client_of(fake).stream_events(**{**DAYS, "chunk_days": 4}, raw=True))

    assert events == truth(fake)
    assert len(fake.requests) == 2 + 2 + 2


@pytest.mark.parametrize("fault", few([*PASSING, *HARMLESS], 9))
async def test_whatever_breaks_nothing_comes_twice_or_is_missing(fake, client_of, fault):
    fake.faults.add((PASSING | HARMLESS)[fault], date="2026-01-03", attempts=[1])

    events = await taken(client_of(fake).stream_events(**DAYS, raw=True, parallel=True))

    assert [key(event) for event in events] == [key(event) for event in truth(fake)]


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.terminated_early(200), ConnectionLostError),
        (Fault.error_line(200), ServerError),
        (Fault.bad_crc(), ConnectionLostError),
    ],
)
async def test_what_cannot_be_had_ends_the_stream_where_it_would_have_come(fake, client_of, fault, error, parallel):
    fake.faults.add(fault, date="2026-01-07")
    events = []

    with pytest.raises(error) as caught:
        await take(client_of(fake).stream_events(**DAYS, raw=True, parallel=parallel, max_workers=4), events)

    assert events == truth(fake, FIRST, "2026-01-06")  # and none of a chunk that is not whole
    assert (caught.value.from_date, caught.value.to_date) == ("2026-01-07", "2026-01-08")
    assert "before 2026-01-07 were yielded" in caught.value.__notes__[0]
    rest = await taken(client_of(fake).stream_events(from_date="2026-01-09", to_date=LAST, raw=True))
    assert events + truth(fake, "2026-01-07", "2026-01-08") + rest == truth(fake)


async def test_an_error_names_the_dates_to_go_on_from_though_a_later_chunk_met_it_first(fake, client_of):
    fake.faults.add(Fault.first_byte_delay(0.2).also(Fault.no_trailer()), date=FIRST, attempts=[1])
    fake.faults.add(Fault.auth_expired(), date="2026-01-09")

    with pytest.raises(AuthenticationError) as caught:
        await taken(client_of(fake).stream_events(**DAYS, parallel=True))

    assert caught.value.from_date == FIRST
    assert len(fake.requests) == 6


async def test_chunks_after_one_that_failed_are_not_asked_for(fake, client_of):
    fake.faults.add(Fault.status(503), date="2026-01-03")
    stream = client_of(fake).stream_events(**{**DAYS, "chunk_days": 1}, parallel=True, max_workers=3)

    await anext(stream)
    await fake.until(lambda: len(fake.requests) == 5 and fake.open == 0)
    for _ in range(150):  # the first chunk's, and one of the second's
        await anext(stream)
    for _ in range(200):
        await asyncio.sleep(0)
    with pytest.raises(ServerError):
        await taken(stream)

    assert len(fake.requests) == 5


async def test_a_limit_is_one_requests(fake, client_of):
    events = await taken(client_of(fake).stream_events(**DAYS, limit=700, raw=True))

    assert events == truth(fake)[:700]
    assert [(request.from_date, request.to_date, request.params["limit"]) for request in fake.requests] == [
        (FIRST, LAST, "700")
    ]


async def test_chosen_events(fake, client_of):
    name = truth(fake)[0]["event"]
    events = await taken(client_of(fake).stream_events(**DAYS, events=[name], raw=True))
    assert events == [event for event in truth(fake) if event["event"] == name]


async def test_a_slow_consumer_holds_the_downloads_back(fake, client_of):
    stream = client_of(fake).stream_events(**DAYS, parallel=True, max_workers=2)
    async with aclosing(stream):
        await anext(stream)
        await fake.until(lambda: len(fake.requests) >= 2 and fake.open == 0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(fake.requests) == 2
        for _ in range(300):  # the first chunk's, and one of the second's
            await anext(stream)
        await fake.until(lambda: len(fake.requests) == 3)


async def test_without_parallel_a_chunk_is_asked_for_when_the_one_before_was_taken(fake, client_of):
    async with aclosing(client_of(fake).stream_events(**DAYS)) as stream:
        for _ in range(300):
            await anext(stream)
        assert len(fake.requests) == 1
        await anext(stream)
        assert len(fake.requests) == 2


async def test_leaving_the_loop_closes_what_is_being_downloaded(fake, client_of):
    fake.faults.add(Fault.stall(after_bytes=2000), date="2026-01-05")

    async for _ in client_of(fake).stream_events(**DAYS, parallel=True):
        await fake.until(lambda: fake.open == 1)
        break

    await fake.until(lambda: fake.open == 0)
    assert tasks_of_the_library() == []


@pytest.mark.parametrize("leave", [False, True])
async def test_what_memory_has_no_room_for_waits_in_files_that_are_closed(fake, client_of, monkeypatch, leave):
    monkeypatch.setattr(spool, "SPILL", 1000)
    monkeypatch.setattr(spool.MemoryBudget.__init__, "__defaults__", (0,))
    events = []

    async with aclosing(client_of(fake).stream_events(**DAYS, raw=True, parallel=True)) as stream:
        if leave:
            await anext(stream)
            await fake.until(lambda: len(fake.requests) == 6 and fake.open == 0)
        else:
            await take(stream, events)

    assert events == ([] if leave else truth(fake))
    gc.collect()  # a file that was left open warns, and a warning is an error


async def test_a_cancel_closes_what_is_being_downloaded(fake, client_of):
    fake.faults.add(Fault.stall(after_bytes=2000))
    task = asyncio.ensure_future(taken(client_of(fake).stream_events(**DAYS, parallel=True, max_workers=3)))
    await fake.until(lambda: fake.open == 3)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await fake.until(lambda: fake.open == 0)


async def test_closing_the_client_ends_a_stream(fake, client_of):
    fake.faults.add(Fault.stall(after_bytes=2000), date="2026-01-03")
    client = client_of(fake)
    task = asyncio.ensure_future(taken(client.stream_events(**DAYS)))
    await fake.until(lambda: len(fake.requests) == 2)

    await client.close()

    with pytest.raises(RuntimeError, match="closed while this stream ran"):
        await task
    with pytest.raises(RuntimeError, match="is closed"):
        await taken(client.stream_events(**DAYS))


async def test_a_stream_that_is_held_ends_after_its_chunk_when_the_client_is_closed(fake, client_of):
    client = client_of(fake)
    stream = client.stream_events(**DAYS)
    await anext(stream)
    await client.close()

    with pytest.raises(RuntimeError, match="is closed"):
        await taken(stream)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"from_date": "2026-02-01"}, "swap them"),
        ({"to_date": "tomorrow"}, "to_date must be a date"),
        ({"chunk_days": 0}, "chunk_days must be"),
        ({"max_workers": 0}, "max_workers must be"),
        ({"limit": 0}, "from 1 to 100000"),
        ({"limit": 5, "parallel": True}, "limit belongs to one request"),
        ({"events": "e"}, "events must be a list"),
        ({"where": ""}, "where must be"),
    ],
)
@pytest.mark.parametrize("method", ["stream_events", "stream_batches"])
async def test_bad_arguments_raise_at_the_call(fake, client_of, method, arguments, says):
    with pytest.raises(ValueError, match=says):
        getattr(client_of(fake), method)(**{**DAYS, **arguments})
    assert fake.requests == []


async def test_the_limiter_is_the_clients(client_of, fake):
    client = client_of(fake, limits=RateLimits(per_second=1000, per_hour=3))
    async with aclosing(client.stream_events(**DAYS, parallel=True, max_workers=6)) as stream:
        for _ in range(900):
            await anext(stream)
        assert len(fake.requests) == 3


BAD = b'{"event":"e","properties":{"time":"never"}}'


async def served(client_of, lines, **choice):
    async with FakeMixpanel(GivenEvents(lines={FIRST: lines}), today="2026-06-01", limits=None) as server:
        return await taken(client_of(server).stream_events(from_date=FIRST, to_date=FIRST, **choice))


@pytest.mark.parametrize("raw", [False, True])
async def test_a_line_that_is_no_event_ends_the_stream_at_its_place(client_of, raw):
    good = [event_line(f'"n":{n}') for n in range(400)]
    lines = [*good[:300], BAD, *good[300:]]
    events = []

    async with FakeMixpanel(GivenEvents(lines={FIRST: lines}), today="2026-06-01", limits=None) as server:
        with pytest.raises(DecodeError, match=f"{FIRST}, line 301: no usable time") as caught:
            await take(client_of(server).stream_events(from_date=FIRST, to_date=FIRST, raw=raw), events)

    assert [event["properties"]["n"] for event in events] == list(range(300))
    error = caught.value
    assert (error.from_date, error.to_date, error.line_number, error.line) == (FIRST, FIRST, 301, BAD)
    assert "on_rejected" in error.__notes__[0]


@pytest.mark.parametrize("raw", [False, True])
async def test_whoever_is_told_of_such_lines_gets_all_others(client_of, raw):
    good = [event_line(f'"n":{n}') for n in range(400)]
    lines = [b"[]", *good[:300], BAD, *good[300:350], b"null", *good[350:]]
    told = []

    events = await served(client_of, lines, raw=raw, on_rejected=told.append)

    assert [event["properties"]["n"] for event in events] == list(range(400))
    assert [(error.line_number, error.line) for error in told] == [(1, b"[]"), (302, BAD), (353, b"null")]


async def test_a_hook_that_raises_ends_the_stream_with_it(client_of):
    def hook(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await served(client_of, [event_line(), BAD, event_line()], on_rejected=hook)


async def test_another_event_loop_is_told_so(fake, client_of):
    client = client_of(fake)
    await anext(client.stream_events(**DAYS))
    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(lambda: asyncio.run(taken(client.stream_events(**DAYS))))


async def test_an_answer_without_an_end_mark_is_told(fake, client_of, caplog):
    fake.faults.add(Fault.cut(after_fraction=1.0, framing="close"), date=FIRST)
    events = await taken(client_of(fake).stream_events(**DAYS, raw=True))
    assert events == truth(fake)
    assert "neither its length nor an end mark" in caplog.text


async def test_times_are_aware_and_dates_may_be_dates(fake, client_of):
    day = dt.date(2026, 1, 3)
    events = await taken(client_of(fake).stream_events(from_date=day, to_date=day))
    assert {event["event_time"].date() for event in events} == {day}
    assert {event["event_time"].tzinfo for event in events} == {dt.UTC}


async def test_a_client_needs_no_database_to_stream(fake, tmp_path):
    account = fake.project.service_account
    credentials = ServiceAccount(account.username, account.secret, fake.project.id)
    nowhere = tmp_path / "missing" / "mixpanel.duckdb"
    async with MixpanelClient(credentials, database=nowhere, base_url=fake.url) as client:
        assert len(await taken(client.stream_events(from_date=FIRST, to_date=FIRST))) == 150
