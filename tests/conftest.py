"""Fixtures and settings for all tests."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import mixpanel_async

settings.register_profile("any machine", deadline=None)  # a slow example on a busy machine is not a failure
settings.load_profile("any machine")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a database that does not exist yet."""
    return tmp_path / "mixpanel.duckdb"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs may be mounted here: that needs Linux and root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def tasks_of_the_library():
    """The tasks on this loop that run the library's code, its fake server aside."""
    package = Path(mixpanel_async.__file__).parent  # a clone may have the package's name, too
    ours = [task for task in asyncio.all_tasks() if f"{package}/" in repr(task)]
    return [task for task in ours if f"{package}/testing/" not in repr(task)]


@pytest.fixture(scope="session", autouse=True)
def state_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep tests, and the processes that they start, away from the user's own state directory."""
    directory = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MP_STATE_DIR", str(directory))
        yield directory


@pytest.fixture(scope="session", autouse=True)
def children_heed_interrupts() -> Iterator[None]:
    """Let child processes of tests react to SIGINT, even if pytest was started with SIGINT ignored.

    A child process inherits that SIGINT is ignored (`trap "" INT`, a shell's background job, some CI), but it does not
    inherit a handler. So a handler that does nothing keeps pytest's behaviour, and its children get the default one.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, lambda *_: None)
    yield
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def pytest_xdist_auto_num_workers() -> int | None:
    """One worker more than there are cores, because a test waits for sockets and the disk a quarter of its time."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist reads it
    return (os.cpu_count() or 1) + 1
