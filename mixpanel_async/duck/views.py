"""Views with typed columns.

They are SQL that is kept in the file: any DuckDB client, 1.5 or later, can query them. A view of ours has a comment
that begins with `COMMENT`; others are never replaced. The SQL does not name the database, which each client attaches
under another name.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async.duck.column_types import ColumnType, chosen, infer, value
from mixpanel_async.duck.properties import Source, as_text, check_event, count_rows, find_types, pointer
from mixpanel_async.duck.schema import check_table_name, quoted, table_exists
from mixpanel_async.duck.transactions import transaction
from mixpanel_async.duck.translation import translate_errors
from mixpanel_async.errors import StoreError, TableExistsError
from mixpanel_async.selections import is_text
from mixpanel_async.views import ViewColumn, ViewInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mixpanel_async.description import PropertyType
    from mixpanel_async.duck.schema import Schema

COMMENT = "mixpanel-async: "

_OWN: Mapping[str, Mapping[str, tuple[str | None, str]]] = {
    "events": {
        "event_name": (None, "VARCHAR"),
        "event_time": ("time", "TIMESTAMP"),
        "distinct_id": ("distinct_id", "VARCHAR"),
        "insert_id": ("$insert_id", "VARCHAR"),
        "properties": (None, "JSON"),
    },
    "profiles": {
        "distinct_id": (None, "VARCHAR"),
        "last_seen": ("$last_seen", "TIMESTAMP"),
        "properties": (None, "JSON"),
    },
}
"""The columns of the table itself, each with the property that it has: a view has no second column for that, unless
it is asked for. Only `$last_seen` may hold what is no time, so it gets one.
"""
TOGETHER = 20
"""Properties that are extracted together at least, because a query that uses one of them extracts all of these."""
LISTS = 10
"""Lists of such properties at most, because each keeps a parsed vector of the JSON in memory."""
_UTC = "event_time_utc"
_EMPTY = "(empty)"
"""The column of a property whose name is empty, which DuckDB allows no column."""


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """What a view shall be; see `Store.create_view`. `of` checks a caller's arguments."""

    view: str
    table: str
    properties: Sequence[str] | Mapping[str, str] | None
    """Names; or names with a DuckDB type each; or `None` for all."""
    event: str | None
    timezone: str | None

    @classmethod
    def of(
        cls, view: str, table: str, properties: object = None, event: str | None = None, timezone: str | None = None
    ) -> ViewRequest:
        """Raise ValueError for an argument that is out of its range; it names the argument."""
        check_table_name(table, "table")
        if check_table_name(view, "view").lower() == table.lower():
            raise ValueError(f"view={view!r} is the table's own name: choose another.")
        if timezone is not None and not is_text(timezone):
            raise ValueError(f"timezone must be a name such as 'US/Pacific', or None, not {timezone!r}.")
        return cls(view, table, _checked(properties), check_event(event), timezone)


@dataclass(frozen=True, slots=True)
class PlannedView:
    """A view that can be created."""

    info: ViewInfo
    table: str
    select: str
    """Its query."""


def plan_view(cursor: duckdb.DuckDBPyConnection, schema: Schema, *, request: ViewRequest) -> PlannedView:
    """Look which columns the view has. Writes nothing. Within a transaction, as it reads the table twice.

    Raises:
        ValueError: DuckDB does not know a type or the time zone.
        TableExistsError: the name is taken by somebody else's.
        TableNotFoundError, StoreError: as `Source.of`; or there is no row to look at.
    """
    _check_free(cursor, schema, request.view)
    source = Source.of(cursor, schema, request.table, request.event)
    if request.timezone is not None:
        _check_zone(cursor, source, request)
    with translate_errors(f"Table {request.table!r}"):
        types = _column_types(cursor, source, request)
    own = [ViewColumn(name, *rest) for name, rest in _OWN[source.kind].items()]
    if request.timezone is not None:
        own.insert(2, ViewColumn(_UTC, None, "TIMESTAMP", f"event_time, read as {request.timezone}"))
    columns = list(_named(types, [column.name for column in own]))
    info = ViewInfo(request.view, (*own, *columns))
    return PlannedView(info, request.table, _select(schema, source, request, columns, types))


def create_view(cursor: duckdb.DuckDBPyConnection, schema: Schema, *, planned: PlannedView) -> ViewInfo:
    """Create the view, or replace ours, in one transaction.

    Raises:
        TableExistsError: the name is taken by somebody else's.
        StoreError: DuckDB does not create it.
    """
    name = schema.table(planned.info.name)
    with translate_errors(f"View {planned.info.name!r}"), transaction(cursor):
        _check_free(cursor, schema, planned.info.name)
        cursor.execute(f"CREATE OR REPLACE VIEW {name} AS {planned.select}")
        cursor.execute(f"COMMENT ON VIEW {name} IS {as_text(f'{COMMENT}typed columns of {planned.table}')}")
    return planned.info


def _checked(properties: object) -> Sequence[str] | Mapping[str, str] | None:
    if properties is None:
        return None
    types = list(properties.values()) if isinstance(properties, Mapping) else []
    names = sorted(properties) if isinstance(properties, (set, frozenset)) else properties
    if not isinstance(names, (list, tuple, Mapping)) or not names or not all(map(_is_name, names)):
        raise ValueError(
            'properties must be names such as ["$browser"], or names and types of DuckDB such as {"price": "DOUBLE"}, '
            "or None for all; a name has no lone surrogate."
        )
    if len(set(names)) < len(names):
        raise ValueError("properties has a name twice: leave one out.")
    for name, type_ in zip(names, types, strict=False):
        if not (isinstance(type_, str) and _is_like_type(type_)):
            raise _no_type(name, type_)
    return dict(names) if isinstance(names, Mapping) else tuple(names)


def _is_name(name: object) -> bool:
    return name == "" or is_text(name)


def _no_type(name: object, type_: object) -> ValueError:
    return ValueError(
        f"properties: {name!r} has the type {type_!r}, which DuckDB does not know: use BIGINT, for example."
    )


def _check_free(cursor: duckdb.DuckDBPyConnection, schema: Schema, view: str) -> None:
    """Check that there is nothing of that name, or a view of ours."""
    if not table_exists(cursor, schema, view):
        return
    if not (is_ours := is_our_view(cursor, schema, view)):
        raise TableExistsError(
            f"There is a {'table' if is_ours is None else 'view'} {view!r} already that create_view did not make: "
            "choose another name, or drop it first."
        )


def is_our_view(cursor: duckdb.DuckDBPyConnection, schema: Schema, view: str) -> bool | None:
    """Whether `create_view` made a view; `None` if there is no view of that name."""
    query = (
        "SELECT coalesce(starts_with(comment, ?), false) FROM duckdb_views() "
        "WHERE database_name = ? AND schema_name = ? AND lower(view_name) = lower(?)"
    )
    found = cursor.execute(query, [COMMENT, *schema, view]).fetchall()
    return bool(found[0][0]) if found else None


def _check_zone(cursor: duckdb.DuckDBPyConnection, source: Source, request: ViewRequest) -> None:
    if source.kind != "events":
        raise StoreError(
            f"Table {request.table!r} holds profiles: Mixpanel does not say which zone their times are in."
        )
    known = cursor.execute("SELECT 1 FROM pg_timezone_names() WHERE name = ?", [request.timezone]).fetchall()
    if not known:
        raise ValueError(
            f"timezone={request.timezone!r} is not a time zone that DuckDB knows: use a name such as 'US/Pacific' or "
            "'Europe/Berlin'; `await client.project()` has the project's."
        )


def _column_types(cursor: duckdb.DuckDBPyConnection, source: Source, request: ViewRequest) -> dict[str, ColumnType]:
    """Return the type of each property that gets a column, in the order of the columns."""
    names = request.properties
    if isinstance(names, Mapping):
        return {name: chosen(_canonical(name, type_)) for name, type_ in names.items()}
    own = {name for name, _ in _OWN[source.kind].values()} - {"$last_seen"}
    types: defaultdict[str, set[PropertyType]] = defaultdict(set)
    for each in find_types(cursor, source, names=names):
        types[each.name].update(() if each.type is None else (each.type,))
    if not types and (names is None or not count_rows(cursor, source)):
        of = "" if request.event is None else f" of event {request.event!r}"
        raise StoreError(
            f"Table {request.table!r} has no rows{of} that could tell the types: check the name, or pass "
            'properties={"name": "TYPE"}.'
        )
    columns = sorted(types.keys() - own) if names is None else names
    return {name: infer(types[name]) for name in columns}


def _canonical(name: str, type_: str) -> str:
    """Return a type as DuckDB names it. Raises ValueError if there is no such type."""
    try:
        with duckdb.connect(":memory:") as apart:  # in a transaction, an error would end that
            ((_, found, *_),) = apart.execute(f"DESCRIBE SELECT NULL::{type_} AS it").fetchall()
    except duckdb.Error:
        raise _no_type(name, type_) from None
    return str(found)


def _is_like_type(text: str) -> bool:
    """Whether it can be a type and nothing else of SQL: letters, digits and brackets that match."""
    depth = 0
    for each in re.sub(r"[^()]", "", text):
        depth += 1 if each == "(" else -1
        if depth < 0:
            return False
    return depth == 0 and re.fullmatch(r"[A-Za-z][\w ,()\[\]]*", text, re.ASCII) is not None


def _named(types: Mapping[str, ColumnType], taken: Iterable[str]) -> Iterator[ViewColumn]:
    """Yield the column of each property. A name that another column has, but for its case, gets a number."""
    used = {name.lower() for name in taken}
    for name, column in types.items():
        wanted = name.replace("\0", "\N{SYMBOL FOR NULL}") or _EMPTY
        free, notes = wanted, [column.note] if column.note else []
        number = 1
        while free.lower() in used:
            number += 1
            free = f"{wanted}_{number}"
        if free != name:
            notes.append("renamed: another column has its name" if number > 1 else "renamed")
        used.add(free.lower())
        yield ViewColumn(free, name, column.type, "; ".join(notes))


def _select(
    schema: Schema, source: Source, request: ViewRequest, columns: Sequence[ViewColumn], types: Mapping[str, ColumnType]
) -> str:
    """Properties are extracted in a query within, many together: one by one, DuckDB would parse the JSON for each of
    them. A client that uses a few columns extracts only the lists that these are in.
    """
    own = list(_OWN[source.kind])
    outer, inner = list(own), list(own)
    if request.timezone is not None:
        outer.insert(2, f"event_time AT TIME ZONE {as_text(request.timezone)} AT TIME ZONE 'UTC' AS {_UTC}")
    together = max(TOGETHER, math.ceil(len(columns) / LISTS))
    for first in range(0, len(columns), together):
        some = [(column, column.property or "") for column in columns[first : first + together]]
        values = f"json_{first}"
        inner.append(f"json_extract(properties, [{', '.join(pointer(name) for _, name in some)}]) AS {values}")
        outer += (
            f"{value(types[name], f'{values}[{place}]', name)} AS {quoted(column.name)}"
            for place, (column, name) in enumerate(some, 1)
        )
    where = "" if request.event is None else f" WHERE event_name = {as_text(request.event)}"
    table = f"{quoted(schema.name)}.{quoted(request.table)}"
    return f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM {table}{where})"
