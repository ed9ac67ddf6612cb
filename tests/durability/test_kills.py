"""A slice of the campaign of random kills: `nox -s kills -- 500` is the whole."""

from __future__ import annotations

import pytest

from tests.slices import few

from .kills import campaign


@pytest.mark.parametrize("seed", few([2, 1], 1))
async def test_whatever_a_kill_leaves_is_whole_and_the_next_run_finishes_it(tmp_path, seed):
    counts = await campaign(8, seed, tmp_path, most_days=30)

    assert counts.violations == []
    assert counts.kills >= 8
    assert counts.stories >= 2
    assert counts.faults > 0
