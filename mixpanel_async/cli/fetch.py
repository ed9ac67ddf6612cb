"""`fetch events` and `fetch profiles`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from mixpanel_async.cli import options
from mixpanel_async.cli.again import again
from mixpanel_async.cli.command import AsyncCommand
from mixpanel_async.cli.dates import resolve
from mixpanel_async.cli.output import show_fetched
from mixpanel_async.terminal import span

if TYPE_CHECKING:
    from mixpanel_async.cli.options import Connection


@click.group()
def fetch() -> None:
    """Fetch events or profiles into a table."""


@fetch.command(
    cls=AsyncCommand,
    on_signal=("Chunks that were committed stay, each of them whole.", {"resume": True, "append": False}),
)
@options.options(
    options.first(required=True), options.last(required=True), options.table("events"), options.events, options.limit,
    options.append, options.resume,
    click.option("--deduplicate/--no-deduplicate", default=True, help="Keep one of repeated rows (the default)."),
    click.option(
        "--parallel/--no-parallel", default=None,
        help="Chunks at the same time, each committed by itself (the default); or all in one (with --limit).",
    ),
    options.chunks, options.progress, options.as_json, options.connecting,
)  # fmt: skip
@click.pass_context
async def events(
    ctx: click.Context,
    /,
    *,
    connection: Connection,
    parallel: bool | None,
    as_json: bool,
    first: Any,
    last: Any,
    **arguments: Any,
) -> int:
    """Fetch raw events of a range of dates.

    A chunk that fails leaves its dates as they were; the command that fetches it is printed, and the exit code is 1.
    """
    if parallel is None:
        parallel = arguments["limit"] is None
    async with connection.client() as client:
        from_date, to_date = await resolve(client, first, last)
        ctx.params.update(first=from_date, last=to_date)  # the command that goes on is the same tomorrow
        arguments = options.given(from_date=from_date, to_date=to_date, parallel=parallel, **arguments)
        result = await client.fetch_events(**arguments)
    mends = {
        span(*dates): again(ctx, first=dates[0], last=dates[1], append=True, resume=False)
        for dates in result.failed_date_ranges
    }
    return show_fetched(result, mends, as_json=as_json)


@fetch.command(cls=AsyncCommand, on_signal=("The table is as before, and pages that came are kept.", {"resume": True}))
@options.options(
    options.table("profiles"), options.some_profiles, options.more_profiles, options.append, options.resume,
    click.option(
        "--parallel/--no-parallel", default=True,
        help="Pages at the same time, and go on if one fails (the default); or one after the other.",
    ),
    options.pages, options.progress, options.as_json, options.connecting,
)  # fmt: skip
@click.pass_context
async def profiles(
    ctx: click.Context,
    /,
    *,
    connection: Connection,
    behaviors: str | None,
    as_json: bool,
    **arguments: Any,
) -> int:
    """Fetch user or group profiles, as they are now. The table is replaced when all pages have come."""
    async with connection.client() as client:
        result = await client.fetch_profiles(**options.given(behaviors=as_behaviors(behaviors), **arguments))
    mends = {"All pages that failed": again(ctx, resume=True)} if result.has_failures else {}
    return show_fetched(result, mends, as_json=as_json)


def as_behaviors(text: str | None) -> Any:
    """Read `--behaviors`. Raises click's BadParameter."""
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"it is not JSON: {error}", param_hint="--behaviors") from None
