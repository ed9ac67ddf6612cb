"""What every test may ask for."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # one that is busy is no bug
settings.load_profile("any machine")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's database may stand; nothing is there yet."""
    return tmp_path / "mixpanel.duckdb"


def tasks_of_the_library():
    """The tasks on this loop that run the library's code, its fake server aside."""
    ours = [task for task in asyncio.all_tasks() if "/mixpanel_async/" in repr(task)]
    return [task for task in ours if "/mixpanel_async/testing/" not in repr(task)]


@pytest.fixture(scope="session", autouse=True)
def children_heed_interrupts() -> Iterator[None]:
    """Let the processes that tests start end at Ctrl-C, also where pytest itself was told to ignore it.

    A process inherits that SIGINT is ignored (`trap "" INT`, a shell's background job, some CI), but no handler: so a
    handler that does nothing keeps pytest as it was, and gives its children the default.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, lambda *_: None)
    yield
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def pytest_xdist_auto_num_workers() -> int | None:
    """One worker more than there are cores: a test waits a quarter of its time, for sockets and for the disk."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist reads it
    return (os.cpu_count() or 1) + 1
