"""A cluster without a worker: the log says so, and the export goes on or ends with an error."""

from __future__ import annotations

import asyncio
import logging

import pytest

from mixpanel_async import ConfigurationError, ExportError, RateLimits
from tests.system.conftest import expected

from .conftest import WEEK, held_lines, manifests

distributed = pytest.importorskip("distributed", reason='the extra "dask" is not installed')
worker_watch = pytest.importorskip("mixpanel_async.distributed.worker_watch")
two_workers = pytest.importorskip("tests.distributed.cluster").two_workers
exports = pytest.importorskip("tests.distributed.test_export_events")
account, server, export, truth = exports.account, exports.server, exports.export, exports.truth


@pytest.fixture(scope="module")
def cluster():
    with two_workers(threads=1) as made:
        yield made


@pytest.fixture
async def client(cluster):
    async with distributed.Client(cluster.scheduler_address, asynchronous=True) as made:
        await scale(cluster, made, 2)
        yield made


async def scale(cluster, client, workers):
    cluster.scale(workers)
    while len(await client.nthreads()) != workers:  # noqa: ASYNC110 - Dask has no event for fewer workers
        await asyncio.sleep(0.05)


@pytest.fixture
def warned(monkeypatch):
    """An event: the log says that there is no worker."""
    monkeypatch.setattr(worker_watch, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(worker_watch, "WARN_AFTER", 0.5)
    event = asyncio.Event()

    class Handler(logging.Handler):
        def emit(self, record):
            if record.levelno == logging.WARNING and record.getMessage().startswith("No worker is"):
                event.set()

    handler = Handler()
    logging.getLogger("mixpanel_async").addHandler(handler)
    yield event
    logging.getLogger("mixpanel_async").removeHandler(handler)


async def in_the_middle(fake, running):
    await fake.until(lambda: len(fake.requests) >= 5)
    assert not running.done()


async def test_it_goes_on_when_a_worker_comes(cluster, client, destination, warned, caplog):
    async with server(latency=0.05) as fake:
        running = asyncio.create_task(export(client, fake, destination, chunk_days=1)._finish())
        await in_the_middle(fake, running)
        await scale(cluster, client, 0)
        await asyncio.wait_for(warned.wait(), 300)
        cluster.scale(1)
        results = await running
        for project_id, result in results.items():
            assert not result.has_failures
            assert held_lines(destination, project_id) == truth(fake, project_id)
    assert f"{cluster.scheduler_address}; waiting" in caplog.text
    assert "A worker is on the Dask cluster again" in caplog.text


async def test_it_ends_after_a_while_and_the_next_call_goes_on(cluster, client, destination, warned):
    async with server(latency=0.05) as fake:
        running = asyncio.create_task(export(client, fake, destination, chunk_days=1, worker_timeout=2)._finish())
        await in_the_middle(fake, running)
        await scale(cluster, client, 0)
        with pytest.raises(ExportError, match=r"for 2 s \(worker_timeout\): .* call export_events again"):
            await asyncio.wait_for(running, 300)
        assert warned.is_set()

        held = {(project_id, date) for project_id in exports.IDS for date in manifests(destination, project_id)}
        requests = len(fake.requests)
        assert held
        await scale(cluster, client, 2)
        await export(client, fake, destination, chunk_days=1)
        assert (
            not {(int(request.params["project_id"]), request.from_date) for request in fake.requests[requests:]} & held
        )
        for project_id in exports.IDS:
            assert held_lines(destination, project_id) == truth(fake, project_id)


async def test_workers_that_never_come(cluster, client, destination, warned):
    await scale(cluster, client, 0)
    async with server() as fake:
        with pytest.raises(ExportError, match="start workers"):
            await asyncio.wait_for(export(client, fake, destination, worker_timeout=1)._finish(), 300)


async def test_a_wait_for_the_limits_needs_no_worker(cluster, client, destination, warned):
    """Adaptive clusters stop their workers meanwhile."""
    one_an_hour = RateLimits(per_second=1000, per_hour=1)
    waits, ended = asyncio.Event(), asyncio.Event()

    async def end(_):
        ended.set()

    async with server() as fake:
        running = export(
            client, fake, destination, projects=[101], limits=one_an_hour, worker_timeout=0.5, on_batch_complete=end
        )
        running._waits.watchers.append(lambda _: waits.set())
        task = asyncio.create_task(running._finish())
        await asyncio.gather(waits.wait(), ended.wait())
        await scale(cluster, client, 0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 2)
        assert not warned.is_set()
        project = exports.project_of(fake, 101)
        weeks = [expected(fake, *dates, project=project) for dates in (WEEK, ("2026-01-08", "2026-01-14"))]
        assert held_lines(destination, 101) in weeks


@pytest.mark.parametrize("seconds", [0, -1, "300", float("inf")])
async def test_a_timeout_is_checked(client, destination, seconds):
    async with server() as fake:
        with pytest.raises(ConfigurationError, match="worker_timeout must be"):
            export(client, fake, destination, worker_timeout=seconds)
