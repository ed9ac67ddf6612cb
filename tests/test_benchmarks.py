"""The benchmark runs, refuses wrong rows and compares the right way round; its figures are nobody's business here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.slices import few, whole

ROOT = Path(__file__).parents[1]
claims, data, measure, parts, report = (
    pytest.importorskip(f"benchmarks.{name}", reason="the wheel's tests run without the benchmark")
    for name in ("claims", "data", "measure", "parts", "report")
)

FAST = {"events": 100, "rows": 100, "seconds": 1.0, "cpu_seconds": 1.0, "peak_mb": 50.0, "file_mb": 2.0}
SLOW = {**FAST, "seconds": 4.0, "file_mb": 3.0}


def test_it_runs_from_end_to_end(tmp_path):
    events, days = whole((30_000, 6), (3_000, 2))
    size = ["--events", str(events), "--days", str(days), "--rounds", "1"]
    command = [sys.executable, "-m", "benchmarks", "core", *size, "--output", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    core = json.loads((tmp_path / "results.json").read_text())["core"]
    assert {len(runs) for name, runs in core["runs"].items() if "curl" not in name} == {1}
    assert all(
        run["events"] == events >= run["rows"] > events * 29 / 30 for runs in core["runs"].values() for run in runs
    )
    chart = ET.parse(tmp_path / "chart.svg").getroot()
    assert [bar.text for bar in chart.iterfind("{*}text[@text-anchor='end']")][:2] == [
        "mixpanel_async",
        "DuckDB, local files",
    ]


def test_years_of_appends_are_measured():
    command = [sys.executable, "-m", "benchmarks.appends", "50", "--days", "6", "--replaced", "3"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.fullmatch(
        r"\| 50, 6 \|(?: [\d.,]+(?: and [\d.]+)?(?: MB| s)?(?:, [\d.]+ (?:ms|s))? \|){7}\n", ended.stdout
    )


def test_a_contender_with_wrong_rows_fails_the_run(tmp_path):
    with data.served(data.DataSet(events=2000, days=2), tmp_path) as both:
        right = measure.Case("ours", "ours", both, deduplicates=True)
        run = measure.measured(right, tmp_path)
        assert run["events"] == 2000 > run["rows"]
        with pytest.raises(measure.WrongRowsError, match=r"ours brought .*rows=19\d\d"):
            measure.measured(replace(right, deduplicates=False), tmp_path)


def test_a_contender_that_asks_for_seconds_has_no_milliseconds(tmp_path):
    with data.served(data.DataSet(events=2000, days=2), tmp_path, in_seconds=True) as both:
        curl = measure.Case("curl", "curl_duckdb", both, needs="curl")
        if not curl.can_run:
            pytest.skip("there is no curl")
        measure.measured(curl, tmp_path)
        with pytest.raises(measure.WrongRowsError, match="curl brought"):
            measure.measured(replace(curl, in_seconds=True), tmp_path)


def test_a_stream_is_counted_by_its_contender(tmp_path):
    with data.served(data.DataSet(events=2000, days=2), tmp_path, as_one=True) as both:
        for options in few([{"raw": True}, {"batches": True}], 1):
            stream = measure.Case("s", "ours_streams", both, {"options": options}, stores=False)
            run = measure.measured(stream, tmp_path)
            assert run["events"] == run["rows"] == 2000
            assert "file_mb" not in run
        with pytest.raises(measure.WrongRowsError, match=r"s brought .*rows=2000, .*, not .*rows=19\d\d"):
            measure.measured(replace(stream, deduplicates=True), tmp_path)


def test_steps_store_what_a_fetch_would(tmp_path):
    with data.served(data.DataSet(events=2000, days=2), tmp_path) as both:
        run = measure.measured(measure.Case("s", "ours_steps", both, deduplicates=True), tmp_path)
    assert min(run[f"{step}_us"] for step in ("gunzip", "cut", "parse", "insert")) > 0


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """A function that makes the case of a contender that reads 2,000 events, and runs it."""
    directory = tmp_path_factory.mktemp("loaded")
    with data.served(data.DataSet(events=2000, days=2), directory) as both, measure.loaded(both, directory) as source:

        def run(contender, *, deduplicates=True, **options):
            changes = {"options": {"source": source, **options}}
            case = measure.Case("r", contender, both, changes, stores=False, deduplicates=deduplicates)
            return measure.measured(case, directory)

        yield run


def test_an_export_is_counted_in_its_files(readers):
    for way in few([way for ways in parts.EXPORTS.values() for way in ways.values()], 1):
        run = readers("exports", **way)
        assert run["events"] == 2000 > run["rows"]
        assert run["file_mb"] > 0.1
    with pytest.raises(measure.WrongRowsError, match=r"r brought .*rows=19\d\d, .*, not .*rows=2000"):
        readers("exports", deduplicates=False, **way)


def test_each_method_of_a_store_is_measured(readers):
    run = readers("store_methods")
    assert {"describe_s", "query_view_s", "mixpanel_funnel_s", "compact_s"} < set(run)
    assert sum(seconds for name, seconds in run.items() if name.endswith("_s") and "cpu" not in name) <= run["seconds"]


def test_speed_is_events_a_second_best_against_best():
    runs = {"a": [FAST, SLOW], "b": [SLOW, {**SLOW, "events": 200}]}
    [claim] = claims.times_as_fast(runs, "a", "b", least=2.5)
    assert (claim.value, claim.within_rounds) == (2.0, (0.5, 2.25, 4.0))
    assert str(claim).endswith("[at least 2.5: NO]")


def test_memory_and_bytes_count_at_their_highest():
    runs = {"a": [FAST, SLOW], "b": [FAST]}
    assert claims.times_as_much(runs, "file_mb", "a", "b", most=1.5) == [
        claims.Claim("a, file_mb beside b", 1.5, most=1.5)
    ]
    assert [
        claim.holds for claim in claims.at_most(runs, "peak_mb", "a", 50) + claims.at_most(runs, "peak_mb", "a", 49)
    ] == [1, 0]


def test_what_is_not_installed_is_said_to_be_missing():
    absent = measure.Case("peer", "peer_utils", None, needs="no_such_peer")
    assert not absent.can_run
    runs = {"a": [FAST], "peer": []}
    assert claims.times_as_fast(runs, "a", "peer", 100.0) == []
    assert "peer   not here" in report.shown("title", runs, [])
