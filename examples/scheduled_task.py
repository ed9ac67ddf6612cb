"""One chunk as a task of Airflow or Prefect. Neither is needed to run this file.

    python examples/scheduled_task.py

In Airflow, decorate `fetch` with `@task(retries=3)` and call `fetch.expand(dates=weeks())`; in Prefect, with
`@task(retries=3)` and call `fetch.map(weeks())`. A task takes and returns plain values. It may run twice, at the same
time too, and a killed one may be retried: each date has one valid file. Give the tasks of one project a pool, or a
concurrency limit: a task that waits for Mixpanel's limits keeps its slot.

Without an account, the project is on a fake Mixpanel on this machine. For your own, set MP_USERNAME, MP_SECRET and
MP_PROJECT_ID where the tasks run.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

from mixpanel_async.dates import split_date_range
from mixpanel_async.distributed import ChunkJob, fetch_chunk_to_parquet
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, running

TODAY = dt.datetime.now(dt.UTC).date()


def weeks() -> list[list[str]]:
    """Return the first and last dates of two weeks: as JSON has them, for the scheduler."""
    return [list(dates) for dates in split_date_range(TODAY - dt.timedelta(16), TODAY - dt.timedelta(3), chunk_days=7)]


def fetch(dates: list[str], run_id: str = "scheduled__2026-02-10") -> dict[str, Any]:
    """Fetch one chunk. `run_id` is the scheduler's: a task that runs again in the same run requests nothing twice."""
    job = ChunkJob(
        project_id=int(os.environ["MP_PROJECT_ID"]),
        dates=(dates[0], dates[1]),
        destination="events",
        run=run_id,
        base_url=os.environ.get("MP_BASE_URL"),
    )
    report = fetch_chunk_to_parquet(job)
    if not report.success:
        raise RuntimeError(report.error)  # the scheduler retries it
    return {"dates": dates, "rows": report.rows, "rejected": report.rejected}


def main() -> None:
    """Do what a scheduler would do."""
    for dates in weeks():
        print(fetch(dates))
    print("again:", fetch(weeks()[0]))


if __name__ == "__main__":
    if "MP_USERNAME" in os.environ:
        main()
    else:
        with running(FakeMixpanel(GeneratedEvents(per_day=200), today=TODAY, limits=None)) as fake:
            account = fake.project.service_account
            os.environ |= {
                "MP_USERNAME": account.username, "MP_SECRET": account.secret,
                "MP_PROJECT_ID": str(fake.project.id), "MP_BASE_URL": fake.url,
            }  # fmt: skip
            main()
