"""`stream_events` of `mixpanel-headless`, in a loop that counts the events."""

from __future__ import annotations

import time

from benchmarks.contenders.peer_headless import events
from benchmarks.task import given, tell

if __name__ == "__main__":
    task, began = given(), time.perf_counter()
    rows = sum(1 for _ in events(task))
    tell(seconds=time.perf_counter() - began, rows=rows)
