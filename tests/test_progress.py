"""What the caller hears: in order, one at a time, and never in anybody's way."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from mixpanel_async.progress import HookCalls, check_hook


class Listener:
    """Hears, and knows whether two calls ever overlapped."""

    def __init__(self):
        self.heard, self.overlapped, self._busy = [], False, threading.Lock()

    def plain(self, news):
        if not self._busy.acquire(blocking=False):
            self.overlapped = True
            return
        self.heard.append(news)
        self._busy.release()

    async def coroutine(self, news):
        if not self._busy.acquire(blocking=False):
            self.overlapped = True
            return
        await asyncio.sleep(0)
        self.heard.append(news)
        self._busy.release()


class Plain(Listener):
    def __call__(self, news):
        self.plain(news)


class Coroutine(Listener):
    async def __call__(self, news):
        await self.coroutine(news)


def with_extra(hook, extra, news):
    assert extra == "extra"
    return hook(news)


KINDS = {
    "plain function": lambda each: each.plain,
    "coroutine function": lambda each: each.coroutine,
    "partial of a plain one": lambda each: partial(with_extra, each.plain, "extra"),
    "partial that gives a coroutine": lambda each: partial(with_extra, each.coroutine, "extra"),
    "partial of a coroutine function": lambda each: partial(each.coroutine),
}


async def tell(hook, *news):
    calls = HookCalls(hook)
    async with calls.running():
        for each in news:
            calls.notify(each)


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_come_in_order_and_never_at_the_same_time(kind):
    listener = Listener()
    await tell(KINDS[kind](listener), *range(50))
    assert listener.heard == list(range(50))
    assert not listener.overlapped


@pytest.mark.parametrize("kind", [Plain, Coroutine])
async def test_callable_objects_are_hooks(kind):
    listener = kind()
    await tell(listener, "one", "two")
    assert listener.heard == ["one", "two"]


async def test_a_plain_function_has_a_thread_and_a_coroutine_function_the_loop():
    seen = {}

    async def coroutine(_):
        seen["coroutine"] = threading.get_ident()

    await tell(lambda _: seen.update(plain=threading.get_ident()), 1)
    await tell(coroutine, 1)
    assert seen["coroutine"] == threading.get_ident() != seen["plain"]


async def test_no_hook_hears_nothing():
    await tell(None, 1, 2)


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_a_hook_that_raises_is_logged_and_the_calls_go_on(kind, caplog):
    heard = []

    def plain(news):
        heard.append(news)
        if news == 1:
            raise ValueError("the hook's own")

    async def coroutine(news):
        plain(news)

    await tell({"plain": plain, "coroutine": coroutine}[kind], 1, 2)
    assert heard == [1, 2]
    assert "the hook's own" in caplog.text
    assert len(caplog.records) == 1


async def test_a_hook_that_runs_out_of_an_iterator_is_logged_too(caplog):
    heard = iter([1])
    await asyncio.wait_for(tell(lambda _: next(heard), 1, 2, 3), 5)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert caplog.records[1].getMessage() == "The progress hook failed 2 times."


async def cancelled_inside(_):
    task = asyncio.ensure_future(asyncio.sleep(10))
    task.cancel()
    await task


async def exits_in_coroutine(_):
    raise SystemExit(3)


def exits(_):
    raise SystemExit(3)


def cancels(_):
    raise asyncio.CancelledError


@pytest.mark.parametrize("hook", [cancelled_inside, exits_in_coroutine, exits, cancels])
async def test_whatever_a_hook_raises_does_not_end_the_fetch(hook, caplog):
    await asyncio.wait_for(tell(hook, 1, 2, 3), 5)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


@pytest.mark.parametrize(
    "hook", [5, "print", [], lambda: None, lambda _, __: None, partial(print, end="", sep="").args]
)
def test_what_cannot_be_called_with_one_argument_is_no_hook(hook):
    with pytest.raises(ValueError, match="on_batch_complete"):
        check_hook("on_batch_complete", hook)


@pytest.mark.parametrize("hook", [None, print, len, [].append, lambda *_: None, lambda _, extra=1: None, Plain(), dict])
def test_what_can_be_called_with_one_argument_is_a_hook(hook):
    check_hook("on_batch_complete", hook)


async def test_a_slow_hook_blocks_nobody_and_is_waited_for_at_the_end():
    gate, heard = asyncio.Event(), []

    async def slow(news):
        await gate.wait()
        heard.append(news)

    calls = HookCalls(slow)
    async with calls.running():
        for news in range(1000):
            calls.notify(news)
        await asyncio.sleep(0)
        assert heard == []
        gate.set()
    assert heard == list(range(1000))


async def test_on_an_error_the_calls_in_line_are_dropped():
    started, heard = asyncio.Event(), []

    async def slow(news):
        heard.append(news)
        started.set()
        await asyncio.Event().wait()

    async def fetch():
        calls = HookCalls(slow)
        async with calls.running():
            calls.notify(1)
            calls.notify(2)
            await started.wait()
            raise OSError("the fetch's own")

    with pytest.raises(OSError, match="the fetch's own"):
        await fetch()
    assert heard == [1]


async def test_a_cancel_while_the_last_calls_are_made_ends_them():
    started = asyncio.Event()

    async def endless(_):
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(tell(endless, 1, 2))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
