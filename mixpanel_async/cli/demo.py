"""`demo`: an export from a fake Mixpanel on this machine, and a first look at its data. No account is needed."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from mixpanel_async.cli.command import AsyncCommand


@click.command(cls=AsyncCommand, on_signal=("Chunks that were committed stay, each of them whole.", None))
@click.option(
    "--database", default="demo.duckdb", show_default=True, metavar="FILE",
    help="Where the events go. A database of an earlier demo is replaced.",
)  # fmt: skip
async def demo(*, database: str) -> int:
    """Export from a fake Mixpanel on this machine.

    No account is needed: the events are generated.
    """
    from mixpanel_async.cli.demo_export import DAYS, export, make_database, report  # noqa: PLC0415 - help needs none

    make_database(path := _path(database))
    click.echo(f"A fake Mixpanel on this machine has {DAYS} days of events for {path}.", err=True)
    result = await export(path)
    columns = min(80, shutil.get_terminal_size().columns)
    click.echo("\n\n".join(report(path, result, columns)))
    return 1 if result.has_failures else 0


def _path(text: str) -> Path:
    if text in ("", ":memory:"):
        raise click.BadParameter("the demo needs a file", param_hint="--database")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise click.BadParameter(
            f"the home directory in {text!r} is not known: write it out", param_hint="--database"
        ) from None
