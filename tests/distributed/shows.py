"""Many projects on workers of which some are killed, exact and within the limits that the server counts.

    python -m tests.distributed.shows --projects 20 --days 90 --kills 3
    python -m tests.distributed.shows --projects 20 --days 90 --kills 3 --s3

It prints a line for each check, and fails at the first that does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import signal
import tempfile
import time
import urllib.request
from contextlib import contextmanager

from distributed import Client

from mixpanel_async import RateLimits, RetryPolicy
from mixpanel_async.dataset.object_folder import open_folder
from mixpanel_async.distributed import export_events, valid_files
from mixpanel_async.testing import FakeLimits, FakeMixpanel, GeneratedEvents, Project
from tests.system.conftest import expected

from .cluster import two_workers
from .conftest import lines_of
from .s3 import BUCKET, s3_server

LIMITS = {"per_second": 3, "per_hour": 60, "concurrent": 4}
FIRST = dt.date(2026, 1, 1)


@contextmanager
def destination_of(s3):
    """Yield a destination, and the environment that it needs."""
    if s3:
        with s3_server() as environment:
            os.environ |= environment
            yield f"s3://{BUCKET}/events", environment
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield folder, {}


async def kill_workers(client, fake, requests):
    """Kill a worker each time when the server has got so many requests."""
    for number in requests:
        await fake.until(lambda number=number: len(fake.requests) >= number)
        worker, pid = next(iter((await client.run(os.getpid, on_error="ignore")).items()))
        os.kill(pid, signal.SIGKILL)
        print(f"killed {worker} after {len(fake.requests)} requests", flush=True)


def requests_to(url):
    with urllib.request.urlopen(f"{url}/requests") as response:
        return int(response.read())


def check(fake, destination, results, last, kills):
    for project in fake.projects:
        truth = expected(fake, FIRST.isoformat(), last, project=project)
        assert not results[project.id].has_failures, results[project.id].failures
        assert results[project.id].total_rows == truth.total()
        assert lines_of(valid_files(destination, project.id), open_folder(destination), destination) == truth
    chunks = sum(result.successful_batches for result in results.values())
    refused = [request for request in fake.requests if request.status == 429]
    print(
        f"exact: {len(fake.projects)} projects, {chunks} chunks, {sum(r.total_rows for r in results.values()):,} rows"
    )
    print(
        f"{len(fake.requests)} requests, {len(fake.requests) - chunks} more than chunks, of which {len(refused)} over a limit"
    )
    assert not refused
    assert len(fake.requests) - chunks <= kills * 8  # what ran on the workers that were killed


async def main(projects, days, chunk_days, kills, per_day, s3):
    last = (FIRST + dt.timedelta(days=days - 1)).isoformat()
    made = [
        Project(id=101 + n, events=GeneratedEvents(per_day=per_day, seed=n, duplicates=0.05)) for n in range(projects)
    ]
    chunks = projects * -(-days // chunk_days)
    with destination_of(s3) as (destination, environment):
        fake = FakeMixpanel(today="2026-06-01", projects=made, limits=FakeLimits(**LIMITS), latency=0.2)
        async with fake:
            with two_workers(silence_logs=30, more=kills, **environment) as cluster:  # a restart may take minutes
                async with Client(cluster.scheduler_address, asynchronous=True, timeout=300) as client:
                    await client.wait_for_workers(2 + kills)
                    print(f"{2 + kills} workers are there", flush=True)
                    started = time.monotonic()
                    killing = asyncio.create_task(
                        kill_workers(client, fake, [chunks * (n + 1) // (kills + 2) for n in range(kills)])
                    )
                    seen = 0
                    running = export_events(
                        client, [each.id for each in made], from_date=FIRST, to_date=last, destination=destination,
                        worker_timeout=3600, base_url=fake.url, limits=RateLimits(**LIMITS), chunk_days=chunk_days,
                        retry=RetryPolicy(attempts=3, wait_initial=0.1, wait_max=1.0),
                    )  # fmt: skip
                    async for batch in running:
                        seen += 1
                        if batch.batch.error or seen % 10 == 0:
                            print(
                                f"{seen}/{chunks} {time.monotonic() - started:.0f} s",
                                batch.batch.error or "",
                                flush=True,
                            )
                    await killing
                    print(f"{time.monotonic() - started:.0f} s", flush=True)
                    if s3:
                        print(
                            f"{requests_to(environment['AWS_ENDPOINT_URL']):,} requests to the object store", flush=True
                        )
                    check(fake, destination, running.results, last, kills)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name, default in (("projects", 20), ("days", 90), ("chunk-days", 30), ("kills", 3), ("per-day", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--s3", action="store_true")
    asyncio.run(main(**vars(parser.parse_args())))
