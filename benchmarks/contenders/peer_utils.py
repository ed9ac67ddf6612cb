"""`mixpanel-utils` at its fastest: `export_events` of compressed bodies, day after day, and then DuckDB's statement."""

from __future__ import annotations

import os
from pathlib import Path

from mixpanel_utils import MixpanelUtils

from benchmarks.contenders.duckdb_local import load_after
from benchmarks.task import Task


def download(task: Task) -> None:
    """Write each day into a file of its own; it names files by what stands before a dot, so no path may have one."""
    utils = MixpanelUtils(task.secret, service_account_username=task.username, project_id=task.project_id)
    utils.raw_api = f"{task.url}/api"
    os.chdir(task.files)
    dates = {"from_date": task.from_date, "to_date": task.to_date}
    utils.export_events("day.gz", dates, add_gzip_header=True, request_per_day=True, raw_stream=True)
    for day in task.days:
        Path(f"day_{day}.gz").rename(f"{day}.gz")


if __name__ == "__main__":
    load_after(download)
