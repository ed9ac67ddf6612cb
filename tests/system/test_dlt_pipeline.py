"""`examples/dlt_pipeline.py` into DuckDB, Parquet files and PostgreSQL: whatever happens, they hold the fake's rows.

`nox -s dlt` runs these tests. dlt needs many packages, some of them in older versions than CI's.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import runpy
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, running

from .conftest import expected

pytest.importorskip("dlt", reason="dlt is not installed: `nox -s dlt` runs these tests")

EXAMPLE = Path(__file__).parents[2] / "examples" / "dlt_pipeline.py"
FIRST, UNTIL = dt.date(2026, 1, 28), dt.date(2026, 2, 8)
NEXT = UNTIL + dt.timedelta(days=1)
SETTLED = UNTIL - dt.timedelta(days=5)
"""The last day that the second night does not request again."""
COLUMNS = "date, event_name, event_time, distinct_id, insert_id, properties"
DIES_BEFORE_THE_LOAD_IS_COMPLETE = """
import os, runpy, sys
from dlt.load.load import Load
Load.complete_package = lambda *_, **__: os._exit(9)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def days(first, last):
    return [first + dt.timedelta(number) for number in range((last - first).days + 1)]


@pytest.fixture
def empty():
    """Days without events."""
    return set()


@pytest.fixture
def fake(empty):
    events = GeneratedEvents(
        per_day=lambda day: 0 if day in empty else 60, seed=4,
        late=0.1, duplicates=0.1, missing_insert_id=0.1, rekeyed=0.5, rekeyed_on=NEXT + dt.timedelta(days=1),
    )  # fmt: skip
    with running(FakeMixpanel(events, today=NEXT, limits=None)) as fake:
        yield fake


def truth(fake, first, last):
    """What the destination should hold of these days."""
    return Counter(
        {(str(day), line): count for day in days(first, last) for line, count in expected(fake, day, day).items()}
    )


class DuckDB:
    """dlt's default: a file in the working directory."""

    name = "duckdb"

    def __init__(self, directory):
        self.path = directory / "mixpanel_to_duckdb.duckdb"
        self.environment = {}

    def select(self, columns, table="events"):
        with duckdb.connect(self.path, read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.sql(f"SELECT {columns} FROM mixpanel.{table}").fetchall()


class Files:
    """Parquet files below a folder, read as the example says."""

    name = "filesystem"

    def __init__(self, directory):
        self.dataset = directory / "lake" / "mixpanel"
        self.environment = {"DESTINATION__FILESYSTEM__BUCKET_URL": (directory / "lake").as_uri()}

    def select(self, columns, table="events"):
        newest = runpy.run_path(str(EXAMPLE))["READ_FILES"].format(dataset=self.dataset)
        rows = f"({newest})" if table == "events" else f"'{self.dataset}/{table}/*.parquet'"
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.sql(f"SELECT {columns} FROM {rows}").fetchall()


class PostgreSQL:
    """A database of a server."""

    name = "postgres"

    def __init__(self, server):
        self.url = f"{server}/events_{uuid.uuid4().hex}"
        self._run(f"{server}/postgres", f"CREATE DATABASE {self.url.rpartition('/')[2]}")
        self.environment = {"DESTINATION__POSTGRES__CREDENTIALS": self.url}

    def select(self, columns, table="events"):
        return self._run(self.url, f"SELECT {columns} FROM mixpanel.{table}")

    def _run(self, url, query):
        import psycopg2  # noqa: PLC0415 - dlt[postgres] brings it

        with closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def postgres():
    """The URL of a PostgreSQL server, which runs during these tests."""
    installed = [shutil.which("initdb"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
    if not any(installed):
        pytest.skip("PostgreSQL is not installed: on Debian, apt-get install postgresql")
    binaries = Path(next(filter(None, installed))).resolve().parent
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        if user:
            shutil.chown(directory, user)

        def run(program, *arguments):
            command = [str(binaries / program), "-D", "data", *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd=directory)

        run("initdb", "-A", "trust", "-U", "dlt", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        run("pg_ctl", "-l", "log", "-w", "-o", options, "start")
        try:
            yield f"postgresql://dlt:trusted@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")


@pytest.fixture(params=["duckdb", "filesystem", "postgres"])
def destination(request, tmp_path):
    if request.param == "postgres":
        return PostgreSQL(request.getfixturevalue("postgres"))
    return {"duckdb": DuckDB, "filesystem": Files}[request.param](tmp_path)


def rows_in(destination):
    """The destination's events as lines of an export; the columns must say the same as the properties."""
    lines = Counter()
    for day, name, time, distinct_id, insert_id, properties in destination.select(COLUMNS):
        parsed = json.loads(properties)
        assert round(time.timestamp() * 1000) == parsed["time"]
        assert (distinct_id, insert_id) == (parsed.get("distinct_id"), parsed.get("$insert_id"))
        line = f'{{"event":{json.dumps(name, ensure_ascii=False)},"properties":{properties}}}'
        lines[str(day), line.encode()] += 1
    return lines


@pytest.fixture
def start(fake, destination, tmp_path):
    """Start the example as a process."""

    def start(until, *code):
        account = fake.project.service_account
        environment = {
            **os.environ,
            **destination.environment,
            "MP_USERNAME": account.username,
            "MP_SECRET": account.secret,
            "MP_PROJECT_ID": str(fake.project.id),
            "MP_BASE_URL": fake.url,
            "DLT_DATA_DIR": str(tmp_path / "dlt"),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        arguments = ["--from", str(FIRST), "--until", str(until), "--to", destination.name]
        command = [sys.executable, *code, str(EXAMPLE), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True)

    return start


@pytest.fixture
def run(start):
    """Run the example to its end, and return its exit code and what it wrote to stderr."""

    def run(until, *code):
        process = start(until, *code)
        _, error = process.communicate(timeout=600)
        return process.returncode, error

    return run


def requested(fake):
    """The days of the requests since the last call."""
    asked = [record.from_date for record in fake.requests if record.endpoint == "export"]
    fake.forget_requests()
    return sorted(asked)


def test_two_nights(fake, empty, destination, run, tmp_path):
    """The second night has late rows, other distinct ids, and a day that has become empty; dlt's folder is lost."""
    assert run(UNTIL) == (0, "")
    before = truth(fake, FIRST, UNTIL)
    assert rows_in(destination) == before
    assert requested(fake) == [str(day) for day in days(FIRST, UNTIL)]

    fake.clock.advance(dt.timedelta(days=1))
    empty.add(UNTIL - dt.timedelta(days=1))
    shutil.rmtree(tmp_path / "dlt")
    assert run(NEXT) == (0, "")
    settled = Counter({row: count for row, count in before.items() if row[0] <= str(SETTLED)})
    assert rows_in(destination) == settled + truth(fake, SETTLED + dt.timedelta(days=1), NEXT)
    assert settled + truth(fake, SETTLED + dt.timedelta(days=1), UNTIL) != before
    assert requested(fake) == [str(day) for day in days(SETTLED + dt.timedelta(days=1), NEXT)]


def test_a_run_that_is_killed_while_it_downloads(fake, destination, start, run):
    stalls = UNTIL - dt.timedelta(days=3)
    fault = fake.faults.add(Fault.stall(after_bytes=100), date=str(stalls))
    process = start(UNTIL)
    fake.wait_until(lambda: fault.happened, timeout=600)
    process.kill()
    process.communicate()
    fake.faults.clear()

    assert run(UNTIL) == (0, "")
    assert rows_in(destination) == truth(fake, FIRST, UNTIL)


def test_a_run_that_is_killed_at_the_end_of_a_load(fake, destination, run):
    """The next run completes that load, then requests what is due. Readers of files do not see the incomplete one."""
    assert run(UNTIL)[0] == 0
    before = rows_in(destination)
    fake.clock.advance(dt.timedelta(days=1))
    assert run(NEXT, "-c", DIES_BEFORE_THE_LOAD_IS_COMPLETE)[0] == 9
    if destination.name == "filesystem":
        assert rows_in(destination) == before

    assert run(NEXT) == (0, "")
    settled = Counter({row: count for row, count in before.items() if row[0] <= str(SETTLED)})
    assert rows_in(destination) == settled + truth(fake, SETTLED + dt.timedelta(days=1), NEXT)


def test_a_day_that_fails_and_a_line_that_is_not_an_event(fake, destination, run):
    """The day stays as it was, the others come, and the next run requests it again."""
    fails, has_bad_line = FIRST, UNTIL
    fake.faults.add(Fault.status(503, headers={"Retry-After": "0"}), date=str(fails))
    fake.faults.add(Fault.error_line(5, "no event"), date=str(has_bad_line))
    code, error = run(UNTIL)
    assert code == 1
    assert f"{fails} failed: " in error
    assert rows_in(destination) == truth(fake, fails + dt.timedelta(days=1), UNTIL)
    lines = destination.select("date, line_number, line", table="rejected_lines")
    assert [(day, number, bytes(line)) for day, number, line in lines] == [(has_bad_line, 6, b"no event")]

    fake.faults.clear()
    requested(fake)
    assert run(UNTIL)[0] == 0
    assert rows_in(destination) == truth(fake, FIRST, UNTIL)
    assert requested(fake) == [str(day) for day in [fails, *days(SETTLED + dt.timedelta(days=1), UNTIL)]]
