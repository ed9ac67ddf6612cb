"""A process is killed before each of its steps: each date has its old file or its new one, and the next one mends it."""

from __future__ import annotations

import asyncio
import pickle
import sys

import pytest

from mixpanel_async import RateLimits
from mixpanel_async.distributed import fetch_chunk
from tests.slices import few
from tests.system.conftest import expected

from .conftest import WEEK, held_lines, manifests, parts_in

STEPS = 18
"""Selection, request counted, seven files, seven manifests, and the end of the export: one more than there are."""


async def killed_before(step, chunk):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.distributed.killed", pickle.dumps(chunk).hex(), str(step),
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return await process.wait()


@pytest.mark.parametrize("step", few(range(1, STEPS + 1), 4, seed=5))
@pytest.mark.parametrize("replaces", [False, True])
async def test_a_kill_leaves_each_date_whole_and_the_next_job_mends_the_rest(fake, job_of, destination, step, replaces):
    if replaces:
        await fetch_chunk(job_of(run="before"))
    before = parts_in(destination)
    code = await killed_before(step, job_of(run="killed", replace=replaces))

    assert code == (0 if step >= STEPS - replaces else -9)  # a replacement has no selection to note
    held = manifests(destination)
    assert all((each.file is None) == (each.rows == 0) for each in held.values())
    assert sum(each.rows for each in held.values()) == held_lines(destination).total()
    if replaces:
        assert held_lines(destination) == expected(fake, *WEEK)  # the events are the same
        assert before <= parts_in(destination)

    assert (await fetch_chunk(job_of(run="mends"))).success
    assert held_lines(destination) == expected(fake, *WEEK)


async def test_a_process_that_was_killed_counts_as_running_until_its_lease_ends(fake, job_of, destination):
    limits = RateLimits(per_second=1000, per_hour=1000, concurrent=1)
    await killed_before(4, job_of(limits=limits))  # the request was counted, and one file is there

    report = await fetch_chunk(job_of(limits=limits), most_wait=1.0)
    assert report.wait_reason == "the limit of 1 exports at once"
    assert len(parts_in(destination)) == 1


async def test_a_worker_is_given_back_however_short_each_wait_is(fake, job_of):
    """It waits two seconds again and again for the process that was killed."""
    limits = RateLimits(per_second=1000, per_hour=1000, concurrent=1)
    await killed_before(4, job_of(limits=limits))

    report = await asyncio.wait_for(fetch_chunk(job_of(limits=limits), most_wait=3.0), 60)
    assert report.wait_reason == "the limit of 1 exports at once"
    assert len(fake.requests) == 1  # of the process that was killed
