"""Writes to a database: a file or a caller's connection, opened for one writing, or a client's open database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

import duckdb

from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.reading import check_exists
from mixpanel_async.duck.schema import Schema

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

Write = Callable[[duckdb.DuckDBPyConnection, Schema], T]
"""What a writing does, with a cursor that is in no transaction and the schema that the tables are in."""


def write_opened(database: Database, write: Write[T]) -> T:
    """Write to a database that is open."""
    with closing(database.cursor()) as cursor:
        return write(cursor, database.schema)


def open_and_write(target: Path | duckdb.DuckDBPyConnection, write: Write[T]) -> T:
    """Open a file, or a caller's connection, write, and close what was opened. Our tables are created or migrated.

    Raises:
        DatabaseLockedError, StoreError: it cannot be opened, or there is no such file; and what the function raises.
    """
    database = Database(target)
    if database.path is not None:
        check_exists(database.path)
    try:
        database.acquire()
        return write_opened(database, write)
    finally:
        database.close()
