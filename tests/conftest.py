"""What every test may ask for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's database may stand; nothing is there yet."""
    return tmp_path / "mixpanel.duckdb"


def tasks_of_the_library():
    """The tasks on this loop that run the library's code, its fake server aside."""
    ours = [task for task in asyncio.all_tasks() if "/mixpanel_async/" in repr(task)]
    return [task for task in ours if "/mixpanel_async/testing/" not in repr(task)]
