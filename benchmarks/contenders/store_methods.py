"""Each method of `Store`, one after the other, over a copy of the database in the option `source`.

A figure is the seconds of a method, or of a query that is named in `QUERIES`; another one its processor time, which
tells more on a busy machine.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks.contenders.ours import ticker
from benchmarks.task import given, tell
from mixpanel_async import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.task import Task

STEPS = "['Page View', 'Product Viewed', 'Add to Cart']"
QUERIES = {
    "query": "SELECT event_name, count(*) AS n FROM events GROUP BY ALL ORDER BY n DESC",
    "query_property": """SELECT properties->>'$."$browser"', count(*) FROM events GROUP BY ALL""",
    "query_view": 'SELECT "$browser", count(*) FROM typed GROUP BY ALL',
    "mixpanel_sessions": "SELECT count(*) FROM mixpanel_sessions('events')",
    "mixpanel_funnel": f"FROM mixpanel_funnel('events', {STEPS})",
    "mixpanel_retention": "SELECT count(*) FROM mixpanel_retention('events', NULL, NULL)",
}


class Times:
    """The seconds of each method, and its processor time."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Measure what the block does."""
        began, used = time.perf_counter(), time.process_time()
        yield
        self.figures |= {f"{name}_s": time.perf_counter() - began, f"{name}_cpu_s": time.process_time() - used}


async def run(database: str, day: str) -> tuple[int, dict[str, float]]:
    """Call each method; return the table's rows, and the seconds of each."""
    store, times, rows = Store(database), Times(), 0
    async with times.of("tables"):
        (table,) = await store.tables()
    async with times.of("coverage"):
        await store.coverage()
    async with times.of("describe"):
        await store.describe(sample=None)
    async with times.of("create_view"):
        await store.create_view("typed")
    async with times.of("schema_changes"):
        await store.schema_changes("events", day)
    async with times.of("create_macros"):
        await store.create_macros()
    for name, sql in QUERIES.items():
        async with times.of(name):
            await store.query(sql)
    async with times.of("query_batches"):
        async for batch in store.query_batches("FROM events"):
            rows += batch.num_rows
    assert rows == table.rows
    async with times.of("compact"):
        await store.compact()
    await store.drop_table("typed")  # a table that a view reads cannot be dropped
    async with times.of("drop_table"):
        await store.drop_table("events")
    return rows, times.figures


async def main(task: Task) -> None:
    """Run them, and print the figures."""
    shutil.copy(task.options["source"], task.database)
    async with ticker() as waits:
        began = time.perf_counter()
        rows, figures = await run(task.database, task.days[len(task.days) // 2])
        seconds = time.perf_counter() - began
    tell(seconds=seconds, rows=rows, **waits.figures(), **figures)


if __name__ == "__main__":
    asyncio.run(main(given()))
