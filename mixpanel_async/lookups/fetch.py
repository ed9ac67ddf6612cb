"""A lookup: asked to the end of its list, and saved in place of what was saved before."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import fields, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mixpanel_async.api.ask import ask, read_json
from mixpanel_async.lookups.request import next_page, read
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from mixpanel_async.api.query import Query
    from mixpanel_async.api.source import Source
    from mixpanel_async.duck.lookup_tables import LookupTable
    from mixpanel_async.lookups.request import Lookup

T = TypeVar("T")


async def look_up(lookup: Lookup[T], source: Source) -> tuple[T, ...]:
    """Have the whole answer, page by page where it comes in pages.

    Raises:
        ExportError: Mixpanel did not give it; a ServerError for an answer of another shape than documented.
    """
    found: list[T] = []
    asked: set[str] = set()
    query: Query | None = lookup.query
    while query is not None:
        told = await ask(source, query, read_json)
        found += read(lookup, told)
        query = next_page(query, told, asked)
        if query is not None:
            asked.add(query.parameters["cursor"])
    return tuple(found)


async def save(lookup: Lookup[T], source: Source, table: LookupTable) -> tuple[T, ...]:
    """Look up, and put what came in place of what the table held.

    Cancelled, it returns when the thread that writes has ended: the table is the old one or the new one.

    Raises:
        StoreError: the table holds something else, and nothing was asked; or it cannot be written.
    """
    await finish_in_thread(table.check)
    found = await look_up(lookup, source)
    replace = partial(
        table.replace,
        [_row(each) for each in found],
        event_name=lookup.event_name,
        selection="{}" if lookup.event_name else json.dumps(lookup.query.parameters, ensure_ascii=False),
        fetched_at=dt.datetime.now(dt.UTC),
    )
    await finish_in_thread(replace)
    return found


def _row(value: object) -> tuple[object, ...]:
    return tuple(getattr(value, field.name) for field in fields(value)) if is_dataclass(value) else (value,)
