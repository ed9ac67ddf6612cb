"""``running``: serves from a thread, for tests without an event loop or with another kind of event loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from anyio.from_thread import start_blocking_portal

from mixpanel_async.testing.server import FakeMixpanel


@contextmanager
def running(fake: FakeMixpanel) -> Iterator[FakeMixpanel]:
    """Run ``fake`` on an event loop in a thread of its own while the block runs.

    ```python
    from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, running

    with running(FakeMixpanel(GeneratedEvents(per_day=100), limits=None)) as fake:
        print(fake.url)  # for the code under test
        fake.wait_until(lambda: fake.open == 0)
    ```

    Yields the same ``fake``. Its attributes and methods may be used from any thread, except ``start`` and ``close``.
    When the block ends, also by an error, the server is closed and the thread has ended.

    Raises OSError if the fake's port is in use.
    """
    with start_blocking_portal(backend="asyncio") as portal:
        portal.call(fake.start)
        try:
            yield fake
        finally:
            portal.call(fake.close)
