"""The command line: results on stdout, progress and messages on stderr.

A command is a module of this package with two functions, named in `COMMANDS`:

    add_to(commands)    adds its parser to the `commands` of argparse
    run(arguments)      does the work, prints the result, returns the exit code

The exit codes are the same for every command: 0 done, 1 an error (one line on stderr) or failed chunks, 2 wrong
usage, 130 interrupted by Ctrl-C, 143 terminated by SIGTERM.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async._version import __version__
from mixpanel_async.cli import demo
from mixpanel_async.cli.signals import CutShortError
from mixpanel_async.errors import MixpanelError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (demo,)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `None` takes the process's arguments.

    Raises:
        SystemExit: from argparse, with 2 after wrong usage and 0 after `--help` and `--version`.
    """
    _replace_what_cannot_be_encoded()
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except CutShortError as signal:
        return _failed(f"{signal}. Chunks that were committed before stay, each of them whole.", signal.exit_code)
    except KeyboardInterrupt:
        return _failed("Interrupted.", 130)
    except BrokenPipeError:
        return _end_quietly()
    except (MixpanelError, OSError, duckdb.Error) as error:
        return _failed(" ".join(str(error).split()), 1)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mixpanel-async", description="Export Mixpanel's raw events in parallel date chunks into DuckDB."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_to(commands)
    return parser


def _failed(message: str, code: int) -> int:
    print(f"mixpanel-async: {message}", file=sys.stderr)
    return code


def _end_quietly() -> int:
    """Print nothing more, not even when Python flushes at its end: the pipe's reader has closed it, as `head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _replace_what_cannot_be_encoded() -> None:
    """Print a `?` for each character that the terminal's encoding lacks; event names may be in any script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
