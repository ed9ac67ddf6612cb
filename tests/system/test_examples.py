from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import nbformat
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
WITHOUT_AN_ACCOUNT = {name: value for name, value in os.environ.items() if not name.startswith("MP_")}


def run(directory, *arguments, **environment):
    """Run Python in the directory; gives what it printed."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=WITHOUT_AN_ACCOUNT | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def run_example(directory, name, **environment):
    return run(directory, "-W", "error", str(EXAMPLES / name), **environment)


def rows_in(path):
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute("SELECT count(*) FROM events").fetchall()[0][0]


def number_in(pattern, text):
    return int(re.search(pattern, text)[1].replace(",", ""))


def test_every_example_is_tested_here():
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "async_hook.py",
        "two_projects.py",
        "notebook.ipynb",
    }


def test_async_hook(tmp_path):
    shown = run_example(tmp_path, "async_hook.py")
    assert sorted(re.findall(r"^\[(\d)/4\] ", shown, re.MULTILINE)) == ["1", "2", "3", "4"]
    rows = number_in(r"([\d,]+) rows in", shown)
    assert rows == rows_in(tmp_path / "events.duckdb") > 10_000
    again = run_example(tmp_path, "async_hook.py")
    assert number_in(r"([\d,]+) rows in", again) < 1000


def test_two_projects(tmp_path):
    shown = run_example(tmp_path, "two_projects.py")
    for number in (1001, 1002):
        rows = number_in(rf"project {number}: ([\d,]+) rows, failed: \(\)", shown)
        assert rows == rows_in(tmp_path / f"project_{number}.duckdb") > 5000


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The notebook after it was run from top to bottom: what each cell that says something said."""
    directory = tmp_path_factory.mktemp("notebook")
    shutil.copy(EXAMPLES / "notebook.ipynb", directory)
    (directory / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    run(directory, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbmake", "--overwrite", "notebook.ipynb")
    cells = nbformat.read(directory / "notebook.ipynb", as_version=4).cells
    return [cell.outputs for cell in cells if cell.cell_type == "code" and cell.outputs]


def test_the_notebook_shows_a_failed_range_and_fetches_it_again(notebook):
    first, _, second, *_ = notebook
    assert "'failed_batches': 1" in first[-1].data["text/plain"]
    assert second[0].name == "stdout"
    assert second[0].text.startswith("to fetch again: (('20")
    assert "'has_failures': False" in second[-1].data["text/plain"]


def test_the_notebooks_hook_moves_a_bar(notebook):
    assert "<progress value=6 max=6>" in notebook[0][0].data["text/html"]


def test_the_notebooks_chart_has_a_bar_for_each_day_that_came(notebook):
    charts = [output.data["image/svg+xml"] for cell in notebook for output in cell if "image/svg+xml" in output.get("data", ())]
    assert [chart.count("<rect") for chart in charts] == [35, 42]


def test_the_notebook_is_committed_without_outputs():
    cells = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_an_account_in_the_environment_is_used(tmp_path, fake_from_another_process):
    environment = fake_from_another_process
    rows = number_in(r"([\d,]+) rows in", run_example(tmp_path, "async_hook.py", **environment))
    assert rows == rows_in(tmp_path / "events.duckdb") == 4 * 7 * 10
