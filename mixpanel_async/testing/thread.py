"""A fake server on a thread of its own: for tests without an event loop, or with one of another kind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from mixpanel_async.testing.server import FakeMixpanel


@contextmanager
def running(fake: FakeMixpanel) -> Iterator[FakeMixpanel]:
    """Let ``fake`` serve while the block runs, on an event loop in a thread of its own.

        with running(FakeMixpanel(GeneratedEvents(per_day=100), limits=None)) as fake:
            export_everything(fake.url)
            fake.wait_until(lambda: fake.open == 0)

    It gives the same ``fake``, whose attributes and methods may be used from any thread, all but ``start``
    and ``close``. When the block ends, however it ends, the server is closed and the thread is gone.

    Raises OSError if the fake's port is in use.
    """
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="fake-mixpanel-server", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(fake.start(), loop).result()
        try:
            yield fake
        finally:
            asyncio.run_coroutine_threadsafe(fake.close(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
