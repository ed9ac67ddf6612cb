"""Nothing that was begun in a thread is abandoned there."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mixpanel_async.threads import finish_in_thread


class Gate:
    """A function that runs until it is let go."""

    def __init__(self, error=None):
        self.entered, self.open, self.ended, self.error = threading.Event(), threading.Event(), False, error

    def __call__(self):
        self.entered.set()
        self.open.wait(10)
        self.ended = True
        if self.error is not None:
            raise self.error
        return "done"

    async def begun(self):
        await asyncio.to_thread(self.entered.wait, 10)


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_gives_the_result_and_raises_the_error():
    assert await finish_in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await finish_in_thread(divmod, 7, 0)


async def test_it_runs_in_another_thread():
    assert await finish_in_thread(threading.get_ident) != threading.get_ident()


@pytest.mark.parametrize("cancels", [1, 2, 5])
async def test_a_cancel_waits_for_the_thread_however_often_it_comes(cancels):
    gate = Gate()
    work = asyncio.create_task(finish_in_thread(gate))
    await gate.begun()
    for _ in range(cancels):
        work.cancel()
        await turns()
        assert not work.done()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert gate.ended


async def test_the_error_of_a_thread_that_was_waited_for_is_noted_on_the_cancel():
    gate = Gate(OSError("disk full"))
    work = asyncio.create_task(finish_in_thread(gate))
    await gate.begun()
    work.cancel()
    await turns()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await work
    assert "disk full" in cancelled.value.__notes__[0]


async def test_a_cancel_interrupts_the_thread_until_it_ends():
    """A single interrupt may come between two statements, where it does nothing."""
    gate, interrupts = Gate(OSError("interrupted")), []

    def interrupt():
        interrupts.append(1)
        if len(interrupts) == 3:
            gate.open.set()

    work = asyncio.create_task(finish_in_thread(gate, interrupt=interrupt))
    await gate.begun()
    assert interrupts == []
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (gate.ended, len(interrupts) >= 3) == (True, True)


def test_the_end_of_the_loop_waits_for_the_thread_too():
    """`asyncio.run` cancels every task that is left, one inside of this helper included."""
    gate, seen = Gate(), []

    async def fetch():
        try:
            await finish_in_thread(gate)
        finally:
            seen.append(gate.ended)

    async def main():
        task = asyncio.create_task(fetch())
        await gate.begun()
        asyncio.get_running_loop().call_later(0.05, gate.open.set)
        return task

    asyncio.run(main())
    assert seen == [True]


async def test_a_stop_iteration_does_not_hang():
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(finish_in_thread(lambda: next(iter(()))), 5)
