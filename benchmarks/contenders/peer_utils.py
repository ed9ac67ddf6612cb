"""`mixpanel-utils` in its fastest way: `export_events` saves compressed bodies, then DuckDB's statement loads them."""

from __future__ import annotations

import os
from pathlib import Path

from mixpanel_utils import MixpanelUtils

from benchmarks.contenders.duckdb_local import SECOND, load_after
from benchmarks.task import Task


def download(task: Task) -> None:
    """Write each day to its own file. mixpanel-utils cuts a path at its first dot, so it must have none."""
    utils = MixpanelUtils(task.secret, service_account_username=task.username, project_id=task.project_id)
    utils.raw_api = f"{task.url}/api"
    os.chdir(task.files)
    dates = {"from_date": task.from_date, "to_date": task.to_date}
    utils.export_events("day.gz", dates, add_gzip_header=True, request_per_day=True, raw_stream=True)
    for day in task.days:
        Path(f"day_{day}.gz").rename(f"{day}.gz")


if __name__ == "__main__":
    load_after(download, unit=SECOND)
