"""`plan`, `coverage`, `verify`, `tables`, `describe`: what a fetch would do, and what the database has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mixpanel_async import clock
from mixpanel_async.cli import options
from mixpanel_async.cli.again import other
from mixpanel_async.cli.command import AsyncCommand
from mixpanel_async.cli.dates import DaysAgo, dated, resolve
from mixpanel_async.cli.fetch import events as fetch_events
from mixpanel_async.cli.output import as_text, show
from mixpanel_async.dates import ONE_DAY, ProjectDays, ranges_of
from mixpanel_async.terminal import span

if TYPE_CHECKING:
    from mixpanel_async.cli.options import Connection
    from mixpanel_async.store import Store

_table = click.argument("name", metavar="[TABLE]", default="events")


@click.command(cls=AsyncCommand)
@options.options(
    options.first(), options.last(help="Last date, inclusive; with --sync, yesterday is the default."),
    options.table("events"),
    click.option("--sync", is_flag=True, help="What `sync events` would do, not `fetch events`."),
    options.events, options.limit, options.append, options.resume,
    click.option("--lookback-days", type=int, metavar="DAYS", help="With --sync."),
    click.option("--late", type=click.Choice(["replace", "merge"]), help="With --sync."),
    options.chunks, options.as_json, options.connecting,
)  # fmt: skip
async def plan(
    *,
    connection: Connection,
    sync: bool,
    append: bool,
    resume: bool,
    as_json: bool,
    first: Any,
    last: Any,
    **arguments: Any,
) -> None:
    """Say what a fetch or a sync would do.

    It tells chunks, requests and waits. Nothing is requested or written.
    """
    flags = {name: True for name, is_set in (("append", append), ("resume", resume)) if is_set}
    if not sync:
        flags["parallel"] = arguments["limit"] is None
    dates = {"from_date": dated(first, ProjectDays()), "to_date": dated(last, ProjectDays())}
    if any(isinstance(when, DaysAgo) for when in (first, last)) or (sync and last is None):
        _tell_yesterday()
    async with connection.client() as client:
        planned = await client.plan_events(sync=sync, **options.given(**dates, **flags, **arguments))
    show(planned, as_json=as_json)


def _tell_yesterday() -> None:
    """Say which day a plan takes for yesterday, if a project in UTC has another one."""
    yesterday = dated(DaysAgo(1), ProjectDays())
    if yesterday != clock.utc_now().date() - ONE_DAY:
        click.echo(
            f"A plan does not ask for the project's time zone, so yesterday is {yesterday}: the last day that is over "
            "everywhere.",
            err=True,
        )


@click.command(cls=AsyncCommand)
@options.options(_table, options.first(), options.last(), options.as_json, options.connecting)
@click.pass_context
async def verify(
    ctx: click.Context, /, *, connection: Connection, name: str, first: Any, last: Any, as_json: bool
) -> int:
    """Compare a table with Mixpanel's own counts.

    It compares the rows of each day. If days differ, the command that fetches them again is printed, and the exit code
    is 1.
    """
    async with connection.client() as client:
        from_date, to_date = await resolve(client, first, last)
        found = await client.verify_events(name, from_date=from_date, to_date=to_date)
        tables = await client.store.tables() if found.differing else ()
    held = {table.name.lower(): table.selection for table in tables}
    show(found, as_json=as_json)
    for first_day, last_day in ranges_of([day.date for day in found.differing]):
        ends = {"first": first_day, "last": last_day, "events": held[name.lower()].get("events")}
        command = other(ctx, "fetch events", fetch_events, name=name, **ends, append=True, as_json=False)
        click.echo(f"{span(first_day, last_day)} can be fetched again with:\n  {command}", err=True)
    return 1 if found.differing else 0


@click.command(cls=AsyncCommand)
@options.options(_table, options.as_json, options.storing)
async def coverage(*, name: str, store: Store, as_json: bool) -> None:
    """Show which days a table holds, as a calendar."""
    show(await store.coverage(name), as_json=as_json)


@click.command(cls=AsyncCommand)
@options.options(options.as_json, options.storing)
async def tables(*, store: Store, as_json: bool) -> None:
    """List the tables that this library made."""
    found = await store.tables()
    click.echo(as_text([table.to_dict() for table in found]) if as_json else str(found))


@click.command(cls=AsyncCommand)
@options.options(
    _table, click.option("--event", metavar="NAME", help="Only rows of this event."),
    click.option(
        "--sample", type=int, default=1_000_000, show_default=True, metavar="ROWS",
        help="Read about so many rows of a larger table; 0 for all.",
    ),
    options.as_json, options.storing,
)  # fmt: skip
async def describe(*, name: str, store: Store, event: str | None, sample: int, as_json: bool) -> None:
    """Show which properties a table has.

    For each: in how many rows it is, of which types, and since when.
    """
    show(await store.describe(name, event=event, sample=sample or None), as_json=as_json)
