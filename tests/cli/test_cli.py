"""The command line as such: usage, errors, exit codes, signals, pipes, completion. Most tests start a process."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys

import click
import pytest

from mixpanel_async import StoreError, __version__
from mixpanel_async.cli import cli, main
from mixpanel_async.cli.again import again
from mixpanel_async.cli.running import in_options, run


def commands(group=cli, *before):
    """All commands, each with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        else:
            yield [*before, name], command


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["-h"], 0),
        *[([*words, "--help"], 0) for words, _ in commands()],
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
    assert (
        "Usage: " in said.err + said.out
        or f"mixpanel-async {__version__}\n" == said.out
        or "the demo needs" in said.err
    )


@pytest.mark.parametrize(("words", "command"), [pytest.param(*each, id=" ".join(each[0])) for each in commands()])
def test_each_option_has_a_help_and_no_option_takes_a_secret(words, command):
    assert command.help
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help or option.show_default or option.name == "project_id", option.name
            assert not {"secret", "token", "password"} & set(option.name.split("_"))


def test_help_imports_neither_the_engine_nor_an_event_loop():
    script = """
import sys
sys.argv = ["mixpanel-async", "--help"]
from mixpanel_async.cli import main
try:
    main()
except SystemExit:
    print(len(sys.modules), *{name.partition(".")[0] for name in sys.modules})
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, *modules = ended.stdout.splitlines()[-1].split()
    assert int(count) < 250  # 176 with Python 3.11 and click 8.5
    assert not {"aiohttp", "anyio", "asyncio", "duckdb", "msgspec", "numpy", "opentelemetry", "tqdm"} & set(modules)


async def fails_with(error):
    raise error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (StoreError("no room:\nthe disk is full"), 1, "no room: the disk is full"),
        (OSError(98, "Address already in use"), 1, "[Errno 98] Address already in use"),
        (ValueError("from_date 2026-02-02 is after to_date"), 2, "--from 2026-02-02 is after --to"),
        (ModuleNotFoundError("pip install x"), 1, "pip install x"),
        (KeyboardInterrupt(), 130, "Interrupted. Files stay."),
    ],
)
def test_an_error_is_one_line(capsys, error, code, line):
    assert run(fails_with(error), how_to_go_on=lambda: "Files stay.", debug=False, verbose=False) == code
    assert capsys.readouterr() == ("", f"mixpanel-async: {line}\n")


def test_a_mistake_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(fails_with(ZeroDivisionError()), how_to_go_on=str, debug=False, verbose=False)


def test_a_cancel_that_no_signal_asked_for_is_not_hidden():
    with pytest.raises(asyncio.CancelledError):
        run(fails_with(asyncio.CancelledError()), how_to_go_on=str, debug=False, verbose=False)


def test_messages_name_options():
    message = (
        "Table 'a' exists: pass resume=True, append=True, or parallel=False with sync=True for from_date and to_date."
    )
    assert in_options(message) == (
        "Table 'a' exists: pass --resume, --append, or --no-parallel with --sync for --from and --to."
    )
    assert in_options("No event. Check the spelling with `await client.f()`.") == "No event. Check the spelling."
    assert in_options('no column "from_dates"\n\nLINE 1: from_dates\n        ^') == (
        'no column "from_dates"\n\nLINE 1: from_dates\n        ^'
    )


@click.command("take")
@click.argument("place")
@click.option("--name", "-n", multiple=True)
@click.option("--fast/--slow", default=None)
@click.option("--all", "everything", is_flag=True)
@click.option("--number", type=int, default=3, envvar="NUMBER")
@click.pass_context
def take(ctx, **_):
    click.echo(again(ctx, everything=True))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["a b"], "take 'a b' --all"),
        (["a", "-n", "x", "-n", "$y"], "take a --name x --name '$y' --all"),
        (["a", "--slow", "--number", "3"], "take a --slow --all --number 3"),
        (["a", "--fast", "--all"], "take a --fast --all"),
    ],
)
def test_the_same_command_again(monkeypatch, capsys, arguments, line):
    monkeypatch.setenv("NUMBER", "5")  # stays in the environment
    take.main(arguments, prog_name="take", standalone_mode=False)
    assert capsys.readouterr().out == f"{line}\n"


def test_names_in_any_script_pass_through_any_encoding(tmp_path):
    script = (
        "from mixpanel_async.cli import cli, main; cli.commands['demo'].callback = lambda **_: show(); main(['demo'])"
    )
    show = "async def show(): print('支払い')\n"
    ended = subprocess.run(
        [sys.executable, "-c", show + script], cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=True
    )  # fmt: skip
    assert ended.stdout == b"???\n"


def test_a_reader_that_left_early_is_no_trouble(tmp_path):
    script = (
        "from mixpanel_async.cli import cli, main; cli.commands['demo'].callback = lambda **_: show(); main(['demo'])"
    )
    show = "async def show(): print('x' * 10**6)\n"
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", show + script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_the_completion(shell):
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not installed")
    ended = subprocess.run(
        [sys.executable, "-m", "mixpanel_async", "completion", shell], capture_output=True, check=True
    )
    checked = subprocess.run([program, "-n"], input=ended.stdout, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [("mixpanel-async de", {"demo", "describe"}), ("mixpanel-async sync events --la", {"--late"})],
)
def test_bash_completes_commands_and_options(words, expected):
    """As the script that bash sources calls us."""
    ended = subprocess.run(
        [sys.executable, "-c", "from mixpanel_async.cli import cli; cli(prog_name='mixpanel-async')"],
        env={**os.environ, "_MIXPANEL_ASYNC_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert {line.partition(",")[2] for line in ended.stdout.splitlines()} == expected
