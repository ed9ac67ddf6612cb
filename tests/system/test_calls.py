"""A call and its surroundings: arguments, hooks, other calls, the table that is there, cancels and closing."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import logging
import threading
from collections import Counter

import aiohttp
import duckdb
import pytest

from mixpanel_async import (
    ConfigurationError,
    DatabaseLockedError,
    MixpanelClient,
    ProjectSecret,
    SelectionMismatchError,
    ServiceAccount,
    TableExistsError,
    TableNotFoundError,
    clock,
)
from mixpanel_async.testing import Fault
from tests.conftest import tasks_of_the_library
from tests.matrix.raw import RawServer, with_length

from .conftest import UNHURRIED, expected, journal, stored

FIRST, LAST = "2026-01-01", "2026-01-12"
DAYS = {"from_date": FIRST, "to_date": LAST, "parallel": True, "chunk_days": 2}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"from_date": "2026-01-02", "to_date": "2026-01-01"}, "swap them"),
        ({"from_date": "1/2/2026"}, "from_date must be a date as 'YYYY-MM-DD'"),
        ({"to_date": "2026-02-30"}, "February 2026 has 28 days"),
        ({"from_date": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, "not a time of day"),
        ({"max_workers": 0}, "max_workers must be a whole number, 1 or more"),
        ({"max_workers": True}, "max_workers"),
        ({"chunk_days": 0}, "chunk_days must be a whole number of days"),
        ({"chunk_days": "weekly"}, "'auto'"),
        ({"limit": 10}, "limit belongs to one request"),
        ({"limit": 100_001, "parallel": False}, "from 1 to 100000"),
        ({"limit": 0, "parallel": False}, "from 1 to 100000"),
        ({"name": 'events"'}, "letters, digits and underscores"),
        ({"name": ""}, "letters, digits and underscores"),
        ({"name": "_mixpanel_chunks"}, "the library's own"),
        ({"events": "Signed up"}, r"\['Signed up'\]"),
        ({"events": []}, "None for all"),
        ({"where": " "}, "where must be an expression"),
        ({"append": True, "resume": True}, "pass one of them"),
    ],
)
async def test_bad_arguments_raise_before_a_byte_is_sent_or_a_file_made(fake, client_of, path, arguments, says):
    with pytest.raises(ValueError, match=says):
        await client_of(fake).fetch_events(**{**DAYS, **arguments})

    assert fake.requests == []
    assert not path.exists()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ServiceAccount("user", "", 1), "secret is missing"),
        (lambda: ServiceAccount("user", "secret", 0), "project_id"),
        (lambda: MixpanelClient(ServiceAccount("user", "secret", 1), region="mars"), "us, eu, in"),
        (lambda: MixpanelClient(ServiceAccount("user", "secret", 1), base_url="http://example.com"), "https"),
    ],
)
def test_what_cannot_work_is_said_when_it_is_made(make, says):
    with pytest.raises(ConfigurationError, match=says):
        make()


def test_missing_variables_are_named(monkeypatch):
    monkeypatch.delenv("MP_SECRET", raising=False)
    monkeypatch.setenv("MP_USERNAME", "user")
    with pytest.raises(ConfigurationError, match="MP_SECRET, MP_PROJECT_ID"):
        MixpanelClient()


async def test_hooks_hear_of_each_chunk_after_its_commit(fake, client_of, path):
    fake.faults.add(Fault.status(503), date="2026-01-05")
    heard, running = [], 0

    async def hook(progress):
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        heard.append(progress)
        running -= 1

    result = await client_of(fake).fetch_events(**DAYS, on_batch_complete=hook)

    assert sorted(news.batch_index for news in heard) == list(range(6))
    assert {news.total_batches for news in heard} == {6}
    assert sum(news.rows for news in heard) == result.total_rows
    failed = [news for news in heard if not news.success]
    assert [(news.from_date, news.to_date) for news in failed] == list(result.failed_date_ranges)
    assert "503" in failed[0].error
    rows = {(first, last): count for first, last, count, _ in journal(path)}
    assert {(news.from_date, news.to_date): news.rows for news in heard if news.success} == rows


async def test_a_slow_hook_holds_nothing_back_and_a_failing_one_ends_nothing(fake, client_of, path, caplog):
    all_asked, calls = asyncio.Event(), []

    async def slow(progress):
        calls.append(progress)
        await all_asked.wait()  # the first call returns when the last chunk was asked for
        raise ZeroDivisionError

    async with asyncio.TaskGroup() as group:
        task = group.create_task(client_of(fake).fetch_events(**DAYS, max_workers=1, on_batch_complete=slow))
        await fake.until(lambda: len(fake.requests) == 6)
        all_asked.set()

    assert not task.result().has_failures
    assert len(calls) == 6
    assert "A progress hook failed" in caplog.text


async def test_the_file_is_free_after_each_call(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_events(**DAYS)
    duckdb.connect(str(path)).close()
    fake.faults.add(Fault.stall(after_bytes=100), date="2026-01-11", times=1)
    task = asyncio.ensure_future(client.fetch_events(**DAYS, append=True))
    await fake.until(lambda: len(fake.requests) == 12)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    duckdb.connect(str(path)).close()


async def test_a_file_that_this_process_only_reads_is_refused_before_anything_is_asked(fake, client_of, path):
    duckdb.connect(str(path)).close()
    client = client_of(fake, lock_timeout=0)
    with duckdb.connect(str(path), read_only=True), pytest.raises(DatabaseLockedError, match=r"duckdb.*read_only"):
        await client.fetch_events(**DAYS)
    assert fake.requests == []


async def test_a_table_that_is_there_asks_for_a_decision(fake, client_of, path):
    client = client_of(fake)
    with pytest.raises(TableNotFoundError):
        await client.fetch_events(**DAYS, append=True)
    await client.fetch_events(**DAYS)
    asked = len(fake.requests)

    with pytest.raises(TableExistsError, match="resume=True"):
        await client.fetch_events(**DAYS)
    with pytest.raises(TableExistsError):
        await client.fetch_events("EVENTS", **DAYS)  # DuckDB does not tell the two apart
    with pytest.raises(SelectionMismatchError):
        await client.fetch_events(**DAYS, resume=True, events=["Signed up"])
    again = await client.fetch_events(**DAYS, resume=True)

    assert len(fake.requests) == asked
    assert (again.total_rows, again.successful_batches) == (0, 0)


async def test_append_replaces_its_dates_and_resume_asks_only_for_what_is_missing(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_events(from_date="2026-01-03", to_date="2026-01-09", parallel=True, chunk_days=7)
    await client.fetch_events(from_date="2026-01-08", to_date="2026-01-10", append=True)
    assert [(first, last) for first, last, _, _ in journal(path)] == [
        ("2026-01-03", "2026-01-07"),
        ("2026-01-08", "2026-01-10"),
    ]
    asked = len(fake.requests)

    await client.fetch_events(**{**DAYS, "chunk_days": 30}, resume=True)

    assert [(request.from_date, request.to_date) for request in fake.requests[asked:]] in (
        [("2026-01-01", "2026-01-02"), ("2026-01-11", "2026-01-12")],
        [("2026-01-11", "2026-01-12"), ("2026-01-01", "2026-01-02")],
    )
    assert stored(path) == expected(fake, FIRST, LAST)


async def test_a_day_that_is_not_over_is_asked_for_again(fake, client_of, path):
    today = dt.datetime.now(dt.UTC).date()
    fake.clock.now = dt.datetime.now(dt.UTC)
    days = {"from_date": today - dt.timedelta(days=4), "to_date": today, "parallel": True}
    client = client_of(fake)
    await client.fetch_events(**days)

    await client.fetch_events(**days, resume=True)

    again = fake.requests[-1]
    assert dt.date.fromisoformat(again.from_date) > today - dt.timedelta(days=4)
    assert again.to_date == today.isoformat()
    assert stored(path) == expected(fake, str(days["from_date"]), str(today))


async def test_two_calls_at_once_share_a_client_and_a_file(fake, client_of, path):
    client = client_of(fake)
    async with asyncio.TaskGroup() as group:
        group.create_task(client.fetch_events("one", **DAYS))
        group.create_task(client.fetch_events("two", **DAYS))
        group.create_task(client.fetch_events("one", **{**DAYS, "to_date": "2026-01-20"}, resume=True))

    assert stored(path, "one") == expected(fake, FIRST, "2026-01-20")
    assert stored(path, "two") == expected(fake, FIRST, LAST)


@pytest.mark.parametrize("where", ["memory", "connection"])
async def test_a_database_that_is_no_path(fake, client_of, where):
    connection = duckdb.connect()
    client = client_of(fake, database=connection if where == "connection" else ":memory:")
    result = await client.fetch_events(**DAYS)
    again = await client.fetch_events(**DAYS, resume=True)

    assert again.successful_batches == 0
    if where == "connection":
        assert connection.execute("SELECT count(*) FROM events").fetchall() == [(result.total_rows,)]
        await client.close()
        connection.execute("SELECT 1")
    connection.close()


async def test_workers_are_asked_for_all_at_once_and_never_more(fake, client_of):
    fake.faults.add(Fault.stall())
    task = asyncio.ensure_future(client_of(fake).fetch_events(**{**DAYS, "chunk_days": 1}, max_workers=5))
    await fake.until(lambda: fake.open == 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert fake.max_open == 5


async def test_a_cancel_leaves_whole_chunks_and_nothing_running(fake, client_of, path):
    fake.faults.add(Fault.stall(after_bytes=1500), date="2026-01-11")
    committed = asyncio.Event()
    threads = threading.active_count()

    async def hook(progress):
        if progress.success:
            committed.set()

    client = client_of(fake)
    task = asyncio.ensure_future(client.fetch_events(**DAYS, on_batch_complete=hook))
    await committed.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert tasks_of_the_library() == []
    assert threading.active_count() >= threads  # the loop's own pool stays, idle
    done = journal(path)
    assert done
    assert stored(path) == sum((expected(fake, first, last) for first, last, _, _ in done), start=Counter())
    fake.faults.clear()
    await client.fetch_events(**DAYS, resume=True)
    assert stored(path) == expected(fake, FIRST, LAST)


async def test_close_ends_a_running_call(fake, client_of):
    fake.faults.add(Fault.stall())
    client = client_of(fake)
    task = asyncio.ensure_future(client.fetch_events(**DAYS))
    await fake.until(lambda: fake.open > 0)
    await client.close()

    with pytest.raises(RuntimeError, match="closed while this call ran"):
        await task
    with pytest.raises(RuntimeError, match="is closed"):
        await client.fetch_events(**DAYS)


async def test_another_event_loop_is_told_so(fake, client_of, path):
    client = client_of(fake)
    await client.fetch_events("one", from_date=FIRST, to_date=FIRST)

    def elsewhere():
        return asyncio.run(client.fetch_events("two", from_date=FIRST, to_date=FIRST))

    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(elsewhere)


async def test_a_callers_session_is_used_and_left_open(fake, client_of, path):
    async with aiohttp.ClientSession() as session:
        async with client_of(fake, session=session) as client:
            await client.fetch_events(**DAYS)
        assert not session.closed
    assert stored(path) == expected(fake, FIRST, LAST)


async def test_no_secret_in_logs_errors_and_reprs(fake, path, caplog):
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    account = ServiceAccount(fake.project.service_account.username, "hunter2-wrong", fake.project.id)
    client = MixpanelClient(account, database=path, base_url=fake.url, limits=UNHURRIED)
    with pytest.raises(Exception) as caught:
        await client.fetch_events(from_date=FIRST, to_date=LAST)
    await client.close()

    shown = "".join(
        (caplog.text, repr(caught.value), str(caught.value), repr(account), repr(client), str(vars(client)))
    )
    pair = base64.b64encode(f"{account.username}:hunter2-wrong".encode()).decode()
    assert "hunter2" not in shown
    assert pair not in shown


@pytest.mark.parametrize("hook", [5, lambda: None], ids=["not callable", "no argument"])
async def test_a_hook_that_cannot_be_called_is_refused_before_anything_is_asked(fake, client_of, path, hook):
    client = client_of(fake)
    with pytest.raises(ValueError, match="on_batch_complete"):
        await client.fetch_events(**DAYS, on_batch_complete=hook)
    with pytest.raises(ValueError, match="on_batch_complete"):
        await client.fetch_profiles(on_batch_complete=hook)
    for stream in (client.stream_events, client.stream_batches):
        with pytest.raises(ValueError, match="on_rejected"):
            stream(from_date=FIRST, to_date=LAST, on_rejected=hook)
    assert fake.requests == []
    assert not path.exists()


@pytest.mark.parametrize("how", [{}, {"parallel": True, "chunk_days": 3_000_000}])
async def test_the_last_date_that_there_is(client_of, path, monkeypatch, how):
    monkeypatch.setattr(clock, "utc_now", lambda: dt.datetime(9999, 12, 31, 9, tzinfo=dt.UTC))
    dates = {"from_date": "9999-12-30", "to_date": "9999-12-31"}
    async with RawServer(with_length(b'{"event":"e","properties":{"time":253402214400}}\n', encoding=None)) as server:
        client = client_of(server, credentials=ProjectSecret("s3cret"))  # whose time zone is not asked
        for more in ({}, {"append": True}, {"resume": True}):
            await client.fetch_events(**dates, **how, **more)
    assert str(journal(path)[-1][1]) == "9999-12-31"


async def test_rows_in_memory_are_read_through_the_callers_connection(fake, client_of):
    """The way that the docs tell, because only the client can use `":memory:"`."""
    with duckdb.connect() as connection:
        async with client_of(fake, database=connection) as client:
            result = await client.fetch_events(**DAYS)
        assert connection.sql("SELECT count(*) FROM events").fetchall() == [(result.total_rows,)]


async def consume(client, verb, **arguments):
    """Call it to its end."""
    if verb.startswith("fetch"):
        await getattr(client, verb)(**arguments)
    else:
        _ = [event async for event in getattr(client, verb)(**arguments)]


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("verb", ["fetch_events", "stream_events", "stream_batches"])
async def test_names_that_no_event_has_are_logged_once(fake, client_of, caplog, verb, parallel):
    client, arguments = client_of(fake), {**DAYS, "parallel": parallel, "events": ["Serach", "Sign up"]}
    await consume(client, verb, **arguments)
    await consume(client, verb, **arguments, **({"name": "t"} if verb == "fetch_events" else {}), where="true")

    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == [
        f"2026-01-01 to 2026-01-12: Mixpanel has no event named 'Serach' or 'Sign up'{where}. "
        "Check the spelling with `await client.lookups.event_names()`."
        for where in ("", " for where='true'")
    ]


@pytest.mark.parametrize("verb", ["fetch_events", "stream_events", "stream_batches"])
async def test_no_names_or_some_events_are_not_logged(fake, client_of, caplog, verb):
    client = client_of(fake)
    some = next(event["event"] for event in fake.truth(FIRST, LAST))
    table = ({"name": f"t{number}"} if verb == "fetch_events" else {} for number in range(9))
    await consume(client, verb, **DAYS, **next(table), where='properties["none"] == "such"')
    await consume(client, verb, **DAYS, **next(table), events=["Serach", some])
    if verb == "fetch_events":
        await client.fetch_events("t1", **DAYS, events=["Serach", some], resume=True)  # nothing is requested
        fake.faults.add(Fault.status(503), date=FIRST)
        await client.fetch_events("t2", **DAYS, events=["Serach"])  # a failed chunk may have had some
    assert "no event named" not in caplog.text
