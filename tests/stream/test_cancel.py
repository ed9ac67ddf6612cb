"""Cancelled at any step, once or twice, a stream ends; nothing is open, nothing runs on, and no event came twice."""

from __future__ import annotations

import asyncio

import pytest

from mixpanel_async.testing import Fault
from tests.cancellation.stepping import Steps, _Counted
from tests.conftest import tasks_of_the_library
from tests.slices import few

from .conftest import DAYS, FIRST, LAST


async def cancelled_at(fake, client, steps, **choice):
    """Take a stream, cancel it at these steps of its own tasks and the consumer's; gives the steps and the events."""
    loop, events = asyncio.get_running_loop(), []

    async def consume():
        async for event in client.stream_events(**DAYS, raw=True, **choice):
            events.append(event)  # noqa: PERF401 - what came stays

    def cancel():
        task.cancel()

    counted = Steps(steps, cancel)
    loop.set_task_factory(counted.factory)
    try:
        task = loop.create_task(_Counted(consume(), counted))
        await asyncio.wait({task}, timeout=20)
    finally:
        loop.set_task_factory(None)
    assert task.done(), f"a cancel at {steps} hangs"
    assert task.cancelled() or task.exception() is None
    await fake.until(lambda: fake.open == 0)
    await asyncio.sleep(0)
    assert tasks_of_the_library() == []
    return counted.taken, events


@pytest.mark.parametrize("choice", [{}, {"parallel": True, "max_workers": 3}], ids=["one by one", "parallel"])
@pytest.mark.parametrize("twice", [False, True])
async def test_cancelled_at_any_step(fake, client_of, choice, twice):
    fake.faults.add(Fault.no_trailer(), date="2026-01-03", attempts=[1])
    client, truth = client_of(fake), list(fake.truth(FIRST, LAST, time_in_ms=True))
    count, events = await cancelled_at(fake, client, set(), **choice)
    assert events == truth

    for step in few(range(1, count + 1), 12, seed=5):
        fake.forget_requests()
        _, events = await cancelled_at(fake, client, {step, step + 1} if twice else {step}, **choice)
        assert events == truth[: len(events)]


async def test_left_at_any_event_it_is_gone(fake, client_of):
    client = client_of(fake)
    for count in (1, 65, 150, 151, 900, 1799):
        stream = client.stream_events(**DAYS, parallel=True, max_workers=3)
        for _ in range(count):
            await anext(stream)
        await stream.aclose()
        assert tasks_of_the_library() == []
    await fake.until(lambda: fake.open == 0)
