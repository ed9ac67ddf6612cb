"""Properties of a table's rows: which names there are, and which types their values have.

One query reads all of them: with one expression for each property, rows of 2,000 properties take seven times as long.
A view addresses a property by a JSON pointer (RFC 6901), which can hold any name: a JSONPath cannot hold an empty one.
Of several properties with one name, the first counts, as a pointer finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from mixpanel_async.duck.coverage import table_kind
from mixpanel_async.duck.files import as_literal
from mixpanel_async.duck.schema import check_columns
from mixpanel_async.errors import StoreError
from mixpanel_async.selections import is_text

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    import duckdb

    from mixpanel_async.description import PropertyType
    from mixpanel_async.duck.schema import Schema

EXAMPLE = 200
"""Characters of an example at most."""
BLOCK = 2048
"""Rows in a block of a sample. DuckDB reads these together, and skips those that are not sampled."""
BLOCKS = 50
"""Blocks that a sample has at least."""

_DATE = "[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
_DATETIME = f"{_DATE}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{{1,6}})?"
ISO = {"date": f'"({_DATE})"', "datetime": f'"({_DATETIME})"', "datetime UTC": f'"({_DATETIME})Z"'}
"""For each type, the JSON text of its values, as a regular expression. That the day exists is checked by a cast."""

_TYPE = f"""
    CASE
    WHEN value < '#' THEN CASE
        WHEN value NOT LIKE '"____-__-__%' THEN 'string'
        WHEN TRY_CAST(substr(value, 2, 10) AS DATE) IS NULL THEN 'string'
        WHEN regexp_full_match(value, '{ISO["date"]}') THEN 'date'
        WHEN regexp_full_match(value, '{ISO["datetime"]}') THEN 'datetime'
        WHEN regexp_full_match(value, '{ISO["datetime UTC"]}') THEN 'datetime UTC'
        ELSE 'string'
    END
    WHEN value < ':' THEN CASE
        WHEN contains(value, 'e') OR contains(value, 'E') OR strlen(value) > 300 THEN CASE
            WHEN regexp_full_match(value, '-?[0-9]+') THEN 'big integer'
            WHEN isinf(TRY_CAST(value AS DOUBLE)) THEN 'huge number'
            ELSE 'number'
        END
        WHEN contains(value, '.') THEN 'number'
        WHEN strlen(value) <= if(starts_with(value, '-'), 16, 15) THEN 'integer'
        WHEN TRY_CAST(value AS BIGINT) IS NOT NULL THEN 'long integer'
        ELSE 'big integer'
    END
    WHEN value = 'true' OR value = 'false' THEN 'boolean'
    WHEN starts_with(value, '{{') THEN 'object'
    WHEN starts_with(value, '[') THEN 'array'
    END
"""
"""The `PropertyType` of a value's JSON text; NULL for a null. The first byte tells most of it: with `json_type`, all of
a query takes twice as long.
"""

_SEEN = """
    WITH read AS (
        SELECT {groups}{time}::DATE AS day, json_keys(properties) AS names, json_extract(properties, '$.*') AS found
        FROM {source}
    ),
    each AS (
        SELECT * EXCLUDE (names, found), unnest(names) AS name, unnest(found)::VARCHAR AS value,
            unnest({again}) AS is_again
        FROM read
    ),
    typed AS (
        SELECT *, {type} AS type FROM each WHERE is_again IS NOT TRUE AND {which}
    )
    SELECT {columns} FROM typed GROUP BY ALL
"""
"""Each row's properties, one below the other. A list that is NULL is filled up with NULL."""

_AGAIN = """
    CASE WHEN list_unique(names) < len(names)
    THEN list_transform(range(1, len(names) + 1), lambda place: list_position(names, names[place]) < place) END
"""
"""For each name of a row, whether it comes again."""

_ANY_AGAIN = """
    SELECT bool_or(list_unique(names) < len(names)) FROM (
        SELECT any_value(json_keys(properties)) AS names FROM {source} GROUP BY hash(json_keys(properties))
    )
"""
"""Whether a name comes again in any row: few rows have other names than all before, so this is faster than `_AGAIN`."""

_VALUES = (
    "least(approx_count_distinct(value), count(*))",
    f"left(min(value), {EXAMPLE})",
    "min(day)::VARCHAR",
    "max(day)::VARCHAR",
)


class SeenType(NamedTuple):
    """One type of one property, in one group of the rows."""

    name: str
    type: PropertyType | None
    """`None` for a null."""
    rows: int
    group: tuple[object, ...]


class SeenValues(NamedTuple):
    """One type of one property, and what its values are."""

    name: str
    type: PropertyType
    rows: int
    distinct: int
    example: str
    first_day: str | None
    last_day: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """The rows whose properties are looked at."""

    kind: Literal["events", "profiles"]
    table: str
    """Its qualified name, quoted."""
    event: str | None = None
    sampled: float = 1.0
    """Which part of the rows is read."""
    block: int = BLOCK
    """Rows that are sampled together."""

    @classmethod
    def of(cls, cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str, event: str | None = None) -> Source:
        """Check the table.

        Raises:
            TableNotFoundError: there is no such table.
            StoreError: it holds neither events nor profiles, or its columns were changed; or `event` is not `None`, and
                it holds profiles.
        """
        found = table_kind(cursor, schema, name)
        if found not in {"events", "profiles"}:
            raise StoreError(f"Table {name!r} holds {found}, which have no properties.")
        kind: Literal["events", "profiles"] = "events" if found == "events" else "profiles"
        check_columns(cursor, schema.table(name), kind)
        if kind == "profiles" and event is not None:
            raise StoreError(f"Table {name!r} holds profiles, not events: leave event={event!r} out.")
        return cls(kind, schema.table(name), event)

    @property
    def time(self) -> str:
        """The column that tells the day of a row."""
        return "event_time" if self.kind == "events" else "last_seen"

    def __str__(self) -> str:
        """Return it as what follows FROM. A sample is the same at each call: its blocks are chosen by a hash."""
        conditions = []
        if self.event is not None:
            conditions.append(f"event_name = {as_text(self.event)}")
        if self.sampled < 1:
            conditions.append(f"hash(rowid // {self.block}) % 1000000000 < {int(self.sampled * 1e9)}")
        return f"{self.table} WHERE {' AND '.join(conditions)}" if conditions else self.table


def check_event(event: str | None) -> str | None:
    """Check the name of an event. Raises ValueError, which says the rule."""
    if event is not None and not is_text(event):
        raise ValueError(f"event must be the name of an event, not {event!r}, or None for all.")
    return event


def as_text(value: str) -> str:
    """Return a text as an SQL literal. DuckDB 1.5 ends a statement at the first NUL."""
    return " || chr(0) || ".join(map(as_literal, value.split("\0")))


def pointer(name: str) -> str:
    """Return the JSON pointer to a property, as an SQL literal."""
    return as_text("/" + name.replace("~", "~0").replace("/", "~1"))


def count_rows(cursor: duckdb.DuckDBPyConnection, source: Source) -> int:
    """Return how many rows there are."""
    ((rows,),) = cursor.execute(f"SELECT count(*) FROM {source}").fetchall()
    return int(rows)


def find_types(
    cursor: duckdb.DuckDBPyConnection,
    source: Source,
    group: Sequence[str] = (),
    *,
    names: Sequence[str] | None = None,
    since: dt.date | None = None,
) -> Iterator[SeenType]:
    """Find all properties, or those of these names, and which types their values have.

    `group` are SQL expressions: the rows are counted for each of their values. `since` is a date for `$since` in them.
    """
    groups = [f"group{place}" for place in range(len(group))]
    selected = "".join(f"{each} AS {name}, " for each, name in zip(group, groups, strict=True))
    which = "true" if names is None else f"list_contains([{', '.join(map(as_text, names))}]::VARCHAR[], name)"
    query = _query(cursor, source, groups, selected, which)
    for name, type_, rows, *rest in cursor.execute(query, {} if since is None else {"since": since}).fetchall():
        yield SeenType(name, type_, rows, tuple(rest))


def find_values(cursor: duckdb.DuckDBPyConnection, source: Source) -> Iterator[SeenValues]:
    """Find all properties that are not null everywhere, which types their values have, and what these values are."""
    for row in cursor.execute(_query(cursor, source, _VALUES)).fetchall():
        if row[1] is not None:
            yield SeenValues(*row)


def _query(
    cursor: duckdb.DuckDBPyConnection, source: Source, more: Sequence[str], selected: str = "", which: str = "true"
) -> str:
    """Return a query for name, type, rows and `more` of each type of each property."""
    ((any_again,),) = cursor.execute(_ANY_AGAIN.format(source=source)).fetchall()
    return _SEEN.format(
        groups=selected,
        time=source.time,
        source=source,
        again=_AGAIN if any_again else "[]",
        type=_TYPE,
        which=which,
        columns=", ".join(("name", "type", "count(*)", *more)),
    )
