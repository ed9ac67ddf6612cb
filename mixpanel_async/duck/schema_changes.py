"""Which properties of an event came, went or changed their types at a day."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

from mixpanel_async.description import SchemaChange, SchemaChanges
from mixpanel_async.duck.coverage import check_events_table
from mixpanel_async.duck.properties import Source, find_types
from mixpanel_async.duck.translation import translate_errors

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    import duckdb

    from mixpanel_async.description import PropertyType
    from mixpanel_async.duck.schema import Schema

    Types = Mapping[PropertyType, int]
    """The types of a property's values, with their rows."""

_EVENTS = """
    SELECT event_name, count(*) FILTER (event_time < $since), count(*) FILTER (event_time >= $since)
    FROM {table} GROUP BY event_name ORDER BY event_name
"""


def read_changes(cursor: duckdb.DuckDBPyConnection, schema: Schema, *, name: str, since: dt.date) -> SchemaChanges:
    """Compare the rows before a date with those from it on; see `Store.schema_changes`. Within a transaction.

    Raises:
        TableNotFoundError, StoreError: as `check_events_table`.
    """
    check_events_table(cursor, schema, name)
    with translate_errors(f"Table {name!r}"):
        source = Source.of(cursor, schema, name)
        events = cursor.execute(_EVENTS.format(table=source), {"since": since}).fetchall()
        grouped = ("event_name", "event_time >= $since")
        seen = list(find_types(cursor, source, grouped, since=since))
    sides: defaultdict[tuple[object, str], tuple[dict[PropertyType, int], ...]] = defaultdict(lambda: ({}, {}))
    for each in seen:
        if each.type is not None:
            event, is_after = each.group
            sides[event, each.name][bool(is_after)][each.type] = each.rows
    return SchemaChanges(_changes(events, {key: (before, after) for key, (before, after) in sides.items()}))


def _changes(
    events: list[tuple[str, int, int]], sides: Mapping[tuple[object, str], tuple[Types, Types]]
) -> Iterator[SchemaChange]:
    properties: defaultdict[object, list[str]] = defaultdict(list)
    for event, name in sorted(sides, key=lambda key: key[1]):
        properties[event].append(name)
    for event, before, after in events:
        if before and after:
            for name in properties[event]:
                yield from _change(event, name, *sides[event, name])
        else:
            yield SchemaChange(event, None, "new" if after else "gone", (), (), before or after)


def _change(event: str, name: str, before: Types, after: Types) -> Iterator[SchemaChange]:
    if before.keys() != after.keys():
        rows = sum({**before, **after}[each] for each in before.keys() ^ after.keys())
        kind: Literal["new", "gone", "type"] = "type" if before and after else "new" if after else "gone"
        yield SchemaChange(event, name, kind, tuple(sorted(before)), tuple(sorted(after)), rows)
