"""`plan_events`: what a fetch or a sync would do. Nothing is requested or written."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mixpanel_async.arguments import EventOptions, SyncOptions
from mixpanel_async.dates import days_in
from mixpanel_async.duck import journal
from mixpanel_async.export.fetch import EventFetch
from mixpanel_async.export.sync import EventSync, find_fetch, look
from mixpanel_async.export.weights import Weights
from mixpanel_async.types import FetchPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from mixpanel_async.api.limits import Budget, Limiter
    from mixpanel_async.api.source import Source
    from mixpanel_async.duck.schema import Schema
    from mixpanel_async.export.plan import Plan
    from mixpanel_async.export.sync import Calendar
    from mixpanel_async.holding import HeldDatabase
    from mixpanel_async.records import JournalRow


_OF_FETCH = {*EventOptions.__annotations__, "limit", "parallel"}
_OF_SYNC = set(SyncOptions.__annotations__)


def call_of(
    name: str,
    from_date: str | dt.date | None,
    to_date: str | dt.date | None,
    *,
    sync: bool,
    options: Mapping[str, Any],
) -> EventFetch | EventSync:
    """Check the arguments, as the call that is planned does.

    Raises:
        ValueError: names the argument and what it must be.
    """
    call, other = ("sync_events", "without sync=True") if sync else ("fetch_events", "with sync=True")
    if wrong := sorted(options.keys() - (_OF_SYNC if sync else _OF_FETCH)):
        raise ValueError(f"{call} takes no {', '.join(wrong)}: leave it out, or plan {other}.")
    if sync:
        return EventSync.of(name, from_date, to_date, **options)
    if from_date is None or to_date is None:
        raise ValueError("fetch_events needs from_date and to_date: pass them, or plan with sync=True.")
    return EventFetch.of(name, from_date, to_date, **options)


async def plan_events(
    call: EventFetch | EventSync, calendar: Calendar, source: Source, held: HeldDatabase
) -> FetchPlan:
    """Say what a call would do. Raises what it would raise before its first request."""
    if isinstance(call, EventSync):
        found = await held.look(partial(look, sync=call, project=source.project))
        return await _plan(await find_fetch(call, calendar, found), found[1], source.limiter)
    fetch = replace(call, days=await calendar.days_until(call.dates[1]))
    chunks = await held.look(partial(_look, fetch=fetch, project=source.project))
    return await _plan(fetch, chunks, source.limiter)


def _look(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, fetch: EventFetch, project: str | None
) -> list[JournalRow]:
    journal.check_table(
        cursor, schema, fetch.table, fetch.selection, project=project, append=fetch.append, resume=fetch.resume
    )
    return journal.look(cursor, schema, fetch.table)[1]


async def _plan(fetch: EventFetch, chunks: Sequence[JournalRow], limiter: Limiter) -> FetchPlan:
    budget = await limiter.budget()
    plan = fetch.plan(chunks, budget)
    return preview(fetch, plan, chunks, budget, await limiter.forecast(len(plan.chunks)))


def preview(fetch: EventFetch, plan: Plan, chunks: Sequence[JournalRow], budget: Budget, wait: float) -> FetchPlan:
    """Describe a plan; `wait` is for how many seconds the limits hold up its last request."""
    days = sum(map(days_in, plan.chunks))
    first, last = fetch.dates
    inside = sum(_overlap(chunk, first, last) for chunk in plan.chunks)
    return FetchPlan(
        chunks=tuple(plan.chunks),
        requests=len(plan.chunks),
        requests_left=budget.left,
        wait_seconds=wait,
        days=days,
        settled_days=max(0, (last - first).days + 1) - inside,
        expected_bytes=_expected(plan, chunks),
    )


def _overlap(chunk: tuple[str, str], first: dt.date, last: dt.date) -> int:
    begin, end = max(first, dt.date.fromisoformat(chunk[0])), min(last, dt.date.fromisoformat(chunk[1]))
    return max(0, (end - begin).days + 1)


def _expected(plan: Plan, chunks: Sequence[JournalRow]) -> int | None:
    weights = Weights(chunks)
    ordinals = [
        [dt.date.fromisoformat(date).toordinal() for date in chunk] for chunk in plan.chunks if chunk not in plan.merges
    ]
    return sum(weights.bytes_of(*each) for each in ordinals) if any(row.bytes for row in chunks) else None
