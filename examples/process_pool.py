"""Many chunks of several projects into partitioned Parquet, by a pool of processes, without Dask.

    python examples/process_pool.py

`fetch_chunk_to_parquet` is one function that can be pickled, with one value that says what to fetch. The processes
together keep to each project's limits, because they count requests beside the data. If one is killed, run it again: it
requests only what is missing.

Without an account, the projects are on a fake Mixpanel on this machine. For your own, set MP_USERNAME and MP_SECRET of
a service account, MP_PROJECT_IDS (ids with commas between them), and MP_REGION if it is not `us`. The processes inherit
the environment, so no secret is sent to them.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from mixpanel_async.dates import split_date_range
from mixpanel_async.distributed import ChunkJob, fetch_chunk_to_parquet, valid_files
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, Project, running

TODAY = dt.datetime.now(dt.UTC).date()
FIRST, LAST = TODAY - dt.timedelta(days=28), TODAY - dt.timedelta(days=3)
DESTINATION = "events"


@contextmanager
def projects() -> Iterator[tuple[list[int], str | None]]:
    """Yield the projects' ids, and the base URL, which is `None` for Mixpanel itself."""
    if "MP_PROJECT_IDS" in os.environ:
        yield [int(number) for number in os.environ["MP_PROJECT_IDS"].split(",")], os.environ.get("MP_BASE_URL")
        return
    fakes = [Project(id=1001), Project(id=1002)]
    with running(FakeMixpanel(GeneratedEvents(per_day=200), today=TODAY, projects=fakes, limits=None)) as fake:
        os.environ["MP_USERNAME"] = fake.project.service_account.username
        os.environ["MP_SECRET"] = fake.project.service_account.secret
        yield [project.id for project in fakes], fake.url


def main() -> None:
    """Fetch four weeks of each project, seven days at a time."""
    with projects() as (ids, base_url):
        run = secrets.token_hex(8)
        jobs = [
            ChunkJob(project_id=project_id, dates=dates, destination=DESTINATION, run=run, base_url=base_url)
            for dates in split_date_range(FIRST, LAST, chunk_days=7)
            for project_id in ids
        ]
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            for job, report in zip(jobs, pool.map(fetch_chunk_to_parquet, jobs), strict=True):
                print(job.project_id, *job.dates, report.error or f"{report.rows:,} rows")
        for project_id in ids:
            print(f"project {project_id}: {len(valid_files(DESTINATION, project_id))} files")


if __name__ == "__main__":
    main()
