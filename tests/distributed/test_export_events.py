"""Many projects on a Dask cluster: exact, within each project's limits, without a secret on the way."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing
from pathlib import Path

import pytest

from mixpanel_async import ConfigurationError, ExportError, RateLimits, ServiceAccount
from mixpanel_async.distributed import export_events
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, Project
from tests.system.conftest import AT_ONCE, UNHURRIED, expected

from .conftest import files_in, held_lines, manifests

distributed = pytest.importorskip("distributed", reason='the extra "dask" is not installed')
two_workers = pytest.importorskip("tests.distributed.cluster").two_workers

IDS = (101, 102, 103)
DATES = {"from_date": "2026-01-01", "to_date": "2026-01-14"}


@pytest.fixture(scope="module")
def cluster():
    with two_workers() as made:
        yield made


@pytest.fixture
async def client(cluster):
    async with distributed.Client(cluster.scheduler_address, asynchronous=True) as made:
        yield made


@pytest.fixture(autouse=True)
def account(monkeypatch):
    """Not in this process: only the workers have it."""
    for name in ("MP_USERNAME", "MP_SECRET"):
        monkeypatch.delenv(name, raising=False)


def server(**options):
    projects = [Project(id=each, events=GeneratedEvents(per_day=20, seed=each, duplicates=0.05)) for each in IDS]
    return FakeMixpanel(today="2026-06-01", projects=projects, **{"limits": None, **options})


def export(client, fake, destination, projects=IDS, **options):
    given = {
        **DATES, "destination": destination, "base_url": fake.url, "limits": UNHURRIED, "retry": AT_ONCE,
        "chunk_days": 7, **options,
    }  # fmt: skip
    return export_events(client, projects, **given)


def truth(fake, project_id):
    return expected(fake, *DATES.values(), project=project_of(fake, project_id))


def project_of(fake, project_id):
    return next(project for project in fake.projects if project.id == project_id)


async def test_each_project_is_exact_and_only_missing_dates_are_requested_again(client, destination):
    async with server() as fake:
        results = await export(client, fake, destination)
        for project_id, result in results.items():
            assert held_lines(destination, project_id) == truth(fake, project_id)
            assert result.total_rows == truth(fake, project_id).total()
            assert (result.table, result.successful_batches) == (f"project_id={project_id}", 2)
        assert list(results) == list(IDS)
        assert len(fake.requests) == 6

        again = await export(client, fake, destination)
        assert [result.successful_batches for result in again.values()] == [0, 0, 0]
        await export(client, fake, destination, to_date="2026-01-21")
        assert [request.from_date for request in fake.requests[6:]] == ["2026-01-15"] * 3

        before = files_in(destination)
        await export(client, fake, destination, projects=[101], replace=True)
        assert held_lines(destination, 101) == expected(fake, "2026-01-01", "2026-01-21", project=project_of(fake, 101))
        assert before < files_in(destination)


async def test_batches_come_as_they_end_to_a_loop_and_to_a_hook(client, destination):
    hooked = []
    async with server() as fake:
        running = export(client, fake, destination, on_batch_complete=hooked.append)
        seen = [batch async for batch in running]

    assert sorted(hooked, key=str) == sorted(seen, key=str)
    assert {(each.project_id, each.batch.from_date) for each in seen} == {
        (project_id, date) for project_id in IDS for date in ("2026-01-01", "2026-01-08")
    }
    assert seen[0].to_dict()["total_batches"] == 2
    assert sum(each.batch.rows for each in seen) == sum(each.total_rows for each in running.results.values())


async def test_failures_are_listed_with_their_cause_and_stop_nothing_else(client, destination):
    async with server() as fake:
        fake.faults.add(Fault.status(500), from_date="2026-01-08")
        results = await export(client, fake, destination, projects=[101, 999])
        requests = len(fake.requests)

    assert results[101].failed_date_ranges == (("2026-01-08", "2026-01-14"),)
    assert "500" in results[101].failures[0].error
    assert results[101].failures[0].attempts == AT_ONCE.attempts
    assert results[999].successful_batches == 0
    assert len(results[999].failures) == 2  # the second one costs no request
    assert requests <= 1 + AT_ONCE.attempts + 2


async def test_leaving_the_loop_ends_the_export_and_the_next_goes_on(client, destination):
    async with server(latency=0.1) as fake:
        async with aclosing(aiter(export(client, fake, destination, max_workers=1, chunk_days=1))) as batches:
            async for _ in batches:
                break
        await export(client, fake, destination)
        for project_id in IDS:
            assert held_lines(destination, project_id) == truth(fake, project_id)


def credentials_of(project_id):
    return ServiceAccount(os.environ["MP_USERNAME"], os.environ["MP_SECRET"], project_id)


async def test_no_secret_is_in_tasks_pickles_logs_and_files(client, cluster, destination, capfd):
    secret = Project().service_account.secret
    sent = []
    dumps = distributed.protocol.pickle.dumps

    def recorded(given, **options):
        data = dumps(given, **options)
        sent.append(data)
        return data

    distributed.protocol.pickle.dumps, original = recorded, dumps
    try:
        async with server(latency=0.3) as fake:
            running = asyncio.create_task(export(client, fake, destination, credentials=credentials_of)._finish())
            await fake.until(lambda: fake.requests)
            tasks = await client.run_on_scheduler(
                lambda dask_scheduler: [
                    repr((key, task.run_spec, task.annotations)) for key, task in dask_scheduler.tasks.items()
                ]
            )
            await running
    finally:
        distributed.protocol.pickle.dumps = original

    assert any("mixpanel-export-101" in task for task in tasks)
    logs = str(await client.get_scheduler_logs()) + str(await client.get_worker_logs()) + "".join(capfd.readouterr())
    for each in (*tasks, logs, *files_in(destination)):
        assert secret not in each
    assert not any(secret.encode() in bytes(each) for each in sent)
    assert not any(secret.encode() in (Path(destination) / name).read_bytes() for name in files_in(destination))


async def test_a_worker_that_is_killed_loses_nothing(client, cluster, destination):
    async with server(latency=0.05) as fake:
        running = asyncio.create_task(export(client, fake, destination, chunk_days=1, max_workers=2)._finish())
        for requests in (5, 20):
            await fake.until(lambda requests=requests: len(fake.requests) >= requests)
            workers = await client.run(os.getpid, on_error="ignore")
            os.kill(next(iter(workers.values())), signal.SIGKILL)
        results = await running
        for project_id in IDS:
            assert not results[project_id].has_failures
            assert held_lines(destination, project_id) == truth(fake, project_id)
            assert results[project_id].total_rows == truth(fake, project_id).total()


async def test_two_coordinators_at_once_are_one(client, cluster, destination):
    async with server() as fake, distributed.Client(cluster.scheduler_address, asynchronous=True) as other:
        one, two = await asyncio.gather(export(client, fake, destination), export(other, fake, destination))
        for project_id in IDS:
            assert held_lines(destination, project_id) == truth(fake, project_id)
            assert one[project_id].total_rows == two[project_id].total_rows == truth(fake, project_id).total()
            valid = [each.file for each in manifests(destination, project_id).values()]
            assert len(valid) == len(set(valid)) == 14


async def test_chunks_that_may_not_run_now_take_no_thread_of_a_worker(client, destination):
    one = RateLimits(per_second=1000, per_hour=1000, concurrent=1)
    async with server(latency=60) as fake:
        running = asyncio.create_task(export(client, fake, destination, chunk_days=1, limits=one)._finish())
        await fake.until(lambda: len(fake.requests) == len(IDS))
        tasks = await client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
        running.cancel()
        await asyncio.wait([running])
    assert len(tasks) == len(IDS)


async def test_the_budget_outlives_the_scheduler(client, destination):
    limits = RateLimits(per_second=1000, per_hour=2)
    async with server() as fake:
        running = asyncio.create_task(
            export(client, fake, destination, projects=[101], chunk_days=5, limits=limits)._finish()
        )
        await fake.until(lambda: len(fake.requests) == 2 and all(each.ended for each in fake.requests))
        running.cancel()
        await asyncio.wait([running])

        with two_workers(threads=1) as another:
            async with distributed.Client(another.scheduler_address, asynchronous=True) as new:
                waits = export(new, fake, destination, projects=[101], chunk_days=5, limits=limits)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(waits._finish(), 5)
        assert len(fake.requests) == 2


async def test_a_scheduler_that_is_lost_is_an_error_that_says_what_stays(destination):
    async with server(latency=60) as fake:
        with two_workers(threads=1) as another:
            async with distributed.Client(another.scheduler_address, asynchronous=True) as new:
                running = asyncio.create_task(export(new, fake, destination)._finish())
                await fake.until(lambda: fake.requests)
                await new.cancel([distributed.Future(key, client=new) for key in list(new.futures)], force=True)
                with pytest.raises(ExportError, match="call export_events again"):
                    await running


async def test_a_client_that_is_closed_is_the_same_error(cluster, destination):
    """A client closes itself if it cannot reach the scheduler, which may be while all chunks wait for the limits."""
    async with server() as fake:
        async with distributed.Client(cluster.scheduler_address, asynchronous=True) as closed:
            pass
        with pytest.raises(ExportError, match="call export_events again"):
            await export(closed, fake, destination)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"credentials": ServiceAccount("user", "secret", 1)}, ConfigurationError, "would be sent to them"),
        ({"destination": "s3://key:secret@bucket/folder"}, ConfigurationError, "without keys"),
        ({"destination": "ftp://host/folder"}, ConfigurationError, "s3"),
        ({"projects": ["101"]}, ValueError, "not '101'"),
        ({"projects": "101"}, ValueError, "not '101'"),
        ({"to_date": "2025-01-01"}, ValueError, "swap them"),
        ({"chunk_days": 0}, ValueError, "chunk_days"),
        ({"base_url": "https://user:s3cret@proxy.example.com"}, ConfigurationError, "base_url must be"),
        ({"region": "mars"}, ConfigurationError, "region must be"),
        ({"limits": {"per_hour": 5}}, ConfigurationError, "limits must be RateLimits"),
        ({"on_batch_complete": 3}, ValueError, "on_batch_complete"),
    ],
)
async def test_arguments_are_checked_before_anything_is_sent(client, destination, options, error, says):
    async with server() as fake:
        with pytest.raises(error, match=says):
            export(client, fake, **{"destination": destination, **options})
        assert fake.requests == []


def test_a_blocking_client_is_refused(cluster, destination):
    with (
        distributed.Client(cluster.scheduler_address) as blocking,
        pytest.raises(ConfigurationError, match="asynchron"),
    ):
        export_events(blocking, [1], **DATES, destination=destination)
