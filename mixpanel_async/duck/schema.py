"""Names and columns of the tables.

A fetched table of events holds one selection (`events`, `where`, `limit`) over a set of dates; one of profiles holds
all that its selection contained at one time. Beside the fetched tables stand the library's own, which `versions`
describes.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    import duckdb

NAME_MAX = 63
OWN_PREFIX = "_mixpanel_"

EVENTS_COLUMNS = """(
    event_name VARCHAR NOT NULL,
    event_time TIMESTAMP NOT NULL,
    distinct_id VARCHAR,
    insert_id VARCHAR,
    properties JSON NOT NULL USING COMPRESSION zstd
)"""

PROFILES_COLUMNS = """(
    distinct_id VARCHAR NOT NULL,
    last_seen TIMESTAMP,
    properties JSON NOT NULL USING COMPRESSION zstd
)"""

UTC_NOW = "make_timestamp(epoch_us(now()))"
"""In SQL: the time, as our tables have times: `TIMESTAMP`, in UTC, whatever time zone a connection has."""

_COLUMNS = {
    "events": ["event_name", "event_time", "distinct_id", "insert_id", "properties"],
    "profiles": ["distinct_id", "last_seen", "properties"],
}

EVENT_NAMES = ", ".join(_COLUMNS["events"])
"""In SQL: the names of an events table's columns, for `INSERT` and `SELECT`."""


def check_table_name(name: str, argument: str = "name") -> str:
    """Check the name of a table to fetch into.

    Raises:
        ValueError: names the argument, and says which names are allowed.
    """
    if not isinstance(name, str) or not re.fullmatch(rf"[A-Za-z_][A-Za-z0-9_]{{0,{NAME_MAX - 1}}}", name, re.ASCII):
        raise ValueError(
            f"{argument}={name!r} cannot be a table's name: use letters, digits and underscores, at most {NAME_MAX}, "
            "no digit first."
        )
    if name.lower().startswith(OWN_PREFIX):
        raise ValueError(f"{argument}={name!r}: names that begin {OWN_PREFIX!r} are the library's own: choose another.")
    return name


def quoted(name: str) -> str:
    """Return a name as an SQL identifier, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def stored_time(time: dt.datetime) -> dt.datetime:
    """Return an aware time as our tables have it. DuckDB itself would convert it to the connection's time zone."""
    return time.astimezone(dt.UTC).replace(tzinfo=None)


def as_utc(stored: dt.datetime) -> dt.datetime:
    """Return a time of our tables as an aware one."""
    return stored.replace(tzinfo=dt.UTC) if stored.tzinfo is None else stored.astimezone(dt.UTC)


class Schema(NamedTuple):
    """Where tables are: a catalog (an attached database) and a schema in it."""

    catalog: str
    name: str

    def table(self, name: str) -> str:
        """Return a table's qualified name, quoted."""
        return ".".join(map(quoted, (*self, name)))

    def __str__(self) -> str:
        return ".".join(map(quoted, self))


def table_exists(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> bool:
    """Whether there is a table or view of that name; names in DuckDB are case-insensitive."""
    found = cursor.execute(
        "SELECT 1 FROM information_schema.tables "
        "WHERE table_catalog = ? AND table_schema = ? AND lower(table_name) = lower(?)",
        [*schema, name],
    )
    return bool(found.fetchall())


def has_rows(cursor: duckdb.DuckDBPyConnection, schema: Schema, ours: str, name: str) -> bool:
    """Whether `_mixpanel_<ours>` has rows of a table."""
    query = f"SELECT 1 FROM {schema}._mixpanel_{ours} WHERE table_name = lower(?) LIMIT 1"
    return bool(cursor.execute(query, [name]).fetchall())


def check_columns(cursor: duckdb.DuckDBPyConnection, table: str, kind: Literal["events", "profiles"]) -> None:
    """Check that a table has the columns of events, or of profiles.

    Raises:
        StoreError: names the columns that it must have.
    """
    has = [row[0] for row in cursor.execute(f"DESCRIBE {table}").fetchall()]
    if has != (must := _COLUMNS[kind]):
        raise StoreError(f"Table {table} has the columns {has}, and {kind} need {must}: choose another name.")
