"""Fill a table: what is still to fetch, fetched, and the table left as true as before if nothing came."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING

from mixpanel_async.dates import over_by
from mixpanel_async.duck.fetched import FetchedTable
from mixpanel_async.export.fetch import Fetch
from mixpanel_async.export.order import Order, chunks_of
from mixpanel_async.export.request import ExportQuery
from mixpanel_async.progress import HookCalls
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mixpanel_async.api.source import Source
    from mixpanel_async.duck.connection import Database
    from mixpanel_async.export.fetch import Outcome
    from mixpanel_async.types import BatchProgress


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
        indivisible = await finish_in_thread(table.indivisible)
        plan = chunks_of(order, settled, indivisible, source.limiter.per_hour)
        await finish_in_thread(table.align, plan)
        hooks = HookCalls(hook)
        async with hooks.running():
            return await _fetch(order, source, table, hooks).run(plan)
    finally:
        await finish_in_thread(table.drop_if_nothing_came)


def _fetch(order: Order, source: Source, table: FetchedTable, hooks: HookCalls[BatchProgress]) -> Fetch:
    selection = order.selection
    query = ExportQuery("", "", selection.events, selection.where, selection.limit)
    # A limited answer is never all there is; a day that is not over may still grow.
    final_to = None if selection.limit else over_by(dt.datetime.now(dt.UTC))
    transaction = partial(table.transaction, deduplicate=order.deduplicate, final_to=final_to)
    return Fetch(source, query, transaction, hooks, max_workers=order.max_workers, deduplicate=order.deduplicate)
