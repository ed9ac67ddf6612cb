"""A lookup: fetched to the end of its list, and saved in place of what was saved before."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import fields, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mixpanel_async.api.send_query import read_json, send_query
from mixpanel_async.duck.lookup_tables import LookupTable
from mixpanel_async.lookups.request import next_page, read_response

if TYPE_CHECKING:
    from mixpanel_async.api.query import Query
    from mixpanel_async.api.source import Source
    from mixpanel_async.holding import HeldDatabase
    from mixpanel_async.lookups.request import LookupRequest

T = TypeVar("T")


async def fetch_lookup(lookup: LookupRequest[T], source: Source) -> tuple[T, ...]:
    """Fetch the whole result, page by page where it has pages.

    Raises:
        ExportError: the last attempt failed; a ServerError for a response of another shape than documented.
    """
    results: list[T] = []
    seen: set[str] = set()
    query: Query | None = lookup.query
    while query is not None:
        payload = await send_query(source, query, read_json)
        results += read_response(lookup, payload)
        query = next_page(query, payload, seen)
        if query is not None:
            seen.add(query.parameters["cursor"])
    return tuple(results)


async def fetch_and_save(lookup: LookupRequest[T], source: Source, name: str, held: HeldDatabase) -> tuple[T, ...]:
    """Fetch a lookup, and replace what the table of this name held.

    A cancel returns when the thread that writes has ended: the table is the old one or the new one.

    Raises:
        StoreError: the table holds something else, and nothing was requested; or it cannot be written.
        ExportError: as `fetch_lookup`.
    """
    table = LookupTable(held.database, name, lookup.kind, project=source.project)
    await held.run(table.check, create=True)
    results = await fetch_lookup(lookup, source)
    replace = partial(
        table.replace,
        [_row(each) for each in results],
        event_name=lookup.event_name,
        selection="{}" if lookup.event_name else json.dumps(lookup.query.parameters, ensure_ascii=False),
        fetched_at=dt.datetime.now(dt.UTC),
    )
    await held.run(replace)
    return results


def _row(value: object) -> tuple[object, ...]:
    return tuple(getattr(value, field.name) for field in fields(value)) if is_dataclass(value) else (value,)
