"""`sync events` and `sync profiles`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mixpanel_async.cli import options
from mixpanel_async.cli.again import again
from mixpanel_async.cli.command import AsyncCommand
from mixpanel_async.cli.dates import DaysAgo, resolve
from mixpanel_async.cli.output import show_fetched

if TYPE_CHECKING:
    from mixpanel_async.cli.options import Connection


@click.group()
def sync() -> None:
    """Bring a table up to date."""


@sync.command(cls=AsyncCommand, on_signal=("Chunks that were committed stay; the next sync does the rest.", {}))
@options.options(
    options.first(help="First date; needed the first time"),
    options.last(help="Last date, inclusive.  [default: yesterday]"),
    options.table("events"), options.events,
    click.option(
        "--lookback-days", type=int, default=5, show_default=True, metavar="DAYS",
        help="Request a day again until it was requested so many days after its end.",
    ),
    click.option(
        "--late", type=click.Choice(["replace", "merge"]), default="replace", show_default=True,
        help="Request whole days again, or only the rows that Mixpanel processed since: for every hour.",
    ),
    options.chunks, options.progress, options.as_json, options.connecting,
)  # fmt: skip
@click.pass_context
async def events(
    ctx: click.Context,
    /,
    *,
    connection: Connection,
    as_json: bool,
    first: Any,
    last: Any,
    **arguments: Any,
) -> int:
    """Request the dates that the table lacks, and again those that may have changed. Run it every night."""
    async with connection.client() as client:
        from_date, to_date = await resolve(client, first, None if last in _OWN else last)
        result = await client.sync_events(
            from_date=from_date, to_date=_OWN.get(last, to_date), **options.given(**arguments)
        )
    mends = {"What failed": again(ctx)} if result.has_failures else {}
    return show_fetched(result, mends, as_json=as_json)


_OWN = {None: "yesterday", DaysAgo(1): "yesterday", DaysAgo(0): "today"}
"""What `sync_events` resolves by itself."""


@sync.command(cls=AsyncCommand, on_signal=("The table is as before, or synced; the next sync does the rest.", {}))
@options.options(
    options.table("profiles"), options.some_profiles,
    click.option(
        "--full-every-days", type=int, default=7, show_default=True, metavar="DAYS",
        help="After how many days all profiles are fetched again, which also finds deletions.",
    ),
    options.pages, options.progress, options.as_json, options.connecting,
)  # fmt: skip
@click.pass_context
async def profiles(ctx: click.Context, /, *, connection: Connection, as_json: bool, **arguments: Any) -> int:
    """Request the profiles that were seen since the last sync, and from time to time all of them."""
    async with connection.client() as client:
        result = await client.sync_profiles(**options.given(**arguments))
    mends = {"What failed": again(ctx)} if result.has_failures else {}
    return show_fetched(result, mends, as_json=as_json)
