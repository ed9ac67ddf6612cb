"""The dbt project of examples/dbt: two models over a view that `create_view` made, and a macro of `create_macros`.

dbt pins other packages, so it is in an environment of its own: `nox -s dbt`, or name the program in DBT.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

from mixpanel_async import Store

EXAMPLE = Path(__file__).parents[2] / "examples" / "dbt"
DBT = os.environ.get("DBT") or shutil.which("dbt")
EVENTS = [
    ("Page View", "2024-01-02 10:00:00", "ann", "Firefox"),
    ("Page View", "2024-01-02 10:29:59.999", "ann", "Firefox"),
    ("Page View", "2024-01-02 11:00:00", "ann", "Chrome"),
    ("Page View", "2024-01-02 23:59:00", "bob", "Firefox"),
    ("Buy", "2024-01-03 00:01:00", "bob", None),
    ("Page View", "2024-01-03 00:00:00", "", "Firefox"),
]


def build(directory, file):
    """Run `dbt build` in a copy of the project; return what it printed."""
    shutil.copytree(EXAMPLE, directory, dirs_exist_ok=True)
    environment = os.environ | {"MIXPANEL": str(file), "DO_NOT_TRACK": "1"}
    command = [DBT, "build", "--profiles-dir", "."]
    ended = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.skipif(DBT is None, reason="dbt is not installed: run `nox -s dbt`, or name the program in DBT")
def test_two_models_over_a_view(filled, tmp_path):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("DELETE FROM events")
        for name, time, user, browser in EVENTS:
            connection.execute(
                "INSERT INTO events VALUES (?, ?, ?, NULL, json_object('$browser', ?))", [name, time, user, browser]
            )
    asyncio.run(Store(filled).create_view("typed_events", properties=["$browser"]))
    asyncio.run(Store(filled).create_macros())
    project = tmp_path / "project"
    assert "PASS=3" in build(project, filled)
    with duckdb.connect(str(project / "models.duckdb"), read_only=True) as connection:
        days = connection.execute("FROM daily_events ORDER BY ALL").fetchall()
        sessions = connection.execute("FROM sessions ORDER BY ALL").fetchall()
    second, third = dt.date(2024, 1, 2), dt.date(2024, 1, 3)
    assert days == [
        (second, "Page View", "Chrome", 1, 1),
        (second, "Page View", "Firefox", 3, 2),
        (third, "Buy", None, 1, 1),
        (third, "Page View", "Firefox", 1, 0),
    ]
    assert [(user, number, events, str(duration)) for user, number, _, _, events, duration in sessions] == [
        ("ann", 1, 2, "0:29:59.999000"),
        ("ann", 2, 1, "0:00:00"),
        ("bob", 1, 2, "0:02:00"),
    ]
