"""Commands as processes of their own: signals, pipes, a terminal, and the empty environment of cron."""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents

from .conftest import COMMAND, Terminal

DATES = ["--from", "2026-02-01", "--to", "2026-02-06"]
CHUNKS = "SELECT from_date, to_date, rows FROM _mixpanel_chunks ORDER BY ALL"


@pytest.fixture(scope="session")
def make_fake_mixpanel():
    return lambda: FakeMixpanel(GeneratedEvents(per_day=200, duplicates=0), limits=None, cache=True)


@pytest.fixture
def environment(fake_mixpanel):
    account = fake_mixpanel.project.service_account
    return {
        "MP_USERNAME": account.username,
        "MP_SECRET": account.secret,
        "MP_PROJECT_ID": str(fake_mixpanel.project.id),
        "MP_BASE_URL": fake_mixpanel.url,
    }


@pytest.fixture
def start(tmp_path, environment):
    """Starts a command; it is killed at the end of the test if it still runs."""
    started = []

    def start(*arguments, **settings):
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=tmp_path, env={**os.environ, **environment}, **pipes | settings
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def exports(fake):
    return [record for record in fake.requests if record.path == "/api/2.0/export"]


@pytest.mark.parametrize(
    ("sent", "word", "code"), [(signal.SIGINT, "Interrupted", 130), (signal.SIGTERM, "Terminated", 143)]
)
def test_a_fetch_that_a_signal_ends_goes_on_by_the_command_that_is_printed(
    start, fake_mixpanel, tmp_path, sent, word, code
):
    fake_mixpanel.faults.add(Fault.stall(after_bytes=10), date="2026-02-05", attempts=[1])
    process = start("fetch", "events", *DATES, "--chunk-days", "1", "--workers", "1")
    fake_mixpanel.wait_until(lambda: len(exports(fake_mixpanel)) == 5)
    process.send_signal(sent)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code
    line = told.splitlines()[-1]
    assert line.startswith(f"mixpanel-async: {word}. Chunks that were committed stay, each of them whole. Go on with: ")
    with duckdb.connect(tmp_path / "mixpanel.duckdb") as connection:
        chunks = connection.execute(CHUNKS).fetchall()
        assert len(chunks) in {3, 4}  # the request for the fifth may begin before the fourth is committed
        assert [str(first) for first, _, _ in chunks] == [f"2026-02-0{day}" for day in range(1, len(chunks) + 1)]
        assert connection.execute("SELECT count(*) FROM events").fetchall() == [(sum(rows for *_, rows in chunks),)]
    words = shlex.split(line.partition("Go on with: ")[2])
    assert words[:3] == ["python", "-m", "mixpanel_async"]
    assert "--resume" in words
    went_on = start(*words[3:], "--json")
    assert json.loads(went_on.communicate(timeout=60)[0])["successful_batches"] == 6 - len(chunks)
    with duckdb.connect(tmp_path / "mixpanel.duckdb") as connection:
        rows = len(list(fake_mixpanel.truth_lines("2026-02-01", "2026-02-06")))
        assert connection.execute("SELECT count(*) FROM events").fetchall() == [(rows,)]


def test_the_command_that_goes_on_is_the_same_tomorrow(start, fake_mixpanel):
    fake_mixpanel.faults.add(Fault.stall(after_bytes=10))
    process = start("fetch", "events", "--from", "7d", "--to", "3d", "--chunk-days", "1")
    fake_mixpanel.wait_until(lambda: exports(fake_mixpanel))
    today = dt.datetime.now(dt.UTC).date()
    process.send_signal(signal.SIGINT)
    words = shlex.split(process.communicate(timeout=60)[1].splitlines()[-1])
    first, last = (dt.date.fromisoformat(words[words.index(end) + 1]) for end in ("--from", "--to"))
    assert (last - first).days == 4
    assert 3 <= (today - last).days <= 4  # today may have begun meanwhile


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_without_anything_to_go_on_with(start, fake_mixpanel, sent):
    fake_mixpanel.faults.add(Fault.stall(after_bytes=10))
    process = start("stream", "events", *DATES)
    fake_mixpanel.wait_until(lambda: exports(fake_mixpanel) != [])
    process.send_signal(sent)
    assert process.communicate(timeout=60)[0] == ""
    assert process.returncode == 128 + sent


def test_a_signal_interrupts_a_query(start, tmp_path):
    with duckdb.connect(tmp_path / "mixpanel.duckdb") as connection:
        connection.execute("CREATE TABLE numbers AS SELECT range AS n FROM range(200000)")
    process = start("query", "SELECT count(*) FROM numbers AS a, numbers AS b WHERE a.n * b.n % 7 = 3", "-v")
    while not _is_open(process.pid, tmp_path / "mixpanel.duckdb"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130


def _is_open(pid, path):
    """Whether a process has the file open."""
    if sys.platform != "linux":
        pytest.skip("it reads /proc")
    try:
        return path in {each.readlink() for each in Path(f"/proc/{pid}/fd").iterdir()}
    except FileNotFoundError:  # a descriptor was closed meanwhile
        return False


def test_head_ends_a_stream_quietly(start):
    process = start("stream", "events", *DATES, "--raw")
    assert json.loads(process.stdout.readline())["event"]
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 1


def test_a_sync_under_cron(fake_mixpanel, environment, tmp_path):
    """No PATH, no HOME, no terminal, no locale: a line in a crontab with the path of the program."""
    arguments = ["sync", "events", *DATES, "--json", "--no-progress"]
    state = {"MP_STATE_DIR": str(tmp_path / "state"), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    for rows in (len(list(fake_mixpanel.truth_lines("2026-02-01", "2026-02-06"))), 0):
        ended = subprocess.run(
            [*COMMAND, *arguments], cwd=tmp_path, env={**environment, **state}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(ended.stdout)["total_rows"] == rows
        assert ended.stderr == ""


@pytest.mark.parametrize("arguments", [["sync", "events", *DATES], ["doctor"]], ids=["sync", "doctor"])
def test_a_secret_is_asked_for_once_in_a_terminal_and_not_shown(environment, monkeypatch, tmp_path, arguments):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MP_SECRET")
    terminal = Terminal(*COMMAND, *arguments, cwd=tmp_path)
    try:
        terminal.until("Secret of the service account: ")
        terminal.type(environment["MP_SECRET"].encode() + b"\n")
        terminal.end()
        assert terminal.text.count("Secret of") == 1
        assert environment["MP_SECRET"] not in terminal.text
    finally:
        terminal.close()


def test_without_a_terminal_no_secret_is_asked_for(start, environment):
    del environment["MP_SECRET"]
    _, told = start("sync", "events", *DATES).communicate(timeout=60)
    assert told == "mixpanel-async: Not set in the environment: MP_SECRET.\n"
