from __future__ import annotations

import asyncio
import datetime as dt
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import duckdb
import nbformat
import pytest

from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, Project
from tests.slices import few

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PYTEST_INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
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


def run_example(directory, name, *arguments, **environment):
    return run(directory, "-W", "error", str(EXAMPLES / name), *arguments, **environment)


def run_pytest(directory, *arguments):
    (directory / "pytest.ini").write_text(PYTEST_INI)
    return run(directory, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)


@asynccontextmanager
async def account_in_the_environment():
    """The variables that name two projects of a fake Mixpanel with ten events a day, and the fake."""
    projects, today = [Project(), Project(id=777)], dt.datetime.now(dt.UTC).date()
    source = GeneratedEvents(per_day=10, duplicates=0.0)
    async with FakeMixpanel(source, today=today, projects=projects, limits=None) as fake:
        variables = {
            "MP_USERNAME": fake.project.service_account.username,
            "MP_SECRET": fake.project.service_account.secret,
            "MP_PROJECT_ID": "12345",
            "MP_OTHER_PROJECT_ID": "777",
            "MP_BASE_URL": fake.url,
        }
        yield variables, fake


def rows_in(path):
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute("SELECT count(*) FROM events").fetchall()[0][0]


def number_in(pattern, text):
    return int(re.search(pattern, text)[1].replace(",", ""))


def test_every_example_is_tested_here():
    assert {path.name for path in EXAMPLES.iterdir() if path.name != "__pycache__"} == {
        "README.md",
        "hourly_in_a_web_app.py",
        "nightly",
        "async_hook.py",
        "blocking.py",
        "dbt",  # tests/store/test_dbt.py
        "dlt_pipeline.py",  # tests/system/test_dlt_pipeline.py
        "webapp",  # tests/system/test_webapp.py
        "two_projects.py",
        "process_pool.py",
        "scheduled_task.py",
        "test_your_export.py",
        "quickstart.ipynb",
    }


def test_the_table_of_contents_names_each_example():
    named = re.findall(r"^\| \[[^]]*\]\(([\w.]+)", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted([*named, "README.md"]) == sorted(
        path.name for path in EXAMPLES.iterdir() if path.name != "__pycache__"
    )


def test_async_hook(tmp_path):
    shown = run_example(tmp_path, "async_hook.py")
    chunks = re.findall(r"^\[(\d+)/28\] ", shown, re.MULTILINE)  # up to three for each of ten workers
    assert sorted(map(int, chunks)) == list(range(1, 29))
    rows = number_in(r"([\d,]+) rows in", shown)
    assert rows == rows_in(tmp_path / "events.duckdb") > 10_000
    again = run_example(tmp_path, "async_hook.py")
    assert number_in(r"([\d,]+) rows in", again) < 1000


def rows_of_chunks(shown):
    """Return the rows of each chunk that blocking.py reports, by its dates."""
    found = re.findall(r"^(20.* to .*): ([\d,]+) rows$", shown, re.MULTILINE)
    return {dates: int(rows.replace(",", "")) for dates, rows in found}


def test_blocking_code(tmp_path):
    shown = run_example(tmp_path, "blocking.py")
    rows = sum(rows_of_chunks(shown).values())
    assert rows == number_in(r"\nevents +([\d,]+)\n", shown) == rows_in(tmp_path / "blocking.duckdb") > 5000
    assert "│ Search" in shown
    again = run_example(tmp_path, "blocking.py")
    not_over = {dates: rows for dates, rows in rows_of_chunks(shown).items() if dates in rows_of_chunks(again)}
    assert rows_of_chunks(again) == not_over
    assert number_in(r"\nevents +([\d,]+)\n", again) == sum(not_over.values())
    assert len(not_over) <= 1  # yesterday, in the hours in which it is not over in every time zone
    assert rows_in(tmp_path / "blocking.duckdb") == rows


async def test_ctrl_c_in_blocking_code_leaves_whole_chunks_and_ends_the_process(tmp_path):
    async with account_in_the_environment() as (account, fake):
        fake.faults.add(Fault.stall(after_bytes=100), date=f"{fake.clock.now - dt.timedelta(1):%Y-%m-%d}", times=1)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(EXAMPLES / "blocking.py"), cwd=tmp_path, env=WITHOUT_AN_ACCOUNT | account,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        for _ in range(13):  # then the last day was requested, so the next run meets no fault
            assert b": 10 rows" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            _, told = await process.communicate()
        assert process.returncode == -signal.SIGINT
        assert told.splitlines()[-1] == b"KeyboardInterrupt"
        assert b"never retrieved" not in told
        with duckdb.connect(tmp_path / "blocking.duckdb", read_only=True) as connection:
            journal = connection.execute("SELECT from_date, rows FROM _mixpanel_chunks").fetchall()
            days = connection.execute("SELECT event_time::DATE, count(*) FROM events GROUP BY ALL").fetchall()
        assert sorted(journal) == sorted(days)
        assert len(days) == 13
        await asyncio.to_thread(run_example, tmp_path, "blocking.py", **account)
    assert rows_in(tmp_path / "blocking.duckdb") == 140


def test_two_projects(tmp_path):
    shown = run_example(tmp_path, "two_projects.py")
    for number in (1001, 1002):
        rows = number_in(rf"project {number}: ([\d,]+) rows, failed: \(\)", shown)
        assert rows == rows_in(tmp_path / f"project_{number}.duckdb") > 5000


def test_every_hour_in_a_web_app(tmp_path):
    shown = run_example(tmp_path, "hourly_in_a_web_app.py")
    first, *later = map(int, re.findall(r"^(\d+) rows came 0 chunks failed$", shown.replace(",", ""), re.MULTILINE))
    assert first > 3000
    assert len(later) == 2
    assert set(later) == {0}
    assert rows_in(tmp_path / "hourly.duckdb") == first


def test_a_process_pool(tmp_path):
    shown = run_example(tmp_path, "process_pool.py")
    assert len(re.findall(r"^100[12] \S+ \S+ [\d,]+ rows$", shown, re.MULTILINE)) == 8
    for number in (1001, 1002):
        assert number_in(rf"project {number}: (\d+) files", shown) == 26


def test_a_scheduled_task(tmp_path):
    first, second, again = run_example(tmp_path, "scheduled_task.py").splitlines()
    assert again == f"again: {first}"
    assert first != second
    assert {path.name for path in (tmp_path / "events").iterdir()} == {"_mixpanel", "project_id=12345"}


NIGHTLY = EXAMPLES / "nightly"


def test_every_night(tmp_path):
    first = run_example(tmp_path, "nightly/nightly.py", "--fake")
    assert number_in(r"events: ([\d,]+) rows", first) == rows_in(tmp_path / "mixpanel.duckdb") > 5000
    assert number_in(r"profiles: ([\d,]+) rows", first) == 500
    again = run_example(tmp_path, "nightly/nightly.py", "--fake")
    assert 0 < number_in(r"events: ([\d,]+) rows", again) < 1000
    assert number_in(r"events: [\d,]+ rows in (\d+) chunks", again) == 5


def test_a_night_without_an_account_says_so_and_writes_nothing(tmp_path):
    ended = subprocess.run(
        [sys.executable, str(NIGHTLY / "nightly.py")],
        cwd=tmp_path, env=WITHOUT_AN_ACCOUNT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "The sync failed: No credentials: " in ended.stderr
    assert list(tmp_path.iterdir()) == []


async def test_a_night_that_fails_says_so_and_exits_with_1(tmp_path):
    async with account_in_the_environment() as (account, _):
        wrong = {**WITHOUT_AN_ACCOUNT, **account, "MP_SECRET": "wrong-secret"}
        ended = await asyncio.to_thread(
            subprocess.run, [sys.executable, str(NIGHTLY / "nightly.py")],
            cwd=tmp_path, env=wrong, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert "The sync failed: " in ended.stderr
    assert "wrong-secret" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


def test_the_units_and_the_line_for_cron(tmp_path):
    """They pass arguments that the script takes, and systemd accepts the units."""
    service = (NIGHTLY / "mixpanel-sync.service").read_text()
    assert re.search(r"nightly\.py --from \S+ --database \S+$", service, re.MULTILINE)
    assert "mixpanel-sync.service" in (NIGHTLY / "README.md").read_text()
    assert re.search(r"nightly\.py --from \S+$", (NIGHTLY / "README.md").read_text(), re.MULTILINE)
    if shutil.which("systemd-analyze"):
        (tmp_path / "mixpanel-sync.service").write_text(re.sub(r"/opt/\S+/python ", f"{sys.executable} ", service))
        shutil.copy(NIGHTLY / "mixpanel-sync.timer", tmp_path)
        subprocess.run(["systemd-analyze", "verify", *tmp_path.iterdir()], check=True)


def test_your_export(tmp_path):
    shutil.copy(EXAMPLES / "test_your_export.py", tmp_path)
    assert "1 passed" in run_pytest(tmp_path)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The notebook after it was run from top to bottom: the outputs of each cell that has some."""
    directory = tmp_path_factory.mktemp("notebook")
    shutil.copy(EXAMPLES / "quickstart.ipynb", directory)
    run_pytest(directory, "--nbmake", "--overwrite", "quickstart.ipynb")
    cells = nbformat.read(directory / "quickstart.ipynb", as_version=4).cells
    return [cell.outputs for cell in cells if cell.cell_type == "code" and cell.outputs]


def html_of(outputs):
    return next(output.data["text/html"] for output in outputs if "text/html" in output.get("data", ()))


def test_the_quickstart_shows_a_failed_range_and_mends_it(notebook):
    plan, fetched, coverage, first, mended, described, views, synced, differing = notebook
    assert "<th" in html_of(plan)
    assert "5 committed, 1 failed" in html_of(fetched[-1:])
    assert "(503)" in html_of(fetched[-1:])
    assert "Gaps: " in html_of(coverage)
    assert mended[0].text.startswith("to fetch again: (('20")
    charts = [outputs[-1].data["image/svg+xml"] for outputs in (first, mended)]
    assert [chart.count("<rect") for chart in charts] == [33, 40]
    assert "$browser" in html_of(described)
    assert "users" in html_of(views)
    assert "0 failed" in html_of(synced[-1:])
    assert differing[0].data["text/plain"] == "()"


def test_the_quickstart_shows_a_bar(notebook):
    assert "/6 chunks" in notebook[1][0].data["text/plain"]


def test_the_notebook_is_committed_without_outputs():
    cells = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.parametrize(
    ("example", "database", "days"),
    few([("async_hook.py", "events.duckdb", 28), ("two_projects.py", "project_777.duckdb", 14)], 1, seed=5),
)
async def test_an_account_in_the_environment_is_used(tmp_path, example, database, days):
    async with account_in_the_environment() as (account, _):
        await asyncio.to_thread(run_example, tmp_path, example, **account)
    assert rows_in(tmp_path / database) == days * 10
