"""Database files: created whole, and attached."""

from __future__ import annotations

import glob
import math
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mixpanel_async.duck.schema import quoted
from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    import duckdb

CATALOG = "mixpanel"
"""The name under which a file is attached."""

STORAGE_VERSION = "v1.5.0"
"""The format of new files: DuckDB 1.5 and all later releases open them. Without it, a file that DuckDB 2 creates
cannot be opened by last year's tools. A file that exists keeps its format.
"""

LEFT_BEHIND = 3600
"""Seconds after which no process can still be creating a file, which takes some milliseconds."""

ANNOUNCED = 1.0
"""Seconds for which the file that announces a wait counts, after it was touched."""

_CREATING = ".mixpanel-async-creating-"
"""In the name of the directory in which a file is created. Nobody else uses it."""
_COMPACTING = ".mixpanel-async-compacting-"
"""In the name of the directory in which a file is compacted."""


def attach_file(connection: duckdb.DuckDBPyConnection, path: Path, row_group: int) -> None:
    """Attach a file as `CATALOG`; it keeps its format. What is written has row groups of so many rows."""
    _attach(connection, path, f"ROW_GROUP_SIZE {row_group}")


def detach_file(connection: duckdb.DuckDBPyConnection) -> None:
    """Detach the file that is attached, checkpointed. No cursor may have a transaction open on it."""
    connection.execute(f"DETACH {quoted(CATALOG)}")


def create_file(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Create an empty database, under another name first: DuckDB never opens a half written one."""
    if not path.parent.is_dir():
        raise StoreError(f"There is no directory {path.parent}: make it, or choose another database path.")
    try:
        creating = tempfile.TemporaryDirectory(prefix=f".{path.name}{_CREATING}", dir=path.parent)
    except OSError as error:
        raise StoreError(
            f"{path.parent.absolute()} cannot be written ({error.strerror}): choose another database path."
        ) from None
    with creating as directory:
        made = Path(directory) / path.name
        _attach(connection, made, f"STORAGE_VERSION '{STORAGE_VERSION}'")
        detach_file(connection)
        try:
            os.link(made, path)  # unlike a rename, it never replaces a file that another process made meanwhile
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            made.rename(path)


def compacting_directory(path: Path) -> tempfile.TemporaryDirectory[str]:
    """Make a directory for a file that will replace this one. Whoever does so must have the file open to write, so
    that all other such directories are of processes that were killed: these are removed.

    Raises:
        OSError: it cannot be made.
    """
    _remove_directories(path, _COMPACTING, older_than=-math.inf)
    return tempfile.TemporaryDirectory(prefix=f".{path.name}{_COMPACTING}", dir=path.parent)


def remove_left_behind(path: Path) -> None:
    """Remove what a process left that was killed while it created the file, and nothing that may be another's."""
    with suppress(OSError):
        waiting = _waiting(path)
        if time.time() - waiting.stat().st_mtime > LEFT_BEHIND and not waiting.stat().st_size:
            waiting.unlink()
    _remove_directories(path, _CREATING, older_than=LEFT_BEHIND)


def _remove_directories(path: Path, prefix: str, *, older_than: float) -> None:
    """Remove directories with our own prefix that are older than so many seconds, and that hold at most a database and
    its write-ahead log. One that holds anything else stays.
    """
    for directory in path.parent.glob(f"{glob.escape(f'.{path.name}{prefix}')}????????"):
        with suppress(OSError):
            if directory.is_symlink() or time.time() - directory.stat().st_mtime <= older_than:
                continue
            ours = {directory / path.name, directory / f"{path.name}.wal"}
            if all(each in ours and each.is_file() and not each.is_symlink() for each in directory.iterdir()):
                for each in ours:
                    each.unlink(missing_ok=True)
                directory.rmdir()


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, option: str) -> None:
    connection.execute(f"ATTACH {as_literal(str(path))} AS {quoted(CATALOG)} (TYPE duckdb, {option})")


def announce_wait(path: Path) -> None:
    """Show other processes for a second that this one waits for the file; see `somebody_waits`."""
    with suppress(OSError):
        _waiting(path).touch()


def end_wait(path: Path) -> None:
    """Show it no longer. Another process that waits shows it again within milliseconds."""
    with suppress(OSError):
        _waiting(path).unlink(missing_ok=True)


def somebody_waits(path: Path) -> bool:
    """Whether another process of this library waits for the file."""
    try:
        return time.time() - _waiting(path).stat().st_mtime < ANNOUNCED
    except OSError:
        return False


def _waiting(path: Path) -> Path:
    return path.with_name(f".{path.name}.mixpanel-async-waiting")


def as_literal(value: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"
