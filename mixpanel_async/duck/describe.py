"""Which properties a table's rows have."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

from mixpanel_async.description import Description, Property
from mixpanel_async.duck.properties import BLOCK, BLOCKS, Source, count_rows, find_values
from mixpanel_async.duck.translation import translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from mixpanel_async.duck.properties import SeenValues
    from mixpanel_async.duck.schema import Schema


LEAST = 100
"""Rows of a sample at least."""


def check_sample(sample: int | None) -> int | None:
    """Check how many rows shall be read. Raises ValueError, which says the rule."""
    if sample is not None and (isinstance(sample, bool) or not isinstance(sample, int) or sample < LEAST):
        raise ValueError(f"sample must be a whole number, {LEAST} or more, or None for all rows, not {sample!r}.")
    return sample


def read_description(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, *, name: str, event: str | None, sample: int | None
) -> Description:
    """Read which properties a table's rows have; see `Store.describe`. Within a transaction, as it reads them twice.

    Raises:
        TableNotFoundError, StoreError: as `Source.of`.
    """
    with translate_errors(f"Table {name!r}"):
        source = Source.of(cursor, schema, name, event)
        rows = read = count_rows(cursor, source)
        if sample is not None and sample < rows:
            source = _sampled(source, sample, rows)
            read = count_rows(cursor, source)
        seen = list(find_values(cursor, source))
    return Description(name, event, rows, read, _properties(seen, read))


def _sampled(source: Source, sample: int, rows: int) -> Source:
    return replace(source, sampled=sample / rows, block=max(1, min(BLOCK, sample // BLOCKS)))


def _properties(seen: Iterable[SeenValues], rows: int) -> tuple[Property, ...]:
    by_name: defaultdict[str, list[SeenValues]] = defaultdict(list)
    for each in seen:
        by_name[each.name].append(each)
    found = (_property(name, types, rows) for name, types in by_name.items())
    return tuple(sorted(found, key=lambda each: (-each.rows, each.name)))


def _property(name: str, seen: Sequence[SeenValues], rows: int) -> Property:
    types = sorted(seen, key=lambda each: (-each.rows, each.type))
    has = sum(each.rows for each in types)
    return Property(
        name,
        has,
        has / rows,
        tuple((each.type, each.rows / has) for each in types),
        sum(map(attrgetter("distinct"), types)),
        types[0].example,
        min(filter(None, map(attrgetter("first_day"), types)), default=None),
        max(filter(None, map(attrgetter("last_day"), types)), default=None),
    )
