"""A chunk in Parquet has what the local path's table has, whatever Mixpanel sends."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import duckdb
import pytest

from mixpanel_async import ProjectSecret, RateLimits, ServiceAccount, holding
from mixpanel_async.decode import event_batches
from mixpanel_async.distributed import chunk as chunk_module
from mixpanel_async.distributed import fetch_chunk, fetch_chunk_to_parquet
from mixpanel_async.duck import chunk_loader
from mixpanel_async.export import fetch
from mixpanel_async.selections import EventSelection
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GivenEvents, running
from tests.system.conftest import expected, stored
from tests.system.test_out_of_range import shifted

from .conftest import WEEK, files_in, held_lines, job, manifests, parts_in

FAULTS = {
    "none": None,
    "cut": Fault.cut(after_fraction=0.5),
    "reset": Fault.reset(after_bytes=500),
    "bad crc": Fault.bad_crc(),
    "terminated early": Fault.terminated_early(20),
    "half line": Fault.half_line(20),
    "an error in the body": Fault.error_line(20),
    "busy": Fault.status(503),
    "too many requests": Fault.rate_limited(0),
}
BAD = {"bad UTF-8": Fault.bad_utf8(3), "a split record": Fault.split_record(3)}


async def local_table(client_of, server, path, **options):
    await client_of(server).fetch_events(from_date=WEEK[0], to_date=WEEK[1], parallel=True, chunk_days=7, **options)
    with duckdb.connect(str(path), read_only=True) as connection:
        query = "SELECT rows, duplicates, rejected, bytes FROM _mixpanel_chunks"
        return connection.execute(query).fetchall()[0]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_rows_and_counts_are_those_of_a_local_table(fake, client_of, path, job_of, destination, fault):
    counts = await local_table(client_of, fake, path)
    if fault is not None:
        fake.faults.add(fault, attempts=[2])  # the second request for these dates
    report = await fetch_chunk(job_of())

    assert report.success
    assert report.attempts == (1 if fault is None else 2)
    assert held_lines(destination) == stored(path) == expected(fake, *WEEK)
    facts = {manifest.chunk for manifest in manifests(destination).values()}
    assert [(report.rows, each.duplicates, each.rejected, each.bytes) for each in facts] == [counts]
    assert (report.duplicates, report.rejected) == counts[1:3]


@pytest.mark.parametrize("fault", BAD.values(), ids=BAD)
async def test_rejected_lines_are_those_of_a_local_table(fake, client_of, path, job_of, destination, fault):
    fake.faults.add(fault)
    await local_table(client_of, fake, path)
    report = await fetch_chunk(job_of())

    assert held_lines(destination) == stored(path)
    query = "SELECT from_date, to_date, line_number, reason, line FROM {} ORDER BY line_number"
    with duckdb.connect(str(path), read_only=True) as connection:
        local = connection.execute(query.format("_mixpanel_rejected")).fetchall()
    [file] = {manifest.chunk.rejected_file for manifest in manifests(destination).values()}
    assert ([] if file is None else duckdb.sql(query.format(f"'{destination}/{file}'")).fetchall()) == local
    assert report.rejected == len(local)


async def test_without_deduplication_every_line_stays(fake, job_of, destination):
    await fetch_chunk(job_of(deduplicate=False))

    assert held_lines(destination) == expected(fake, *WEEK, deduplicate=False)


@pytest.mark.parametrize("dates", [WEEK, ("2026-01-01", "2026-01-01")])
async def test_duplicates_of_a_long_chunk_are_found_after_the_insert(fake, job_of, destination, monkeypatch, dates):
    monkeypatch.setattr(event_batches, "BLOCK_SIZE", 2000)
    monkeypatch.setattr(event_batches, "GROUP_SIZE", 5000)
    monkeypatch.setattr(chunk_loader, "HELD", 1)
    monkeypatch.setattr(fetch, "LONG_DAY", 10**12)
    report = await fetch_chunk(job_of(dates))

    truth = expected(fake, *dates)
    assert held_lines(destination) == truth
    everything = expected(fake, *dates, deduplicate=False).total()
    assert (report.rows, report.duplicates) == (truth.total(), everything - truth.total())


async def test_a_date_without_events_has_a_manifest_and_no_file(job_of, destination):
    async with FakeMixpanel(GivenEvents([]), today="2026-06-01", limits=None) as server:
        report = await fetch_chunk(job(server, destination))

    assert report.success
    assert [(date, each.rows, each.file) for date, each in manifests(destination).items()] == [
        (f"2026-01-0{day}", 0, None) for day in range(1, 8)
    ]
    assert parts_in(destination) == set()


async def test_a_chunk_of_which_no_line_is_an_event_fails_and_its_lines_stay(destination):
    async with FakeMixpanel(GivenEvents(lines={"2026-01-02": [b"no", b"event", b"at all"]}), limits=None) as server:
        report = await fetch_chunk(job(server, destination))

    assert not report.success
    assert "none of 3 lines is an event" in report.error
    [file] = [name for name in files_in(destination) if "rejected" in name]
    assert file in report.error
    assert duckdb.sql(f"SELECT line FROM '{destination}/{file}'").fetchall() == [(b"no",), (b"event",), (b"at all",)]
    assert manifests(destination) == {}


async def test_rows_out_of_range_are_in_the_nearest_date_and_the_manifests_say_so(destination):
    async with FakeMixpanel(GivenEvents(lines=shifted()), today="2026-06-01", limits=None) as server:
        await fetch_chunk(job(server, destination, ("2026-01-02", "2026-01-05")))
    given = [line for day in range(2, 6) for line in shifted()[f"2026-01-{day:02}"]]
    assert [sorted(map(json.loads, lines), key=str) for lines in (held_lines(destination).elements(), given)] == [
        sorted(map(json.loads, given), key=str)
    ] * 2
    found = manifests(destination)
    assert all(each.chunk.is_atomic for each in found.values())
    assert [each.rows for each in found.values()] == [32, 24, 24, 16]  # the first has what lies before it, too


@pytest.mark.parametrize(("today", "final"), [("2026-01-07", 5), ("2026-06-01", 7)])
async def test_a_date_that_is_not_over_is_not_final(fake, job_of, destination, monkeypatch, today, final):
    now = dt.datetime.fromisoformat(f"{today}T11:00:00+00:00")
    monkeypatch.setattr(fetch.clock, "utc_now", lambda: now)
    await fetch_chunk(job_of())

    assert sum(each.is_final for each in manifests(destination).values()) == final
    assert {each.chunk.fetched_at for each in manifests(destination).values()} == {now}


async def test_a_job_that_is_done_again_requests_nothing(fake, job_of, destination):
    first = await fetch_chunk(job_of())
    files = files_in(destination)
    again = await fetch_chunk(job_of())
    other_run = await fetch_chunk(job_of(run="another"))

    assert len(fake.requests) == 1
    assert (again.rows, other_run.rows, again.attempts) == (first.rows, first.rows, 0)
    assert files_in(destination) == files


async def test_dates_that_are_replaced_have_one_valid_file_each(fake, job_of, destination):
    await fetch_chunk(job_of())
    before = parts_in(destination)
    await fetch_chunk(job_of(run="another", replace=True))
    await fetch_chunk(job_of(run="another", replace=True))  # the same run: done already

    assert len(fake.requests) == 2
    valid = {each.file for each in manifests(destination).values()}
    assert valid == parts_in(destination) - before
    assert len(valid) == 7
    assert held_lines(destination) == expected(fake, *WEEK)


async def test_two_at_once_leave_one_valid_file_a_date(fake, job_of, destination):
    fake.latency = 0.2  # both have looked before either has come
    reports = await asyncio.gather(*[fetch_chunk(job_of(run=run, replace=True)) for run in ("one", "two")])

    assert len(fake.requests) == 2
    truth = expected(fake, *WEEK)
    assert [report.rows for report in reports] == [truth.total()] * 2
    assert held_lines(destination) == truth
    [winner] = {each.chunk.run for each in manifests(destination).values()}
    newest = max(manifests(destination).values(), key=lambda each: each.chunk.fetched_at)
    assert winner == newest.chunk.run


async def test_another_selection_is_refused_before_a_request(fake, job_of, destination):
    await fetch_chunk(job_of())
    report = await fetch_chunk(job_of(run="another", selection=EventSelection(events=("Signup",))))

    assert report.is_fatal
    assert "another selection" in report.error
    assert len(fake.requests) == 1


async def test_credentials_that_are_refused_end_the_project(fake, job_of, destination):
    report = await fetch_chunk(job_of(), lambda project_id: ServiceAccount("wrong", "wr0ng-s3cret", project_id))

    assert (report.success, report.is_fatal) == (False, True)
    assert "wr0ng-s3cret" not in repr(report)
    assert parts_in(destination) == set()


@pytest.mark.parametrize(
    ("credentials", "says"),
    [
        (lambda project_id: ServiceAccount("user", "s3cret", project_id + 1), "are those of project 12346"),
        (lambda project_id: "s3cret", "not str"),
        (None, "Not set in the environment: MP_SECRET"),
    ],
)
async def test_credentials_that_cannot_be_used(fake, job_of, monkeypatch, credentials, says):
    monkeypatch.delenv("MP_SECRET")
    report = await fetch_chunk(job_of(), credentials)

    assert report.is_fatal
    assert says in report.error
    assert "s3cret" not in report.error
    assert fake.requests == []


async def test_a_project_secret_needs_a_function(fake, job_of, destination, monkeypatch):
    for name in ("MP_USERNAME", "MP_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("MP_PROJECT_SECRET", fake.project.api_secret)

    assert "pass a function" in (await fetch_chunk(job_of())).error
    assert (await fetch_chunk(job_of(), lambda _: ProjectSecret(fake.project.api_secret))).success


async def test_limits_that_are_used_up_give_the_worker_back(fake, job_of):
    limits = RateLimits(per_second=100, per_hour=1)
    assert (await fetch_chunk(job_of(limits=limits))).success
    waits = await fetch_chunk(job_of(("2026-02-01", "2026-02-07"), limits=limits))

    assert not waits.success
    assert waits.error is None
    assert 3500 < waits.wait_seconds <= 3601
    assert waits.wait_reason == "the limit of 1 exports an hour"
    assert len(fake.requests) == 1


async def test_exports_at_once_are_limited_over_all_processes(fake, job_of, destination, monkeypatch):
    monkeypatch.setattr(chunk_module, "LOOK_AGAIN", 0.05)
    fake.latency = 0.1
    limits = RateLimits(per_second=10_000, per_hour=1_000_000, concurrent=2)
    days = [f"2026-01-{day:02}" for day in range(1, 11)]
    reports = await asyncio.gather(*[fetch_chunk(job_of((day, day), limits=limits)) for day in days])

    assert all(report.success for report in reports)
    assert fake.max_open == 2
    assert held_lines(destination) == expected(fake, days[0], days[-1])


def test_a_process_pool_fetches_chunks(destination):
    """The job and the function are pickled; the secret is not among them."""
    weeks = [("2026-01-01", "2026-01-07"), ("2026-01-08", "2026-01-14")]
    with running(FakeMixpanel(GeneratedEvents(per_day=20), today="2026-06-01", limits=None)) as server:
        jobs = [job(server, destination, week) for week in weeks]
        assert server.project.service_account.secret.encode() not in pickle.dumps((fetch_chunk_to_parquet, jobs))
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            reports = list(pool.map(fetch_chunk_to_parquet, jobs))
        assert held_lines(destination) == expected(server, "2026-01-01", "2026-01-14")
    assert all(report.success for report in reports)


async def test_a_response_that_takes_long_holds_nothing_up(fake, job_of, destination, monkeypatch):
    """The local path lets go of a file that was held for long, and waits until nobody uses it."""
    monkeypatch.setattr(holding, "LONG_TURN", 0.01)
    fake.latency = 0.1
    assert (await asyncio.wait_for(fetch_chunk(job_of()), 60)).success
    assert held_lines(destination) == expected(fake, *WEEK)
