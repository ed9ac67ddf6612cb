"""The command line: results on stdout, progress and messages on stderr.

running      runs a coroutine: signals, errors, exit codes, warnings beside a progress bar
again        the command that was called, as a line for a shell
command      a click command that is a coroutine function
dates        dates as a user writes them: `today`, `yesterday`, `7d`
options      options that commands share
output       results on stdout, as text or JSON
fetch        fetch events, fetch profiles
sync         sync events, sync profiles
stream       stream events, stream profiles
look         plan, coverage, verify, tables, describe
rows         rows of a query: CSV, JSON, files
query        query
export       export parquet, export csv, export jsonl
doctor       doctor
charts       numbers as text
demo_export  what the demo does
demo         demo
completion   completion

These modules import what `--help` needs. The rest of the package comes with the first name that is used of it.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import click

from mixpanel_async._version import __version__
from mixpanel_async.cli.completion import completion
from mixpanel_async.cli.demo import demo
from mixpanel_async.cli.doctor import doctor
from mixpanel_async.cli.export import export
from mixpanel_async.cli.fetch import fetch
from mixpanel_async.cli.look import coverage, describe, plan, tables, verify
from mixpanel_async.cli.query import query
from mixpanel_async.cli.stream import stream
from mixpanel_async.cli.sync import sync

if TYPE_CHECKING:
    from collections.abc import Sequence


class _InOrderOfUse(click.Group):
    """A group that lists its commands as they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return their names."""
        return list(self.commands)


@click.group(cls=_InOrderOfUse, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="mixpanel-async %(version)s")
def cli() -> None:
    """Export Mixpanel's raw events and profiles into DuckDB.

    Credentials come from the environment: MP_USERNAME, MP_SECRET and MP_PROJECT_ID of a service account (or
    MP_OAUTH_TOKEN and MP_PROJECT_ID, or MP_PROJECT_SECRET), and MP_REGION if the project is not in `us`.

    Exit codes: 0 done; 1 an error, or some chunks failed; 2 wrong usage; 130 interrupted; 143 terminated.
    """


for _command in (
    fetch, sync, stream, plan, coverage, verify, tables, describe, query, export, doctor, demo, completion,
):  # fmt: skip
    cli.add_command(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; `None` takes the process's arguments.

    Raises:
        SystemExit: with the exit code.
    """
    _replace_what_cannot_be_encoded()
    cli.main(args=argv)


def _replace_what_cannot_be_encoded() -> None:
    """Print a `?` for each character that the terminal's encoding lacks; event names may be in any script."""
    for text in (sys.stdout, sys.stderr):
        if isinstance(text, io.TextIOWrapper):
            text.reconfigure(errors="replace")
