"""Names and shapes of the tables.

A fetched table of events holds one selection (`events`, `where`, `limit`) over a set of dates, one of profiles all
that its selection gave at one time. Beside the fetched tables stand ours, whose names begin `_mixpanel_`; they are
stable enough to query:

`_mixpanel_selections`  a row a table: what it holds.
`_mixpanel_chunks`      a row a committed chunk, disjoint within a table: its dates, what is in the table for them.
`_mixpanel_strays`      a row a stray: an event whose time lies outside the dates that Mixpanel gave it for.
`_mixpanel_rejected`    lines that are no event, word for word, as BLOB.
`_mixpanel_pages`       a row a page of profiles that is kept for a download which was broken off;
`_mixpanel_profiles_*`  holds its profiles, a table for each that is fetched into.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    import duckdb

NAME_MAX = 63
OURS = "_mixpanel_"

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

_COLUMNS = {
    "events": ["event_name", "event_time", "distinct_id", "insert_id", "properties"],
    "profiles": ["distinct_id", "last_seen", "properties"],
}

# The primary keys are what makes two writers of one chunk collide: DuckDB sees no conflict between an append
# and a delete that did not see it.
_JOURNAL = (
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_selections (
        table_name VARCHAR PRIMARY KEY,
        type VARCHAR NOT NULL,
        selection JSON NOT NULL,
        created_at TIMESTAMPTZ NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_chunks (
        table_name VARCHAR NOT NULL,
        from_date DATE NOT NULL,
        to_date DATE NOT NULL,
        final BOOLEAN NOT NULL,
        rows BIGINT NOT NULL,
        duplicates BIGINT NOT NULL,
        rejected BIGINT NOT NULL,
        bytes BIGINT NOT NULL,
        retries INTEGER NOT NULL,
        fetched_at TIMESTAMPTZ NOT NULL,
        PRIMARY KEY (table_name, from_date)
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_strays (
        table_name VARCHAR NOT NULL,
        day DATE NOT NULL,
        event_time TIMESTAMP NOT NULL,
        digest VARCHAR NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_rejected (
        table_name VARCHAR NOT NULL,
        from_date DATE NOT NULL,
        to_date DATE NOT NULL,
        line_number BIGINT NOT NULL,
        reason VARCHAR NOT NULL,
        line BLOB NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS {schema}._mixpanel_pages (
        table_name VARCHAR NOT NULL,
        part INTEGER NOT NULL,
        page INTEGER NOT NULL,
        rows BIGINT NOT NULL,
        session_id VARCHAR,
        total BIGINT,
        page_size BIGINT NOT NULL,
        fetched_at TIMESTAMPTZ NOT NULL,
        PRIMARY KEY (table_name, part, page)
    )""",
)


def check_table_name(name: str) -> str:
    """Hold the rule for a fetched table's name.

    Raises:
        ValueError: says the rule.
    """
    if not isinstance(name, str) or not re.fullmatch(rf"[A-Za-z_][A-Za-z0-9_]{{0,{NAME_MAX - 1}}}", name, re.ASCII):
        raise ValueError(
            f"{name!r} is no table name: use letters, digits and underscores, at most {NAME_MAX}, no digit first."
        )
    if name.lower().startswith(OURS):
        raise ValueError(f"Table names that begin {OURS!r} are the library's own: choose another.")
    return name


def quoted(name: str) -> str:
    """A name as an SQL identifier, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


class Schema(NamedTuple):
    """Where tables stand: a catalog (an attached database) and a schema in it."""

    catalog: str
    name: str

    def table(self, name: str) -> str:
        """A table's whole name, quoted."""
        return ".".join(map(quoted, (*self, name)))

    def __str__(self) -> str:
        return ".".join(map(quoted, self))


def create_journal(cursor: duckdb.DuckDBPyConnection, schema: Schema) -> None:
    """Make our own tables where they are not there yet."""
    for statement in _JOURNAL:
        cursor.execute(statement.format(schema=schema))


def table_exists(cursor: duckdb.DuckDBPyConnection, schema: Schema, name: str) -> bool:
    """Whether there is a table or view of that name; DuckDB does not tell upper from lower case in names."""
    found = cursor.execute(
        "SELECT 1 FROM information_schema.tables "
        "WHERE table_catalog = ? AND table_schema = ? AND lower(table_name) = lower(?)",
        [*schema, name],
    )
    return found.fetchone() is not None


def check_columns(cursor: duckdb.DuckDBPyConnection, table: str, kind: Literal["events", "profiles"]) -> None:
    """Refuse a table that is not of the shape that events, or profiles, are stored in.

    Raises:
        StoreError: names the columns that it must have.
    """
    has = [row[0] for row in cursor.execute(f"DESCRIBE {table}").fetchall()]
    if has != (must := _COLUMNS[kind]):
        raise StoreError(f"Table {table} has the columns {has}, and {kind} need {must}: choose another name.")
