"""Collected is what nobody needs any more and surely is ours; everything else stays."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import pytest

from mixpanel_async.dataset.garbage import collect_garbage
from mixpanel_async.dataset.valid_files import valid_files
from mixpanel_async.distributed import fetch_chunk
from mixpanel_async.testing import Fault
from tests.distributed.conftest import account, destination, fake, files_in, held_lines, job_of, parts_in

__all__ = ["account", "destination", "fake", "job_of"]

FOREIGN = [
    "project_id=12345/date=2026-01-01/part-0.parquet",
    "project_id=12345/date=2026-01-01/part-0123456789abcdef.parquet.bak",
    "project_id=12345/date=2026-01-01/spark-0123456789abcdef.parquet",
    "project_id=12345/notes/part-0123456789abcdef.parquet",
    "project_id=999/date=2026-01-01/part-0123456789abcdef.parquet",
]


def age(folder, days):
    for path in Path(folder).rglob("*"):
        then = time.time() - days * 86400
        os.utime(path, (then, then))


async def test_replaced_files_go_a_day_after_they_were_replaced(fake, destination, job_of):
    fake.faults.add(Fault.bad_utf8(3))
    await fetch_chunk(job_of(run="one"))
    old = parts_in(destination)
    age(destination, 30)
    await fetch_chunk(job_of(run="two", replace=True))

    assert collect_garbage(destination, 12345) == ()  # somebody may have listed them just now
    assert old < parts_in(destination)

    age(destination, 2)
    collected = collect_garbage(destination, 12345)
    assert len(collected) == 7 + 7 + 1  # files, manifests, and a file of rejected lines
    assert old.isdisjoint(parts_in(destination))
    assert held_lines(destination).total() > 0
    assert collect_garbage(destination, 12345) == ()


async def test_what_is_not_surely_ours_stays(destination, job_of):
    await fetch_chunk(job_of())
    for name in FOREIGN:
        path = Path(destination) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("somebody else's")
    before = files_in(destination)
    age(destination, 30)

    assert collect_garbage(destination, 12345) == ()
    assert files_in(destination) == before
    assert not set(valid_files(destination)) & {f"{destination}/{name}" for name in FOREIGN}


async def test_a_file_of_a_killed_process_goes(destination, job_of):
    await fetch_chunk(job_of(("2026-01-01", "2026-01-01")))
    left = Path(destination) / "project_id=12345/date=2026-01-02/part-0123456789abcdef.parquet"
    left.parent.mkdir()
    left.write_text("never published")

    assert collect_garbage(destination, 12345) == ()  # it may be published soon
    age(destination, 2)
    assert collect_garbage(destination, 12345) == (left.relative_to(destination).as_posix(),)


def test_files_that_an_export_may_need_stay(destination):
    with pytest.raises(ValueError, match="two hours or more"):
        collect_garbage(destination, 1, older_than=dt.timedelta(minutes=5))
