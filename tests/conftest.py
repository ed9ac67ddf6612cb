"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's database may stand; nothing is there yet."""
    return tmp_path / "mixpanel.duckdb"
