"""Errors of DuckDB and of the system, turned into errors that say what to do."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async.errors import ConfigurationError, DatabaseLockedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def first_line(error: BaseException) -> str:
    """Return the first line of an error of DuckDB or the system, and what to do where that is known."""
    message = str(error)
    hint = ": No space left on the disk. Free some space and call again." if "No space left" in message else ""
    return message.partition("\n")[0][:300] + hint


@contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Turn an error of DuckDB into a StoreError that begins with `what`."""
    try:
        yield
    except duckdb.Error as error:
        raise StoreError(f"{what}: {first_line(error)}") from None


@contextmanager
def translate_open_errors(path: Path | None) -> Iterator[None]:
    """Turn the ways in which a file cannot be opened into errors that say what to do."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        message = str(error)
        if "Could not set lock" in message:
            holder = re.search(r"Conflicting lock is held in (.*?\(PID [0-9]+\))", message)
            who = holder[1] if holder else "another process"
            raise DatabaseLockedError(f"{path} is held by {who}: close it there first.", holder=who) from None
        if "different configuration" in message:
            raise DatabaseLockedError(
                f"{path} is open in this process (PID {os.getpid()}) with read_only or config: close that connection "
                "(a notebook also keeps one that a cell has shown: `%reset -f out`), or open it without them. Then it "
                "can stay open.",
                holder="this process",
            ) from None
        if "already attached" in message:
            raise DatabaseLockedError(
                f"{path} is attached to another connection of this process (PID {os.getpid()}): DETACH it there, or "
                "open it with duckdb.connect instead. Then it can stay open.",
                holder="this process",
            ) from None
        if "Connection already closed" in message:
            raise ConfigurationError(
                "The connection passed as database= is closed: keep it open for as long as it is used here."
            ) from None
        if "not a valid DuckDB database" in message or "Could not read enough bytes" in message:
            raise StoreError(f"{path} is not a DuckDB database: choose another path, or move that file away.") from None
        raise StoreError(f"{path or 'The database'} cannot be opened: {first_line(error)}") from error
