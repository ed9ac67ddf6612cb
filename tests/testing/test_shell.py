"""The fake server as a process: ``python -m mixpanel_async.testing``."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from mixpanel_async.testing import FakeMixpanel, Fault, FaultPlan, GeneratedEvents, ServiceAccount
from mixpanel_async.testing.__main__ import main
from mixpanel_async.testing.shell.fault_option import FAULT_NAMES, add_fault

# A process that ignores SIGINT, as under nohup, passes this on to its children. So the child resets it first.
RESET_SIGINT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
COMMAND = [
    *(sys.executable, "-I", "-S", "-c", RESET_SIGINT),
    *(sys.executable, "-W", "error", "-m", "mixpanel_async.testing"),
]
TODAY = "2026-02-10"


@contextmanager
def shell(*options):
    """Run the server with these options; yield the process, with its first output in `welcome`."""
    process = subprocess.Popen(
        [*COMMAND, "--today", TODAY, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        process.welcome = ""
        while "Ctrl-C ends it." not in process.welcome:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            process.welcome += line
        process.url = process.welcome.splitlines()[0]
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def export(url, day=TODAY, project_id=12345):
    account = ServiceAccount("svc.ab12cd.mp-service-account", "s3cret")
    path = f"{url}/api/2.0/export?project_id={project_id}&from_date={day}&to_date={day}"
    request = urllib.request.Request(path, headers={"Authorization": account.authorization()})
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read().split(b"\n")[:-1]


def status_of(url, **how):
    try:
        export(url, **how)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_comes(number):
    with shell("--days", "3", "--events", "20", "--seed", "5") as process:
        source = GeneratedEvents(per_day=20, seed=5)
        assert export(process.url) == list(FakeMixpanel(source, today=TODAY).truth_lines(TODAY, TODAY))
        assert len(export(process.url, "2026-02-08")) == 20
        assert export(process.url, "2026-02-07") == []
        process.send_signal(number)
        rest, logged = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")
    assert len(logged.splitlines()) == 3
    assert re.match(r"GET /api/2.0/export 2026-02-10 to 2026-02-10, attempt 1: 200, [\d,]+ bytes\n", logged)


def test_what_it_prints_can_be_used_as_it_is():
    with shell("--no-limits", "--events", "7", "--profiles", "30") as process:
        curls = re.findall(r"^curl .* -u (\S+):(\S+) (?:-X (\w+) )?'(\S+)'$", process.welcome, re.MULTILINE)
        bodies = []
        for user, secret, method, url in curls:
            account = {"Authorization": ServiceAccount(user, secret).authorization()}
            request = urllib.request.Request(url, headers=account, method=method or None)
            with urllib.request.urlopen(request, timeout=30) as response:
                bodies.append(response.read())
        assert all(json.loads(line)["event"] for line in bodies[0].split(b"\n")[:-1])
        assert json.loads(bodies[1])["total"] == 30
        client = re.search(r"^account = .*\nclient = .*$", process.welcome, re.MULTILINE)[0]
        names = {}
        exec(f"from mixpanel_async import MixpanelClient, ServiceAccount\n{client}", names)
        assert names["account"].project_id == "12345"
        (exported,) = re.findall(r"^export (.*)$", process.welcome, re.MULTILINE)
        variables = dict(pair.split("=", 1) for pair in exported.split())
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            exec('client = MixpanelClient(database=":memory:")', names)
        assert variables["MP_BASE_URL"] == process.url


def test_faults_and_no_limits():
    with shell(
        "--no-limits", "--events", "20", "--fault", "503,attempt=1", "--fault", "half-line=5,attempt=2"
    ) as process:
        assert status_of(process.url) == 503
        assert len(export(process.url)) == 5
        assert {status_of(process.url) for _ in range(4)} == {200}


def test_an_older_project_has_a_today_of_its_own_and_limits_are_on():
    with shell("--project", "local", "--today", "2026-02-10T04:00:00") as process:
        assert status_of(process.url, day="2026-02-10", project_id=777) == 400
        assert {status_of(process.url, day="2026-02-09", project_id=777) for _ in range(61)} == {200, 429}
        assert "2026-02-09, and 1000 profiles.\nIt is 2026-02-10 04:00 UTC" in process.welcome


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--days", "0"], "argument --days: '0' is not a whole number, 1 or more"),
        (["--port", "65536"], "argument --port: '65536' is not a port"),
        (["--latency", "nan"], "argument --latency: 'nan' is not a number"),
        (["--today", "2026-02-30"], "argument --today: '2026-02-30' is not a date"),
        (["--fault", "no-such"], "argument --fault: there is no fault 'no-such'; there are cut,"),
        (["--event", "5"], "unrecognized arguments: --event 5"),
        (["export"], "unrecognized arguments: export"),
    ],
)
def test_wrong_options_end_it_with_one_line(options, what, capsys):
    with pytest.raises(SystemExit) as caught:
        main(options)
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, "")
    assert err.startswith(f"python -m mixpanel_async.testing: {what}")
    assert err.count("\n") == 1


def test_a_port_in_use(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    assert capsys.readouterr() == ("", f"Cannot listen on port {port}: Address already in use.\n")


def test_a_reader_that_closes_stdout_ends_it_quietly():
    """As in `python -m mixpanel_async.testing | head -1`."""
    with shell() as process:
        process.stdout.close()
        assert (process.wait(timeout=30), process.stderr.read()) == (0, "")


def test_stdout_that_is_already_closed_ends_it_quietly():
    """As in `python -m mixpanel_async.testing | true`."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(COMMAND, check=False, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_help_names_every_fault(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(re.search(rf"^  {name}\b", shown, re.MULTILINE) for name in FAULT_NAMES)


def planned(words):
    faults = FaultPlan()
    add_fault(faults, words)
    return faults


class TestFaultOption:
    @pytest.mark.parametrize(
        ("words", "fault"),
        [
            ("cut=0.25", Fault.cut(after_fraction=0.25)),
            ("cut", Fault.cut(after_fraction=0.5)),
            ("terminated-early", Fault.terminated_early()),
            ("stall=2.5", Fault.stall(seconds=2.5)),
            ("429", Fault.rate_limited()),
            ("429=30", Fault.rate_limited(30.0)),
            ("404", Fault.status(404)),
            ("html", Fault.html()),
        ],
    )
    def test_a_fault(self, words, fault):
        (made,) = planned(words)._planned
        assert made.fault.response == fault.response
        assert made.fault.name == fault.name

    def test_choices(self):
        (made,) = planned("503, chance=0.25, seed=3, times=2, attempt=4, date=2026-01-31")._planned
        assert (made.chance, made.seed, made.times, made.attempts) == (0.25, 3, 2, [4])
        assert str(made.date) == "2026-01-31"

    def test_pages_of_profiles(self):
        (made,) = planned("503,page=2")._planned
        assert (made.endpoint, made.page) == ("engage", 2)
        (made,) = planned("503,endpoint=cohorts/list")._planned
        assert made.endpoint == "cohorts/list"

    @pytest.mark.parametrize("name", FAULT_NAMES)
    def test_every_name_is_a_fault(self, name):
        assert planned(name)._planned

    @pytest.mark.parametrize(
        ("words", "what"),
        [
            ("", "there is no fault ''"),
            ("200", "there is no fault '200'"),
            ("cut=1.5", "cut=1.5 is not a share"),
            ("cut=", "cut= is not a share"),
            ("half-line=-1", "half-line=-1 is not a number"),
            ("half-line=1.5", "half-line=1.5 is not a number"),
            ("html=3", "html takes no value"),
            ("cut,chance=2", "chance=2 is not a share"),
            ("cut,when=now", "unknown option 'when': expected one of chance="),
            ("503,endpoint=nowhere", "nowhere"),
            ("cut,times", "unknown option 'times': expected"),
            ("cut,date=2026-02-30", "day is out of range"),
        ],
    )
    def test_wrong_text_is_refused(self, words, what):
        with pytest.raises(ValueError, match=re.escape(what)):
            planned(words)
