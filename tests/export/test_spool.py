"""Bodies wait in memory up to a bound that all share, and in a file beyond it."""

from __future__ import annotations

import asyncio
import io
import tempfile
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpanel_async.errors import StoreError
from mixpanel_async.export import spool as spools
from mixpanel_async.export.spool import MemoryBudget, Spool


async def filled(spool, *pieces):
    for piece in pieces:
        await spool.write(piece)
    return spool


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(spools, "SPILL", 10)


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(0, 100), st.integers(1, 50))
@settings(deadline=None, max_examples=60)
async def test_a_body_comes_back_whole_and_in_order(pieces, memory, spill):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spools, "SPILL", spill)
        budget = MemoryBudget(memory)
        async with Spool(budget) as spool:
            await filled(spool, *pieces)
            assert spool.size == sum(map(len, pieces))
            assert budget.free >= 0
            assert b"".join(spool.read()) == b"".join(pieces)
        assert budget.free == memory


async def test_the_memory_limit_is_shared(small):
    budget = MemoryBudget(30)
    async with Spool(budget) as one, Spool(budget) as two:
        await filled(one, b"a" * 20)
        await filled(two, b"b" * 20, b"c" * 10)
        assert budget.free == 10
        assert two._file is not None
        assert b"".join(two.read()) == b"b" * 20 + b"c" * 10
        assert budget.free == 10


async def test_after_the_first_spill_everything_goes_to_the_file(small):
    budget = MemoryBudget(20)
    async with Spool(budget) as other, Spool(budget) as spool:
        await filled(other, b"x" * 20)
        await filled(spool, b"a" * 15)
        assert b"".join(other.read()) == b"x" * 20
        await filled(spool, b"b" * 5, b"c" * 5, b"d")
        assert b"".join(spool.read()) == b"a" * 15 + b"b" * 5 + b"c" * 5 + b"d"


async def test_memory_is_released_while_reading_and_at_the_end():
    budget = MemoryBudget(100)
    async with Spool(budget) as spool:
        await filled(spool, b"a" * 40, b"b" * 40)
        pieces = spool.read()
        next(pieces)
        assert budget.free == 60
    assert budget.free == 100


async def test_a_small_budget_is_never_exceeded(small):
    budget = MemoryBudget(5)
    async with Spool(budget) as spool:
        await filled(spool, *[b"1234567"] * 50)
        assert sum(map(len, spool._unwritten)) < 10
        assert b"".join(spool.read()) == b"1234567" * 50


async def test_the_file_is_gone_at_the_end(small, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with Spool(MemoryBudget(0)) as spool:
        await filled(spool, b"a" * 20)
        file = spool._file
    assert file.closed
    assert list(tmp_path.iterdir()) == []


async def test_closing_a_file_slowly_does_not_block_the_event_loop(small):
    closing, going_on = threading.Event(), threading.Event()

    class SlowFile(io.BytesIO):
        def close(self):
            closing.set()
            assert going_on.wait(10), "the event loop was held up"
            super().close()

    async def meanwhile():
        await asyncio.to_thread(closing.wait, 10)
        going_on.set()

    task = asyncio.create_task(meanwhile())
    async with Spool(MemoryBudget(0)) as spool:
        spool._file = SlowFile()
        await filled(spool, b"a" * 20)
    assert spool._file.closed
    await task


async def test_a_full_directory_says_what_to_do(small, tmp_path, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    budget = MemoryBudget(5)
    with pytest.raises(StoreError, match=r"No space left .* set TMPDIR"):
        async with Spool(budget) as s:
            await filled(s, b"abc", b"a" * 20)
    assert budget.free == 5
