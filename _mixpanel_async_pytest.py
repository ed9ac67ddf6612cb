"""The pytest fixtures of mixpanel-async: a fake Mixpanel, see docs/testing.md.

pytest imports this module at every start. So it is not part of the package, whose import would also import DuckDB and
aiohttp. It imports the package when a test requests a fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mixpanel_async.testing import FakeMixpanel


@pytest.fixture(scope="session")
def make_fake_mixpanel() -> Callable[[], FakeMixpanel]:
    """Return a function that makes the servers of the other fixtures. Override it to choose events, day and limits.

    By default a server has 100 generated events a day, today is 2026-02-10, and there are no rate limits.
    """
    from mixpanel_async.testing import FakeMixpanel, GeneratedEvents  # noqa: PLC0415 - see above

    return lambda: FakeMixpanel(GeneratedEvents(per_day=100), limits=None, cache=True)


@pytest.fixture
def fake_mixpanel(make_fake_mixpanel: Callable[[], FakeMixpanel]) -> Iterator[FakeMixpanel]:
    """Yield a fake Mixpanel for one test. It runs in a thread, so the test may block or be async."""
    yield from _run(make_fake_mixpanel())


@pytest.fixture(scope="session")
def shared_fake_mixpanel(make_fake_mixpanel: Callable[[], FakeMixpanel]) -> Iterator[FakeMixpanel]:
    """Yield one fake Mixpanel for all tests. They share its requests, faults, clock and cached bodies."""
    yield from _run(make_fake_mixpanel())


def _run(fake: FakeMixpanel) -> Iterator[FakeMixpanel]:
    from mixpanel_async.testing import running  # noqa: PLC0415 - see above

    with running(fake):
        yield fake
