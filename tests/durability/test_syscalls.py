"""A slice of the campaign of failing system calls, where strace is: `nox -s syscalls` is the whole."""

from __future__ import annotations

import pytest

from tests.slices import few

from .syscalls import Points, Scene, Stage, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.mark.parametrize(
    ("how", "call"), few([("signal=KILL", "unlink"), ("error=ENOSPC", "link"), ("error=ENOSPC", "write")], 2)
)
async def test_a_call_that_fails_leaves_whole_chunks_and_a_resume_finishes(tmp_path, how, call):
    points = Points()
    await Stage(Scene("a new file", 20, 2, 1 << 10), tmp_path, points).play((call,), (how,), limit=2)

    assert points.violations == []
    assert points.fired.total() >= 1
