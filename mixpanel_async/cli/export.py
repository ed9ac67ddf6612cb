"""`export parquet`, `export csv`, `export jsonl`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from mixpanel_async.cli import options
from mixpanel_async.cli.command import AsyncCommand
from mixpanel_async.cli.dates import dated
from mixpanel_async.cli.output import show
from mixpanel_async.dates import ProjectDays

if TYPE_CHECKING:
    from mixpanel_async.store import Store

_STAYS = "Files that are complete stay; nothing else is left."
_where = options.options(click.argument("name", metavar="TABLE"), click.argument("path", metavar="PATH"))
_how = options.options(options.progress, options.as_json, options.storing)


@click.group()
def export() -> None:
    """Write a table or a view into files, each whole or absent."""


@export.command(cls=AsyncCommand, on_signal=(_STAYS, {}))
@options.options(
    _where,
    click.option(
        "--partition-by", type=click.Choice(["date", "none"]), default="date", show_default=True,
        help="A folder with a file for each date, or one file.",
    ),
    options.first(), options.last(), _how,
)  # fmt: skip
async def parquet(
    *, store: Store, name: str, path: str, partition_by: str, first: Any, last: Any, as_json: bool, **arguments: Any
) -> None:
    """Write Parquet: one file for each date in the folder PATH, or one file."""
    by: Literal["date"] | None = "date" if partition_by == "date" else None
    arguments |= {"from_date": dated(first, ProjectDays()), "to_date": dated(last, ProjectDays())}
    show(await store.export_parquet(name, path, partition_by=by, **options.given(**arguments)), as_json=as_json)


@export.command(cls=AsyncCommand, on_signal=(_STAYS, {}))
@options.options(_where, _how)
async def csv(*, store: Store, name: str, path: str, as_json: bool, **arguments: Any) -> None:
    """Write one CSV file; .gz and .zst are compressed."""
    show(await store.export_csv(name, path, **options.given(**arguments)), as_json=as_json)


@export.command(cls=AsyncCommand, on_signal=(_STAYS, {}))
@options.options(_where, _how)
async def jsonl(*, store: Store, name: str, path: str, as_json: bool, **arguments: Any) -> None:
    """Write JSON Lines in Mixpanel's own shape, ready for its /import; .gz is compressed."""
    show(await store.export_jsonl(name, path, **options.given(**arguments)), as_json=as_json)
