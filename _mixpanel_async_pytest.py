"""The fixtures that pytest has wherever mixpanel-async is installed: a fake Mixpanel, see docs/testing.md.

pytest imports this module whenever it starts. So it stands outside the package, whose import would bring DuckDB and
aiohttp with it, and imports the package only once a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mixpanel_async.testing import FakeMixpanel


@pytest.fixture(scope="session")
def make_fake_mixpanel() -> Callable[[], FakeMixpanel]:
    """What makes the fake Mixpanels of the other two fixtures; override it to choose their events, day and limits.

    By default: 100 generated events a day, today is 2026-02-10, no rate limits.
    """
    from mixpanel_async.testing import FakeMixpanel, GeneratedEvents  # noqa: PLC0415 - see above

    return lambda: FakeMixpanel(GeneratedEvents(per_day=100), limits=None, cache=True)


@pytest.fixture
def fake_mixpanel(make_fake_mixpanel: Callable[[], FakeMixpanel]) -> Iterator[FakeMixpanel]:
    """A fake Mixpanel for one test, in a thread of its own: with blocking clients, or in async tests of any kind."""
    yield from _served(make_fake_mixpanel())


@pytest.fixture(scope="session")
def shared_fake_mixpanel(make_fake_mixpanel: Callable[[], FakeMixpanel]) -> Iterator[FakeMixpanel]:
    """One fake Mixpanel for all tests, which share its requests and faults too; bodies are made only once."""
    yield from _served(make_fake_mixpanel())


def _served(fake: FakeMixpanel) -> Iterator[FakeMixpanel]:
    from mixpanel_async.testing import running  # noqa: PLC0415 - see above

    with running(fake):
        yield fake
