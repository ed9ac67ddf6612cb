"""`progress=True`: what a user sees in a terminal, in a pipe and in a notebook."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import io
import logging
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import nbformat
import pytest
from nbclient import NotebookClient

from mixpanel_async import AuthenticationError, FetchProgress, Store, progress_bar
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GeneratedProfiles
from tests.cli.conftest import Terminal

from .conftest import client_of

__all__ = ["client_of"]

DAYS = {"from_date": "2026-01-01", "to_date": "2026-01-06", "parallel": True, "chunk_days": 1}
ROWS = 240
SPEED = r"[\d.]+ [kM]B/s, \d\d:\d\d"

SETUP = f"""
import asyncio, io, logging, os, sys, threading
from mixpanel_async import MixpanelClient, RateLimits, RetryPolicy, ServiceAccount, Store
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents
DAYS = {DAYS}
fake = FakeMixpanel(GeneratedEvents(per_day=40, duplicates=0.0), today="2026-06-01", limits=None)
known = fake.project.service_account
def client_of(fake, **limits):
    return MixpanelClient(
        ServiceAccount(known.username, known.secret, fake.project.id), base_url=fake.url, database="a.duckdb",
        limits=RateLimits(per_second=1000, **limits), retry=RetryPolicy(attempts=3, wait_initial=0, wait_max=0),
    )
"""

FAILS = """
async def main():
    async with fake:
        fake.faults.add(Fault.cut(after_fraction=0.5), date="2026-01-02", times=1)
        fake.faults.add(Fault.status(500), date="2026-01-04")
        async with client_of(fake) as client:
            await client.fetch_events(**DAYS, progress=True)
    assert logging.getLogger("mixpanel_async").filters == []
    assert "TMonitor" not in {type(thread).__name__ for thread in threading.enumerate()}
asyncio.run(main())
"""
WAITS = """
async def main():
    async with fake, client_of(fake, per_hour=3) as client:
        await client.fetch_events(**DAYS, progress=True)
asyncio.run(main())
"""
RAISES = """
async def main():
    async with fake:
        fake.faults.add(Fault.status(401), date="2026-01-06")
        async with client_of(fake) as client:
            await client.fetch_events(**DAYS, max_workers=1, progress=True)
asyncio.run(main())
"""
TWO = """
async def main():
    async with fake, client_of(fake) as client:
        await asyncio.gather(*(client.fetch_events(name, **DAYS, progress=True) for name in "ab"))
asyncio.run(main())
"""


@contextmanager
def terminal(script, tmp_path, columns=80):
    shown = Terminal(sys.executable, "-W", "error", "-c", SETUP + script, cwd=tmp_path, columns=columns)
    try:
        yield shown
    finally:
        shown.close()


def test_a_terminal_of_80_columns_with_a_retry_and_a_failed_chunk(tmp_path):
    """The warning of the failed chunk and the bar do not run into each other."""
    with terminal(FAILS, tmp_path) as shown:
        assert shown.end() == 0
    *warning, bar, end = shown.lines
    assert "".join(warning).endswith("The other chunks go on; resume=True fetches these dates again.")
    assert "".join(warning).startswith("2026-01-04: Mixpanel failed (500)")
    assert re.fullmatch(rf"█+ 6/6 chunks, 200 rows, {SPEED}, 3 retries, 1 failed", bar.removeprefix("events: "))
    assert len(bar) == 78
    assert end == ""
    assert "\x1b[31m" in shown.text  # red, since a chunk failed


def test_ctrl_c_in_a_terminal_of_40_columns_while_it_waits(tmp_path):
    with terminal(WAITS, tmp_path, 40) as shown:
        shown.until(r"3/6 chunks, \d\d:\d\d, waiting until \d\d:\d\d")
        shown.type(b"\x03")  # the terminal shows it
        shown.until(r"\^C")
        shown.process.send_signal(signal.SIGINT)
        assert shown.end() == -signal.SIGINT
    place = shown.lines.index("Traceback (most recent call last):")
    assert re.fullmatch(rf"(█+▌ + )?3/6 chunks, 120 rows, ({SPEED}|\d\d:\d\d)\^C", shown.lines[place - 1])
    assert sum("6 chunks" in line for line in shown.lines) <= 2  # two if it was being drawn when `^C` was


@pytest.mark.parametrize("columns", [80, 0])
def test_an_error_comes_below_the_bar(tmp_path, columns):
    """A terminal that does not tell its width says 0."""
    with terminal(RAISES, tmp_path, columns) as shown:
        assert shown.end() == 1
        shown.columns = 80
    place = shown.lines.index("Traceback (most recent call last):")
    assert re.fullmatch(rf"events: █+.? + [3-5]/6 chunks, \d+ rows, {SPEED}", shown.lines[place - 1])
    assert any(line.startswith("mixpanel_async.errors.AuthenticationError: ") for line in shown.lines)


def test_two_bars_at_once(tmp_path):
    with terminal(TWO, tmp_path) as shown:
        assert shown.end() == 0
    for name in "ab":
        assert re.search(rf"{name}: █+ 6/6 chunks, {ROWS} rows, ", shown.text)


@pytest.fixture
async def fake():
    events = GeneratedEvents(per_day=40, duplicates=0.0)
    async with FakeMixpanel(events, profiles=GeneratedProfiles(count=30), today="2026-06-01", limits=None) as server:
        yield server


async def test_a_pipe_gets_a_line_at_the_end(fake, client_of, capsys, tmp_path, path):
    client = client_of(fake)
    await client.fetch_events(**DAYS, progress=True)
    await client.sync_events(to_date="2026-01-07", lookback_days=0, chunk_days=2, progress=True)
    await client.fetch_profiles(progress=True)
    await client.sync_profiles("people", progress=True)
    await client.store.export_parquet("events", tmp_path / "lake", progress=True)
    await Store(path).export_csv("events", tmp_path / "a.csv", progress=True)
    await Store(path).export_jsonl("people", tmp_path / "a.jsonl", progress=True)
    expected = (
        f"events: 6/6 chunks, {ROWS} rows, {SPEED}",
        f"events: 1/1 chunks, 40 rows, {SPEED}",
        f"profiles: 1/1 pages, 30 rows, {SPEED}",
        f"people: 1/1 pages, 30 rows, {SPEED}",
        f"events: 7/7 files, 280 rows, {SPEED}",
        f"events: 1/1 files, 280 rows, {SPEED}",
        f"people: 1/1 files, 30 rows, {SPEED}",
    )
    lines = capsys.readouterr().err.splitlines()
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line)


async def test_where_nothing_is_to_do_nothing_is_shown(fake, client_of, capsys):
    client = client_of(fake)
    await client.sync_events(from_date="2026-01-01", to_date="2026-01-03")
    await client.sync_events(to_date="2026-01-03", lookback_days=0, progress=True)
    assert capsys.readouterr().err == ""


async def test_a_pipe_keeps_the_line_of_a_call_that_failed(fake, client_of, capsys):
    fake.faults.add(Fault.status(401), date="2026-01-06")
    with pytest.raises(AuthenticationError):
        await client_of(fake).fetch_events(**DAYS, max_workers=1, progress=True)
    assert re.fullmatch(rf"events: [3-5]/6 chunks, \d+ rows, {SPEED}\n", capsys.readouterr().err)


def test_a_pipe_gets_a_line_now_and_then(monkeypatch, capsys):
    """After 10 s, and then at most every 10 s; every 60 s if nothing changes."""
    seconds = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    bar, lines = progress_bar.ProgressBar("events", "chunks"), {}
    for second in range(200):
        seconds = 1000.0 + second
        chunks = second // 4 if second < 80 else 20
        bar.draw(FetchProgress(30, chunks, chunks * 10, second * 1_000_000 if second < 80 else 80_000_000))
        if shown := capsys.readouterr().err:
            lines[second] = shown
    assert list(lines) == [10, 20, 30, 40, 50, 60, 70, 80, 140]
    assert lines[10] == "events: 2/30 chunks, 20 rows, 1.0 MB/s, 00:10\n"
    assert lines[140] == "events: 20/30 chunks, 200 rows, 02:20\n"
    bar.close(FetchProgress(30, 30, 300, 398_000_000))
    assert capsys.readouterr().err == "events: 30/30 chunks, 300 rows, 2.0 MB/s, 03:19\n"


class FakeTty(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


class Full(FakeTty):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_bar_that_cannot_be_drawn_ends_nothing(fake, client_of, monkeypatch, caplog):
    monkeypatch.setattr("sys.stderr", Full())
    result = await client_of(fake).fetch_events(**DAYS, progress=True)
    assert result.total_rows == ROWS
    assert [record.getMessage() for record in caplog.records] == ["The progress bar failed; the call goes on."]
    other = threading.Thread(target=progress_bar.tqdm, kwargs={"file": io.StringIO()}, daemon=True)
    other.start()  # the lock of all bars is free
    other.join(10)
    assert not other.is_alive()


async def test_a_terminal_that_is_stopped_holds_nothing_back(fake, client_of, monkeypatch):
    may_go_on, ended = threading.Event(), []

    class Stopped(FakeTty):
        def write(self, text):
            assert may_go_on.wait(60)
            return super().write(text)

    def count(done):
        ended.append(done)
        if len(ended) == 6:
            may_go_on.set()

    monkeypatch.setattr("sys.stderr", stderr := Stopped())
    await asyncio.wait_for(client_of(fake).fetch_events(**DAYS, progress=True, on_batch_complete=count), 30)
    assert "6/6 chunks" in stderr.getvalue()


async def test_a_record_of_any_of_our_loggers_stands_alone(monkeypatch):
    drawn, child = threading.Event(), logging.getLogger("mixpanel_async.a_child")

    class Watched(FakeTty):
        def write(self, text):
            if "1/3 chunks" in text:
                drawn.set()
            return super().write(text)

    monkeypatch.setattr("sys.stderr", stderr := Watched())
    handler = logging.StreamHandler(stderr)
    logging.getLogger().addHandler(handler)
    try:
        async with progress_bar.shown(lambda: FetchProgress(3, 1), "events", "chunks"):
            await asyncio.to_thread(drawn.wait, 30)
            child.warning("said")
            progress_bar.tqdm.write("written", file=stderr)
    finally:
        logging.getLogger().removeHandler(handler)
    assert re.search(r"\r +\rsaid\n", stderr.getvalue())
    assert re.search(r"\r *\rwritten\n\revents: ", stderr.getvalue())
    assert child.filters == []


CELLS = """
import sys, warnings
sys.modules.update({modules})
warnings.simplefilter("error")
{setup}
---
async with fake, client_of(fake) as client:
    result = await client.fetch_events(**DAYS, progress=True)
print(result.total_rows)
"""


async def run_notebook(tmp_path, modules):
    """Run a fetch in a real kernel; gives the notebook."""
    notebook, cells = nbformat.v4.new_notebook(), CELLS.format(modules=modules, setup=SETUP)
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells.split("---\n")]
    await NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).async_execute()
    assert notebook.cells[0].outputs == []
    return notebook


async def test_a_notebook_without_ipywidgets_shows_text(tmp_path):
    """One text, in its place also if something is printed."""
    bar, rows = (await run_notebook(tmp_path, {"ipywidgets": None})).cells[1].outputs
    assert re.fullmatch(rf"events: █+ 6/6 chunks, {ROWS} rows, {SPEED}", bar.data["text/plain"])
    assert rows.text == f"{ROWS}\n"


@pytest.mark.skipif(importlib.util.find_spec("ipywidgets") is None, reason="ipywidgets is not installed")
async def test_a_notebook_shows_a_widget(tmp_path):
    notebook = await run_notebook(tmp_path, {})
    widget, rows = notebook.cells[1].outputs
    assert "application/vnd.jupyter.widget-view+json" in widget.data
    assert rows.text == f"{ROWS}\n"
    models = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    values = {model["model_name"]: model["state"] for model in models if model["state"].get("value")}
    assert (values["FloatProgressModel"]["value"], values["FloatProgressModel"]["max"]) == (6, 6)
    text = " ".join(str(model["state"].get("value")) for model in models).replace("\u2007", " ")
    assert re.search(rf"6/6 chunks, {ROWS} rows, {SPEED}", text)


def test_tqdm_is_imported_for_a_bar_only_and_may_be_disabled(tmp_path):
    script = """
async def main():
    async with fake, client_of(fake) as client:
        await client.fetch_events(**DAYS, progress=print)
        await client.store.export_csv("events", "a.csv", progress=False)
        assert "tqdm" not in sys.modules
        await client.store.export_csv("events", "a.csv", progress=True)
        assert "tqdm" in sys.modules
    assert sys.stderr.getvalue() == ""
class Tty(io.StringIO):
    isatty = lambda self: True
sys.stderr, os.environ["TQDM_DISABLE"] = Tty(), "1"
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-W", "error", "-c", SETUP + script], cwd=tmp_path, check=True)
