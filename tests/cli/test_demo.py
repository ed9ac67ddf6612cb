from __future__ import annotations

import ast
import datetime as dt
import errno
import re
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from mixpanel_async import ParallelFetchResult
from mixpanel_async.cli import demo_export as demo
from mixpanel_async.cli import main as run_and_exit
from mixpanel_async.cli.demo_export import DAYS, FROM, QUERY, TO, YOURS, events_of, make_database, report
from mixpanel_async.errors import StoreError


def main(arguments):
    """Run a command in this process, and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        run_and_exit(arguments)
    return ended.value.code


@pytest.fixture(scope="module")
def whole_demo(tmp_path_factory):
    """The demo as it comes, its streams in pipes."""
    directory = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-W", "error", "-m", "mixpanel_async", "demo"]
    return directory, subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_it_ends_well_and_leaves_one_file(whole_demo):
    directory, ended = whole_demo
    assert ended.returncode == 0
    assert [path.name for path in directory.iterdir()] == ["demo.duckdb"]


def test_a_piped_stderr_gets_a_message_and_plain_lines(whole_demo):
    message, *lines = whole_demo[1].stderr.splitlines()
    assert message == "A fake Mixpanel on this machine has 90 days of events for demo.duckdb."
    assert all(re.fullmatch(r"events: \d+/30 chunks, [\d,]+ rows, [\d.]+ MB/s, \d\d:\d\d", line) for line in lines)
    assert lines[-1].startswith("events: 30/30 chunks, ")


def test_what_it_shows_fits_80_columns(whole_demo):
    lines = whole_demo[1].stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 60


def test_it_shows_the_result_the_days_an_answer_and_what_is_next(whole_demo):
    shown = whole_demo[1].stdout
    parts = ["Table events\n", "week of ", "FROM events GROUP BY", "Page View", "import asyncio", "60 an hour"]
    places = [shown.find(part) for part in parts]
    assert places == sorted(places)
    assert places[0] == 0
    assert "\nchunks          30 committed, 0 failed\n" in shown


def test_the_database_holds_what_it_says(whole_demo):
    directory, ended = whole_demo
    with duckdb.connect(directory / "demo.duckdb") as connection:
        rows, days = connection.execute("SELECT count(*), count(DISTINCT event_time::DATE) FROM events").fetchall()[0]
    assert f"\nevents          {rows:,}\n" in ended.stdout
    assert days == DAYS
    assert 190_000 < rows < 210_000


def test_days_have_a_weekly_rhythm():
    saturday, wednesday = dt.date(2026, 1, 10), dt.date(2026, 1, 7)
    assert events_of(saturday) < 0.6 * events_of(wednesday)
    assert events_of(wednesday) < events_of(wednesday + dt.timedelta(weeks=8))


def test_the_code_that_it_shows_is_code():
    ast.parse(YOURS)


def few_events(monkeypatch):
    monkeypatch.setattr(demo, "BUSIEST_DAY", 20)
    monkeypatch.setattr(demo, "LATENCY", 0.0)


def test_an_earlier_demo_is_replaced(capsys, monkeypatch, tmp_path):
    few_events(monkeypatch)
    path = tmp_path / "it's mine.duckdb"
    for _ in range(2):
        assert main(["demo", "--database", str(path)]) == 0
    assert f"duckdb.connect({str(path)!r})" in capsys.readouterr().out
    with duckdb.connect(path) as connection:
        expected = sum(events_of(FROM + dt.timedelta(days=day)) for day in range(DAYS))
        assert connection.execute("SELECT sum(rows) + sum(duplicates) FROM _mixpanel_chunks").fetchall() == [
            (expected,)
        ]


def sqlite(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE events (name)")
    connection.close()


def duckdb_with(*tables):
    def make(path):
        with duckdb.connect(path) as connection:
            for table in tables:
                connection.execute(f"CREATE TABLE {table} (x INTEGER)")

    return make


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not a database, but somebody's\n" * 1000),
        sqlite,
        duckdb_with(),
        duckdb_with("events", "_mixpanel_chunks", "_mixpanel_selections", "_mixpanel_rejected"),
        duckdb_with("mixpanel_async_demo", "events", "somebodys_own"),
    ],
    ids=["empty", "text", "sqlite", "duckdb", "a real export", "a demo with more in it"],
)
def test_what_is_not_the_demos_stays(capsys, tmp_path, make):
    path = tmp_path / "demo.duckdb"
    make(path)
    before = path.read_bytes()
    assert main(["demo", "--database", str(path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"mixpanel-async: {path} ")
    assert "so it is not replaced" in said.err
    assert said.err.count("\n") == 1
    assert path.read_bytes() == before


def test_an_open_database_stays(tmp_path):
    path = tmp_path / "demo.duckdb"
    make_database(path)
    opened = f"import duckdb; c = duckdb.connect({str(path)!r}); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", opened], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with pytest.raises(StoreError, match=rf"is held by .*\(PID {process.pid}\): close it there first\.$"):
            make_database(path)
        process.stdin.write(b"\n")


@pytest.mark.parametrize("path", ["none/demo.duckdb", "."])
def test_where_no_file_can_be_made(capsys, monkeypatch, tmp_path, path):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--database", path]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_no_account_in_the_environment_is_used(monkeypatch, tmp_path):
    few_events(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        monkeypatch.setenv("MP_BASE_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setenv("MP_USERNAME", "somebody")
        monkeypatch.setenv("MP_REGION", "nowhere")
        assert main(["demo", "--database", str(tmp_path / "demo.duckdb")]) == 0


def test_failed_chunks_are_shown_and_are_an_error(capsys, monkeypatch, tmp_path):
    ranges = ((FROM.isoformat(), "2026-01-03"), ("2026-03-29", TO.isoformat()))

    async def export(path):
        with duckdb.connect(path) as connection:
            connection.execute("CREATE TABLE events (event_name VARCHAR, event_time TIMESTAMP, distinct_id VARCHAR)")
        return result_of(failed=ranges)

    monkeypatch.setattr(demo, "export", export)
    assert main(["demo", "--database", str(tmp_path / "demo.duckdb")]) == 1
    shown = capsys.readouterr().out
    assert "\nevents          1,234,567\nchunks          28 committed, 2 failed\n" in shown
    assert "\nended           2026-04-01 00:00:00 UTC\n" in shown
    assert "\nFailed: 2026-01-01 to 2026-01-03\nFailed: 2026-03-29 to 2026-03-31\n" in shown


def result_of(rows=1_234_567, failed=()):
    return ParallelFetchResult(
        "events", rows, 30 - len(failed), len(failed), failed, 3.25, dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
    )


@pytest.mark.parametrize("columns", [80, 60, 40, 20])
def test_no_number_is_cut_by_a_narrow_terminal(tmp_path, columns):
    path = tmp_path / "demo.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute(
            "CREATE TABLE events AS SELECT 'Page View' AS event_name, TIMESTAMP '2026-01-01' AS event_time, "
            "i::VARCHAR AS distinct_id FROM range(123456) AS numbers(i)"
        )
    shown = "\n".join(report(path, result_of(failed=(("2026-01-01", "2026-01-03"),)), columns))
    values = shown.replace(YOURS, "").replace(QUERY, "").replace(str(path), "")
    on_screen = re.findall(rf".{{1,{columns}}}", values)  # as a terminal wraps it

    for number in ("1,234,567", "123,456", "2026-01-01", "2026-01-03", "00:00:00", "60 an"):
        assert any(number in line for line in on_screen), number
    assert sum("123456" in line for line in on_screen) == (1 if columns > 20 else 2)


@pytest.mark.parametrize("command", ["~/demo.duckdb", "~nobody-has-this-name/demo.duckdb"])
def test_a_tilde_is_the_home_directory(capsys, monkeypatch, tmp_path, command):
    few_events(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    if command.startswith("~/"):
        assert main(["demo", "--database", command]) == 0
        assert [path.name for path in tmp_path.iterdir()] == ["demo.duckdb"]
    else:
        assert main(["demo", "--database", command]) == 2
        assert "the home directory in '~nobody-has-this-name/demo.duckdb' is not known" in capsys.readouterr().err


def raise_(error):
    def function(*_, **__):
        raise error

    return function


NOT_WRITABLE = "cannot be written ({why}): choose another file with --database PATH.\n"


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("tempfile.TemporaryDirectory", OSError(errno.EROFS, "Read-only file system", "/a/temporary/file")),
        ("tempfile.TemporaryDirectory", PermissionError(errno.EACCES, "Permission denied", "/a/temporary/file")),
        ("tempfile.TemporaryDirectory", OSError(errno.ENOSPC, "No space left on device", "/a/temporary/file")),
        ("pathlib.Path.replace", PermissionError(errno.EACCES, "Permission denied", "/a/temporary/file")),
    ],
)
def test_a_folder_that_cannot_be_written_is_named(capsys, monkeypatch, tmp_path, place, error):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(place, raise_(error))
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == f"mixpanel-async: {tmp_path} {NOT_WRITABLE.format(why=error.strerror)}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="no folder in which nobody can write")
def test_a_real_folder_that_cannot_be_written_is_named(capsys):
    assert main(["demo", "--database", "/sys/kernel/demo.duckdb"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("mixpanel-async: /sys/kernel cannot be written (")
    assert said.endswith("): choose another file with --database PATH.\n")


def test_a_full_disk_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    error = duckdb.IOException('IO Error: Could not write file "x": No space left on device\nmore')
    monkeypatch.setattr(demo, "_make_empty", raise_(error))
    assert main(["demo"]) == 1
    why = "No space left on device"
    assert capsys.readouterr().err == f"mixpanel-async: {tmp_path} {NOT_WRITABLE.format(why=why)}"


def test_a_directory_is_no_file(capsys, tmp_path):
    assert main(["demo", "--database", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert (
        said
        == f"mixpanel-async: {tmp_path} is a directory: name a file with --database, such as {tmp_path}/demo.duckdb.\n"
    )


def test_a_file_without_permission_stays(capsys, monkeypatch, tmp_path):
    path = tmp_path / "demo.duckdb"
    make_database(path)
    monkeypatch.setattr("os.access", lambda *_: False)  # root may do everything
    assert main(["demo", "--database", str(path)]) == 1
    assert (
        capsys.readouterr().err
        == f"mixpanel-async: {path} may not be read and written: choose another file with --database PATH.\n"
    )
