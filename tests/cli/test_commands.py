"""The commands, in this process, against the fake Mixpanel over real sockets: rows, results, exit codes."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import shlex
from dataclasses import replace
from importlib import import_module

import duckdb
import pytest
from click.testing import CliRunner

from mixpanel_async import clock
from mixpanel_async.cli import cli
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GeneratedProfiles, Project, running

DATES = ["--from", "2026-02-01", "--to", "2026-02-06"]
NOW = dt.datetime(2026, 2, 10, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def make_fake_mixpanel():
    profiles = GeneratedProfiles(count=60)
    return lambda: FakeMixpanel(GeneratedEvents(per_day=50, duplicates=0), profiles=profiles, limits=None, cache=True)


@pytest.fixture
def mp(fake_mixpanel, monkeypatch, tmp_path):
    """Runs a command in an empty folder, with the fake's credentials in the environment."""
    account = fake_mixpanel.project.service_account
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "MP_USERNAME": account.username, "MP_SECRET": account.secret, "MP_PROJECT_ID": str(fake_mixpanel.project.id),
        "MP_BASE_URL": fake_mixpanel.url,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)

    def run(*arguments, code=0, stdin=None):
        ended = CliRunner().invoke(cli, arguments, prog_name="mixpanel-async", input=stdin)
        assert ended.exit_code == code, (ended.output, ended.exc_info)
        assert account.secret not in ended.output
        return ended

    return run


def count(table="events", database="mixpanel.duckdb"):
    with duckdb.connect(database) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]


def held(table="events"):
    with duckdb.connect("mixpanel.duckdb") as connection:
        query = "SELECT min(from_date), max(to_date) FROM _mixpanel_chunks WHERE table_name = ?"
        return tuple(map(str, connection.execute(query, [table]).fetchall()[0]))


def truth(fake, first="2026-02-01", last="2026-02-06"):
    return list(fake.truth_lines(first, last))


def exports(fake):
    return [record for record in fake.requests if record.path == "/api/2.0/export"]


def test_fetch_events(mp, fake_mixpanel):
    ended = mp("fetch", "events", *DATES, "--chunk-days", "2", "--json")
    result = json.loads(ended.stdout)
    assert list(result)[-3:] == ["has_failures", "failures", "rejected_rows"]
    assert (result["total_rows"], result["successful_batches"]) == (count(), 3)
    assert count() == len(truth(fake_mixpanel))
    assert "Table 'events' exists: pass --resume" in mp("fetch", "events", *DATES, code=1).stderr
    assert json.loads(mp("fetch", "events", *DATES, "--resume", "--json").stdout)["total_rows"] == 0


def test_some_events_of_one_transaction(mp, fake_mixpanel):
    mp("fetch", "events", *DATES, "--events", "Page View", "--events", "Search", "--table", "chosen", "--no-parallel")
    names = [json.loads(line)["event"] for line in truth(fake_mixpanel)]
    assert count("chosen") == sum(name in ("Page View", "Search") for name in names)
    result = json.loads(mp("fetch", "events", *DATES, "--limit", "7", "--table", "few", "--json").stdout)
    assert (result["rows"], count("few")) == (7, 7)


def test_a_failed_range_is_mended_by_the_command_that_is_printed(mp, fake_mixpanel):
    fake_mixpanel.faults.add(Fault.status(500), date="2026-02-03", times=1)
    arguments = [
        *DATES,
        "--chunk-days",
        "1",
        "--events",
        "Page View",
        "--database",
        "my file.duckdb",
        "--attempts",
        "1",
    ]
    ended = mp("fetch", "events", *arguments, code=1)
    told = ended.stderr.splitlines()
    assert told[-2] == "2026-02-03 can be fetched with:"
    words = shlex.split(told[-1])
    assert words[:3] == ["mixpanel-async", "fetch", "events"]
    before = count(database="my file.duckdb")
    assert json.loads(mp(*words[1:], "--json").stdout)["total_rows"] == count(database="my file.duckdb") - before > 0
    assert json.loads(mp("coverage", "--database", "my file.duckdb", "--json").stdout)["gaps"] == []


def test_all_chunks_failed(mp, fake_mixpanel):
    fake_mixpanel.faults.add(Fault.status(401))
    ended = mp("fetch", "events", *DATES, code=1)
    assert ended.stderr.splitlines()[-1].startswith("mixpanel-async: ")
    assert "401" in ended.stderr
    assert "Traceback" not in ended.stderr
    debugged = mp("fetch", "events", *DATES, "--debug", code=1)
    assert "Traceback (most recent call last)" in debugged.stderr


def test_profiles_and_the_command_that_fetches_pages_that_failed(mp, fake_mixpanel):
    fake_mixpanel.query_rules = replace(fake_mixpanel.query_rules, page_size=10)
    assert json.loads(mp("fetch", "profiles", "--json").stdout)["total_rows"] == count("profiles") == 60
    fake_mixpanel.faults.add(Fault.status(500), page=3, times=1)
    failed = mp("fetch", "profiles", "--table", "again", "--output-properties", "$city", "--attempts", "1", code=1)
    words = shlex.split(failed.stderr.splitlines()[-1])
    assert words[1:] == [
        "fetch",
        "profiles",
        "--table",
        "again",
        "--output-properties",
        "$city",
        "--resume",
        "--attempts",
        "1",
    ]
    mp(*words[1:])
    assert count("again") == 60
    members = ["--distinct-ids", "nobody", "--where", 'properties["$city"] == "x"', "--table", "none"]
    assert json.loads(mp("fetch", "profiles", *members, "--json").stdout)["total_rows"] == 0
    assert "--behaviors: it is not JSON" in mp("fetch", "profiles", "--behaviors", "{", code=2).stderr


def test_sync(mp, fake_mixpanel):
    assert "pass --from the first time" in mp("sync", "events", code=2).stderr
    first = json.loads(mp("sync", "events", "--from", "9d", "--json").stdout)
    assert first["total_rows"] == count() == len(truth(fake_mixpanel, "2026-02-01", "2026-02-09"))
    fake_mixpanel.forget_requests()
    again = json.loads(mp("sync", "events", "--lookback-days", "1", "--to", "yesterday", "--json").stdout)
    assert again["successful_batches"] == len(exports(fake_mixpanel)) > 0
    assert json.loads(mp("sync", "events", "--to", "today", "--json").stdout)["failed_batches"] == 0
    assert json.loads(mp("coverage", "--json").stdout)["days"][-1]["date"] == "2026-02-10"
    assert json.loads(mp("sync", "profiles", "--json").stdout)["total_rows"] == 60
    assert json.loads(mp("sync", "profiles", "--json").stdout)["failed_pages"] == 0


def test_what_a_sync_could_not_do_is_done_by_the_next(mp, fake_mixpanel):
    fake_mixpanel.faults.add(Fault.status(500), date="2026-02-03", times=1)
    failed = mp("sync", "events", *DATES, "--chunk-days", "1", "--attempts", "1", code=1)
    mp(*shlex.split(failed.stderr.splitlines()[-1])[1:])
    assert count() == len(truth(fake_mixpanel))


def test_dates_are_the_projects(mp, monkeypatch):
    """At 03:00 in UTC it is yesterday in California, so yesterday is not over there."""
    monkeypatch.setattr(clock, "utc_now", lambda: dt.datetime(2026, 2, 7, 3, tzinfo=dt.UTC))
    mp("fetch", "events", "--from", "6d", "--to", "yesterday")
    assert held() == ("2026-02-01", "2026-02-06")
    california = Project(id=777, timezone="US/Pacific", created=dt.date(2021, 5, 1))
    with running(FakeMixpanel(GeneratedEvents(per_day=5), projects=[california], limits=None)) as there:
        arguments = ["--base-url", there.url, "--project-id", "777", "--table", "there"]
        mp("fetch", "events", "--from", "5d", "--to", "yesterday", *arguments)
    assert held("there") == ("2026-02-01", "2026-02-05")


def lines_of(ended):
    return [json.loads(line) for line in ended.stdout.split("\n")[:-1]]


def test_stream_events(mp, fake_mixpanel):
    rows = lines_of(mp("stream", "events", *DATES, "--raw", "--chunk-days", "2"))
    assert rows == list(fake_mixpanel.truth("2026-02-01", "2026-02-06", time_in_ms=True))
    first = json.loads(mp("stream", "events", *DATES, "--limit", "1").stdout)
    assert first == {
        "event_name": rows[0]["event"],
        "event_time": first["event_time"],
        "distinct_id": rows[0]["properties"]["distinct_id"],
        "insert_id": rows[0]["properties"]["$insert_id"],
        "properties": rows[0]["properties"],
    }
    moment = dt.datetime.fromtimestamp(rows[0]["properties"]["time"] / 1000, dt.UTC)
    assert dt.datetime.fromisoformat(first["event_time"]) == moment


def test_stream_profiles(mp, fake_mixpanel):
    rows = lines_of(mp("stream", "profiles", "--raw"))
    assert rows == list(fake_mixpanel.truth_profiles())


def test_numbers_of_a_stream_are_exact(mp, fake_mixpanel):
    line = '{"event":"a","properties":{"time":1769904000000,"distinct_id":"x","n":123456789012345678901234567890,"f":1E+400}}'
    fake_mixpanel.events = [line.encode()]
    assert mp("stream", "events", *DATES, "--raw").stdout == line + "\n"


def test_a_plan_asks_nothing(mp, fake_mixpanel):
    plan = json.loads(mp("plan", *DATES, "--chunk-days", "2", "--json").stdout)
    assert plan["chunks"] == [["2026-02-01", "2026-02-02"], ["2026-02-03", "2026-02-04"], ["2026-02-05", "2026-02-06"]]
    assert "requests" in mp("plan", "--sync", "--from", "9d").stdout
    assert "needs from_date" not in (told := mp("plan", code=2).stderr)
    assert "--from and --to" in told
    assert fake_mixpanel.requests == []


def test_looking_needs_no_credentials(mp, monkeypatch):
    mp("fetch", "events", *DATES, "--database", "other.duckdb")
    for name in ("MP_USERNAME", "MP_SECRET", "MP_PROJECT_ID", "MP_BASE_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("MP_DATABASE", "other.duckdb")
    rows = count(database="other.duckdb")
    assert f"6 days, {rows} rows" in mp("coverage").stdout
    (table,) = json.loads(mp("tables", "--json").stdout)
    assert (table["name"], table["rows"]) == ("events", rows)
    assert "events" in mp("tables").stdout
    assert "$browser" in mp("describe").stdout
    described = json.loads(mp("describe", "--event", "Page View", "--json").stdout)
    assert described["table"] == "events"
    assert "There are no credentials: set MP_USERNAME" in mp("sync", "events", code=2).stderr
    assert "There is no table 'nothing'" in mp("coverage", "nothing", code=1).stderr


def test_verify_ends_with_1_if_days_differ(mp):
    mp("fetch", "events", *DATES)
    assert "all are equal" in mp("verify").stdout
    with duckdb.connect("mixpanel.duckdb") as connection:
        connection.execute("DELETE FROM events WHERE event_time::DATE = DATE '2026-02-02'")
    differing = json.loads(mp("verify", "--from", "2026-02-02", "--to", "2026-02-03", "--json", code=1).stdout)
    assert differing["differing"] == ["2026-02-02"]


def test_verify_prints_the_commands_that_fetch_the_days_that_differ(mp, fake_mixpanel):
    mp("fetch", "events", *DATES, "--events", "Page View", "--events", "Search", "--table", "chosen")
    with duckdb.connect("mixpanel.duckdb") as connection:
        for day in ("2026-02-02", "2026-02-03", "2026-02-06"):
            connection.execute(f"DELETE FROM chosen WHERE event_time::DATE = DATE '{day}'")
    fake_mixpanel.forget_requests()
    told = mp("verify", "chosen", code=1).stderr.splitlines()
    assert told[::2] == [f"{days} can be fetched again with:" for days in ("2026-02-02 to 2026-02-03", "2026-02-06")]
    for line in told[1::2]:
        mp(*shlex.split(line)[1:])
    assert len(exports(fake_mixpanel)) == 3
    mp("verify", "chosen")


@pytest.mark.parametrize("command", ["fetch", "sync"])
def test_a_day_that_is_over_in_the_project_is_settled(mp, monkeypatch, command):
    """At 03:00 in UTC yesterday is over in the project, though not everywhere."""
    monkeypatch.setattr(clock, "utc_now", lambda: dt.datetime(2026, 2, 7, 3, tzinfo=dt.UTC))
    mp(command, "events", "--from", "2d", "--to", "yesterday")
    assert [day["is_complete"] for day in json.loads(mp("coverage", "--json").stdout)["days"]] == [True, True]


def test_a_plan_says_which_day_it_takes_for_yesterday(mp, monkeypatch):
    assert "yesterday is" not in mp("plan", "--from", "2d", "--to", "yesterday").stderr
    monkeypatch.setattr(clock, "utc_now", lambda: dt.datetime(2026, 2, 7, 3, tzinfo=dt.UTC))
    assert "yesterday is" not in mp("plan", "--from", "2026-02-03", "--to", "2026-02-04").stderr
    for arguments in (["--to", "yesterday"], ["--sync"]):
        planned = mp("plan", "--from", "2026-02-03", *arguments)
        assert "so yesterday is 2026-02-05: the last day that is over everywhere." in planned.stderr
        assert "to 2026-02-05" in planned.stdout


def test_a_table_of_other_events_says_in_what_the_two_differ(mp):
    mp("fetch", "events", *DATES, "--events", "Page Viw")
    told = mp("fetch", "events", *DATES, "--events", "Page View", "--append", code=1).stderr
    assert "was fetched with events=['Page Viw'], and this call has events=['Page View']: pass the same, or" in told


SELECT = "SELECT event_name, count(*) AS n FROM events GROUP BY ALL ORDER BY n DESC, event_name LIMIT 3"


def rows_of(sql, database="mixpanel.duckdb"):
    with duckdb.connect(database) as connection:
        return connection.execute(sql).fetchall()


def test_query(mp):
    mp("fetch", "events", *DATES)
    expected = rows_of(SELECT)
    box = mp("query", SELECT).stdout
    assert all(name in box and str(n) in box for name, n in expected)
    assert list(csv.reader(io.StringIO(mp("query", "--csv", SELECT).stdout))) == [
        ["event_name", "n"],
        *[[name, str(n)] for name, n in expected],
    ]
    assert json.loads(mp("query", "--json", "-", stdin=SELECT).stdout) == [
        {"event_name": name, "n": n} for name, n in expected
    ]


def test_values_of_a_query(mp):
    mp("fetch", "events", *DATES)
    sql = """SELECT 170141183460469231731687303715884105727 AS big, 1.50::DECIMAL(9, 2) AS price, '{"a": 1.0}'::JSON AS j,
        TIMESTAMP '2026-01-01 00:00:00.123' AS t, NULL AS nothing, '' AS empty, [1, 2] AS many"""
    text = mp("query", "--json", sql).stdout
    assert text == (
        '[\n{"big":170141183460469231731687303715884105727,"price":1.50,"j":{"a": 1.0},"t":"2026-01-01T00:00:00.123000",'
        '"nothing":null,"empty":"","many":[1,2]}\n]\n'
    )
    assert mp("query", "--json", "SELECT 1 AS a WHERE false").stdout == "[\n]\n"
    assert mp("query", "--csv", "SELECT NULL AS a, '' AS b, 'x,y' AS c").stdout == 'a,b,c\n,"","x,y"\n'


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.csv.gz", "rows.json"])
def test_rows_of_a_query_in_a_file(mp, tmp_path, name):
    mp("fetch", "events", *DATES)
    assert mp("query", SELECT, "--output", name).stdout == ""
    assert rows_of(f"FROM '{tmp_path / name}'") == rows_of(SELECT)
    assert {path.name for path in tmp_path.iterdir()} == {"mixpanel.duckdb", name}


def test_a_query_that_cannot_be(mp):
    mp("fetch", "events", *DATES)
    assert "LINE 1: SELEC 1\n        ^" in mp("query", "SELEC 1", code=1).stderr
    assert "must end in .parquet" in mp("query", "SELECT 1", "--output", "rows.txt", code=2).stderr
    assert "leave out --csv" in mp("query", "SELECT 1", "--csv", "--output", "rows.csv", code=2).stderr
    assert "cannot be written" in mp("query", "SELECT 1", "--output", "mixpanel.duckdb/rows.csv", code=1).stderr


def test_exports(mp, tmp_path, fake_mixpanel):
    mp("fetch", "events", *DATES)
    mp("export", "parquet", "events", "out", "--from", "2026-02-02", "--to", "2026-02-03")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["date=2026-02-02", "date=2026-02-03"]
    mp("export", "parquet", "events", "all.parquet", "--partition-by", "none")
    result = json.loads(mp("export", "csv", "events", "all.csv", "--json").stdout)
    assert (result["files"], result["rows"]) == (1, count())
    assert rows_of(f"SELECT count(*) FROM '{tmp_path}/all.parquet'") == [(count(),)]
    mp("export", "jsonl", "events", "all.jsonl.gz")
    lines = gzip.decompress((tmp_path / "all.jsonl.gz").read_bytes()).splitlines()
    assert sorted(lines) == sorted(fake_mixpanel.truth_lines("2026-02-01", "2026-02-06", time_in_ms=True))


def test_bad_input_is_refused_before_anything_is_asked(mp, fake_mixpanel, tmp_path):
    for arguments, told in [
        (["fetch", "events", "--from", "2026-02-30", "--to", "2026-03-01"], "February 2026 has 28 days"),
        (["fetch", "events", "--from", "soon", "--to", "2026-03-01"], "write today, yesterday or 7d"),
        (["fetch", "events", "--from", "2026-02-03", "--to", "2026-02-01"], "swap them"),
        (["fetch", "events", *DATES, "--chunk-days", "0"], "--chunk-days"),
        (["fetch", "events", *DATES, "--limit", "0"], "limit must be"),
        (["fetch", "events", *DATES, "--limit", "5", "--parallel"], "limit"),
        (["fetch", "events", *DATES, "--append", "--resume"], "resume"),
        (["fetch", "events", *DATES, "--region", "mars"], "'us', 'eu', 'in'"),
        (["fetch", "nothing"], "No such command"),
        (["export", "csv", "events"], "Missing argument 'PATH'"),
    ]:
        assert told in mp(*arguments, code=2).stderr, arguments
    assert fake_mixpanel.requests == []
    assert list(tmp_path.iterdir()) == []


def test_an_argument_beats_the_environment(mp, monkeypatch, fake_mixpanel):
    monkeypatch.setenv("MP_USERNAME", "nobody")
    monkeypatch.setenv("MP_BASE_URL", "http://127.0.0.1:1")
    account = fake_mixpanel.project.service_account
    mp("fetch", "events", *DATES, "--username", account.username, "--base-url", fake_mixpanel.url)
    assert count() == len(truth(fake_mixpanel))


class TestDoctor:
    def test_all_is_well(self, mp, fake_mixpanel):
        found = json.loads(mp("doctor", "--json").stdout)
        assert [each["check"] for each in found] == [
            "versions", "database", "clock", "credentials", "project", "budget", "export",
        ]  # fmt: skip
        assert all(each["is_good"] for each in found)
        assert len(exports(fake_mixpanel)) == 1
        assert exports(fake_mixpanel)[0].params["limit"] == "1"

    def failing(self, mp, *arguments):
        lines = mp("doctor", *arguments, code=1).stdout.splitlines()
        return {line.split()[1]: line for line in lines if line.startswith("FAIL")}

    def test_credentials_that_are_wrong(self, mp, monkeypatch):
        monkeypatch.setenv("MP_SECRET", "another")
        failing = self.failing(mp)
        assert set(failing) == {"project", "export"}
        assert "does not accept these credentials (401)" in failing["project"]
        monkeypatch.delenv("MP_SECRET")
        assert "Not set in the environment: MP_SECRET." in self.failing(mp)["credentials"]
        monkeypatch.delenv("MP_USERNAME")
        assert "There are no credentials" in self.failing(mp)["credentials"]

    def test_a_server_that_cannot_be_reached(self, mp):
        failing = self.failing(mp, "--base-url", "http://127.0.0.1:1")
        assert "cannot be reached" in failing["clock"]
        assert "project" in failing

    @pytest.mark.parametrize(
        ("fault", "status"), [(Fault.rate_limited(), 429), (Fault.rate_limited(3600), 429), (Fault.status(500), 500)]
    )
    def test_it_tells_of_an_error_at_once(self, mp, fake_mixpanel, fault, status):
        fake_mixpanel.faults.add(fault)
        assert f"({status})" in self.failing(mp)["export"]
        assert len(exports(fake_mixpanel)) == 1

    def test_a_clock_that_is_wrong(self, mp, monkeypatch):
        monkeypatch.setattr(
            import_module("mixpanel_async.cli.doctor"),
            "parsedate_to_datetime",
            lambda _: dt.datetime.now(dt.UTC) - dt.timedelta(hours=1),
        )
        assert "clock is 3,600 s ahead: set it" in self.failing(mp)["clock"]

    def test_a_database_that_cannot_be_used(self, mp, tmp_path):
        assert "There is no directory" in self.failing(mp, "--database", "no/x.duckdb")["database"]
        (tmp_path / "text.duckdb").write_text("no database, but a text that is long enough to be read" * 100)
        assert "is not a DuckDB database" in self.failing(mp, "--database", "text.duckdb")["database"]
