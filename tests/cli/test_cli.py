from __future__ import annotations

import subprocess
import sys

import pytest

from mixpanel_async import StoreError, __version__
from mixpanel_async.cli import demo, main


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["demo", "--help"], 0),
        ([], 2),
        (["nothing"], 2),
        (["demo", "--nothing"], 2),
        (["demo", "--database", ":memory:"], 2),
        (["demo", "--database", ""], 2),
    ],
)
def test_usage(capsys, arguments, code):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert ended.value.code == code
    assert "mixpanel-async" in (said.err if code else said.out)


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"mixpanel-async {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (StoreError("no room:\nthe disk is full"), 1, "no room: the disk is full"),
        (OSError(98, "Address already in use"), 1, "[Errno 98] Address already in use"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_an_error_is_one_line(capsys, monkeypatch, error, code, line):
    def fail(arguments):
        raise error

    monkeypatch.setattr(demo, "run", fail)
    assert main(["demo"]) == code
    assert capsys.readouterr() == ("", f"mixpanel-async: {line}\n")


def test_names_in_any_script_pass_through_any_encoding(tmp_path):
    script = (
        "import sys; from mixpanel_async.cli import demo, main; demo.run = lambda _: print('支払い'); main(['demo'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"}, capture_output=True, check=True
    )
    assert result.stdout == b"???\n"


def test_a_reader_that_left_early_is_no_trouble(tmp_path):
    script = "from mixpanel_async.cli import demo, main; demo.run = lambda _: print('x' * 10**6); exit(main(['demo']))"
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1
