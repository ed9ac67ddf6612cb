"""`mixpanel-headless`: `stream_events`, which does not store events, and `executemany`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from mixpanel_headless import Workspace

from benchmarks.contenders.rows import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contenders.rows import Row
    from benchmarks.task import Task


def events(task: Task) -> Iterator[dict[str, Any]]:
    """Return its stream of events."""
    os.environ |= {
        "MP_API_BASE_URL": task.url,
        "MP_USERNAME": task.username,
        "MP_SECRET": task.secret,
        "MP_PROJECT_ID": str(task.project_id),
        "MP_REGION": "us",
    }
    return Workspace().stream_events(from_date=task.from_date, to_date=task.to_date, **task.options)


def streamed(task: Task) -> Iterator[Row]:
    """Yield the events as rows."""
    for event in events(task):
        moment = event["event_time"].strftime("%Y-%m-%d %H:%M:%S")
        ids = (event["distinct_id"], event["insert_id"])
        yield (event["event_name"], moment, *ids, json.dumps(event["properties"]))


if __name__ == "__main__":
    main(streamed)
