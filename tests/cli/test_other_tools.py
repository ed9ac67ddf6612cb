"""The demo's file as others open it: DuckDB's command line of last year, pandas, polars and ibis."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

COUNT = "SELECT count(*) AS events, count(DISTINCT event_time::DATE) AS days FROM events"
OUR_TIMES = "SELECT min(fetched_at) <= max(fetched_at) AS ordered FROM _mixpanel_chunks"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "mixpanel_async", "demo"]
    subprocess.run(command, cwd=directory, capture_output=True, check=True)
    return directory / "demo.duckdb"


@pytest.fixture(scope="module")
def expected(file):
    with duckdb.connect(file, read_only=True) as connection:
        ((events, days),) = connection.execute(COUNT).fetchall()
    assert (events > 190_000, days) == (True, 90)
    return {"events": events, "days": days}


def test_the_command_line_of_duckdb_1_5(file, expected):
    command = shutil.which("duckdb", path=str(Path(sys.executable).parent))
    assert command is not None, "the package duckdb-cli is in the extra `test`"
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("v1.5.")
    browser = "SELECT properties->>'$.\"$browser\"' AS browser FROM events LIMIT 1"
    for query, is_right in (
        (COUNT, lambda rows: rows == [expected]),
        (OUR_TIMES, lambda rows: rows == [{"ordered": True}]),
        (browser, lambda rows: isinstance(rows[0]["browser"], str)),
    ):
        ended = subprocess.run([command, "-readonly", "-json", str(file), query], capture_output=True, check=True)
        assert is_right(json.loads(ended.stdout)), ended


def test_pandas(file, expected):
    with duckdb.connect(file, read_only=True) as connection:
        events = connection.execute("SELECT event_name, event_time FROM events").df()
        chunks = connection.execute("FROM _mixpanel_chunks").df()
    assert len(events) == expected["events"]
    assert events["event_time"].dt.normalize().nunique() == expected["days"]
    assert chunks["rows"].sum() == expected["events"]


def test_polars(file, expected):
    import polars as pl  # noqa: PLC0415 - only this test needs it

    with duckdb.connect(file, read_only=True) as connection:
        events = pl.read_database("SELECT event_time, properties FROM events", connection)
        chunks = pl.read_database("FROM _mixpanel_chunks", connection)
    assert events.select(events["event_time"].dt.date().n_unique()).item() == expected["days"]
    assert chunks["rows"].sum() == events.height == expected["events"]
    assert json.loads(events["properties"][0])["time"] > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ibis 12 calls a name that DuckDB 2 has renamed
def test_ibis(file, expected):
    import ibis  # noqa: PLC0415 - only this test needs it

    connection = ibis.duckdb.connect(file, read_only=True)
    try:
        events = connection.table("events")
        days = events.group_by(day=events.event_time.date()).aggregate(events=events.count()).execute()
        assert (days["events"].sum(), len(days)) == (expected["events"], expected["days"])
        assert connection.table("_mixpanel_chunks").rows.sum().execute() == expected["events"]
    finally:
        connection.disconnect()
