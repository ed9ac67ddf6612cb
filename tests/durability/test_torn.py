"""A slice of the campaign of torn writes, where a C compiler is: `nox -s torn` is the whole."""

from __future__ import annotations

import pytest

from tests.slices import few

from .syscalls import SCENES, Points
from .torn import TornStage, built, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.mark.parametrize("scene", few(SCENES[1:], 1), ids=lambda scene: scene.name)
async def test_a_write_that_is_torn_leaves_whole_chunks_and_a_resume_finishes(tmp_path, scene):
    points = Points()
    await TornStage(scene, tmp_path, points, library=built(tmp_path)).play()

    assert points.violations == []
    assert points.fired.total() >= 4
