"""`query`: one statement of SQL over the database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixpanel_async.cli import options
from mixpanel_async.cli.command import AsyncCommand

if TYPE_CHECKING:
    from mixpanel_async.store import Store


@click.command(cls=AsyncCommand)
@click.argument("sql")
@options.options(
    click.option("--csv", "form", flag_value="csv", help="Print CSV."),
    click.option("--json", "form", flag_value="json", help="Print a JSON array of objects."),
    click.option(
        "--output", metavar="FILE", help="Write FILE.parquet, FILE.csv (or .csv.gz) or FILE.json: whole, or not at all."
    ),
    options.storing,
)  # fmt: skip
async def query(*, store: Store, sql: str, form: str | None, output: str | None) -> None:
    """Run SQL that reads, and print its rows.

    SQL is one statement; `-` reads it from stdin.

    Example: mixpanel-async query "SELECT event_name, count(*) FROM events GROUP BY ALL"
    """
    if output is not None and form is not None:
        raise click.UsageError("--output chooses the format by the file's name: leave out --csv and --json.")
    from mixpanel_async.cli import rows  # noqa: PLC0415 - help needs no database

    write = None if output is None else rows.writer(Path(output))
    if sql == "-":
        sql = sys.stdin.read()
    result = await store.query(sql)
    if write is not None:
        write(result)
        click.echo(f"{output}: {result.rows:,} rows", err=True)
    elif form is None:
        click.echo(str(result))
    else:
        (rows.print_csv if form == "csv" else rows.print_json)(result)
