"""Connections of ours, and which database files this process has open: to write, or to read.

DuckDB tells files apart by their paths, and the system's locks keep out other processes only: under a second name (a
hard link) one file could be written by two connections. And whenever a process closes a file, it loses all its locks
on it, those of its other connections included (POSIX). So a second connection is not even tried while one writes.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async.errors import DatabaseLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection

Settings = dict[str, str | bool | int | float | list[str]]
"""DuckDB's, of a new instance."""

_WRITTEN: set[tuple[int, int]] = set()
"""Device and inode of each file that is open to write."""
_READ: Counter[tuple[int, int]] = Counter()
"""How many have a file open to read."""
_LOCK = threading.Lock()


def connect(target: str | Path, *, read_only: bool = False, config: Settings | None = None) -> DuckDBPyConnection:
    """Connect to a database, with no progress bar: in a notebook, and in a program without a file, DuckDB would print
    one for each statement that takes two seconds. Cursors have none.
    """
    connection = duckdb.connect(str(target), read_only, config or {})
    with suppress(duckdb.InvalidInputException):  # in a notebook without ipywidgets, which has no bar, it is an error
        connection.execute("SET enable_progress_bar = false")
    return connection


@contextmanager
def opened_to_write(path: Path) -> Iterator[None]:
    """Note that the file is open to write. Raises DatabaseLockedError if it is open here, under any of its names."""
    file = _identity(path)
    with _LOCK:
        if file in _WRITTEN:
            raise _open_here(
                path, "under this name or another: use one client for both, or open a connection and pass it as"
                " `database`",
            )  # fmt: skip
        if _READ[file]:
            raise _open_here(path, "where a Store reads it: it is free when that is done")
        _WRITTEN.add(file)
    try:
        yield
    finally:
        with _LOCK:
            _WRITTEN.discard(file)


@contextmanager
def opened_to_read(path: Path) -> Iterator[None]:
    """Note that the file is open to read. Raises DatabaseLockedError if it is open here to write."""
    file = _identity(path)
    with _LOCK:
        if file in _WRITTEN:
            raise _open_here(path, "where a client writes to it: use its `client.store`, which need not wait")
        _READ[file] += 1
    try:
        yield
    finally:
        with _LOCK:
            _READ[file] -= 1


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _open_here(path: Path, where: str) -> DatabaseLockedError:
    return DatabaseLockedError(f"{path} is open in this process (PID {os.getpid()}), {where}.", holder="this process")
