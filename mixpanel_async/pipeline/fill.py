"""Fill a table: what is still to fetch, fetched, and the table left as true as before if nothing came."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from mixpanel_async.api.export import ExportQuery
from mixpanel_async.pipeline.dates import chunk_days_for, over_by, split_date_range, without
from mixpanel_async.pipeline.fetch import Fetch
from mixpanel_async.pipeline.hooks import HookCalls
from mixpanel_async.pipeline.threads import finish_in_thread
from mixpanel_async.store.chunks import Selection
from mixpanel_async.store.fetched import FetchedTable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mixpanel_async.pipeline.dates import DateChunk
    from mixpanel_async.pipeline.fetch import Outcome, Source
    from mixpanel_async.store.database import Database
    from mixpanel_async.types import BatchProgress


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller wants in which table; its values are checked."""

    table: str
    first: dt.date
    last: dt.date
    selection: Selection
    append: bool
    resume: bool
    deduplicate: bool
    chunk_days: int | Literal["auto"] | None
    """`None`: the whole range in one request."""
    max_workers: int


async def fill(
    order: Order,
    source: Source,
    database: Database,
    hook: Callable[[BatchProgress], Awaitable[None] | None] | None,
) -> list[Outcome]:
    """Fetch what the order lacks. Raises, and leaves on a cancel, what `Fetch.run` does."""
    table = FetchedTable(database, order.table)
    try:
        await finish_in_thread(partial(table.prepare, order.selection, append=order.append, resume=order.resume))
        settled = await finish_in_thread(table.final_ranges) if order.resume else []
        plan = chunks_of(order, settled, source.limiter.per_hour)
        await finish_in_thread(table.align, plan)
        hooks = HookCalls(hook)
        async with hooks.running():
            return await _fetch(order, source, table, hooks).run(plan)
    finally:
        await finish_in_thread(table.drop_if_nothing_came)


def chunks_of(order: Order, settled: list[tuple[dt.date, dt.date]], requests: int) -> list[DateChunk]:
    """The order's chunks without the dates that are settled."""
    days = (order.last - order.first).days + 1
    size = order.chunk_days or days
    if size == "auto":
        size = chunk_days_for(days, order.max_workers, requests)
    return [
        chunk
        for first, last in without(order.first, order.last, settled)
        for chunk in split_date_range(first, last, size)
    ]


def _fetch(order: Order, source: Source, table: FetchedTable, hooks: HookCalls[BatchProgress]) -> Fetch:
    selection = order.selection
    query = ExportQuery("", "", selection.events, selection.where, selection.limit)
    # A limited answer is never all there is; a day that is not over may still grow.
    final_to = None if selection.limit else over_by(dt.datetime.now(dt.UTC))
    transaction = partial(table.transaction, deduplicate=order.deduplicate, final_to=final_to)
    return Fetch(source, query, transaction, hooks, max_workers=order.max_workers)
