"""Copies a database file without the space that deleted rows left, and puts the copy in the place of the file.

The copy is made in a directory beside the file. Both files are open to write, and so locked, until the copy has the
name of the database: whoever opens that name before gets the old file's lock, and afterwards the new one's. So nobody
writes to a file that is about to go.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async.duck import row_groups
from mixpanel_async.duck.checkpoints import checkpoint, log_of, size_of, undo_checkpoint
from mixpanel_async.duck.connection import MEMORY_LIMIT, SETTINGS
from mixpanel_async.duck.files import STORAGE_VERSION, as_literal, compacting_directory
from mixpanel_async.duck.listing import list_catalog
from mixpanel_async.duck.reading import check_exists
from mixpanel_async.duck.schema import Schema
from mixpanel_async.duck.sharing import connect, opened_to_write
from mixpanel_async.duck.translation import first_line, translate_errors, translate_open_errors
from mixpanel_async.duck.versions import has_our_tables
from mixpanel_async.duck.whole_files import sync
from mixpanel_async.errors import DatabaseLockedError, StoreError
from mixpanel_async.written import CompactResult

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

OLD, NEW = "mixpanel_old", "mixpanel_new"
STAY_LOCKED = 0.05
"""Seconds for which both files stay locked after the swap: for a program that had opened the old one just before, and
then finds it locked.
"""


class Compaction:
    """One compaction of a file. `run` blocks, so it runs in a thread; another thread may call `interrupt` meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))
        self._instance: duckdb.DuckDBPyConnection | None = None

    def run(self) -> CompactResult:
        """Replace the file by its copy.

        Raises:
            DatabaseLockedError: somebody else has it open.
            StoreError: it cannot be read or written, the copy would not have all that is in it, or it was not made by
                this library. It is as before.
        """
        check_exists(self._path)
        try:
            return self._compact(MEMORY_LIMIT)
        except duckdb.OutOfMemoryException:  # a row group of long rows
            with translate_errors(f"{self._path} cannot be compacted"):
                return self._compact(None)

    def interrupt(self) -> None:
        """End the statement that runs; do nothing if none does, or if the new file is in its place already."""
        if (instance := self._instance) is not None:
            with suppress(duckdb.Error):  # it may be closed meanwhile
                instance.interrupt()

    def _compact(self, memory_limit: str | None) -> CompactResult:
        with ExitStack() as opened:
            opened.enter_context(opened_to_write(self._path))
            instance = opened.enter_context(closing(connect(":memory:", config=SETTINGS)))
            opened.callback(setattr, self, "_instance", None)
            instance.execute(f"SET temp_directory = {as_literal(f'{self._path}.tmp')}")
            if memory_limit is not None:
                instance.execute(f"SET memory_limit = '{memory_limit}'")
            self._instance = instance
            self._attach_old(instance)
            before = self._path.stat().st_size
            folder = opened.enter_context(self._folder())
            try:
                new = self._write(instance, folder, opened)
                self._instance = None  # no interrupt from here on
                new.replace(self._path)
            except duckdb.OutOfMemoryException:
                raise
            except (duckdb.Error, OSError) as error:
                raise StoreError(f"{self._path} cannot be compacted: {_reason(error)} It is as before.") from None
            self._let_go(instance)
            return CompactResult(before, self._path.stat().st_size)

    def _attach_old(self, instance: duckdb.DuckDBPyConnection) -> None:
        try:
            undo_checkpoint(self._path)
            with translate_open_errors(self._path):
                instance.execute(f"ATTACH {as_literal(str(self._path))} AS {OLD} (TYPE duckdb)")
        except DatabaseLockedError as locked:
            if locked.holder != "this process":
                raise
            raise DatabaseLockedError(
                f"{self._path} is open in this process (PID {os.getpid()}): close that connection, because its file "
                "is replaced.", holder="this process",
            ) from None  # fmt: skip
        if not has_our_tables(instance, Schema(OLD, "main")):
            raise StoreError(f"{self._path} has no tables of this library: copy it with DuckDB's COPY FROM DATABASE.")
        with translate_open_errors(self._path):
            checkpoint(instance, OLD, self._path)

    def _folder(self) -> TemporaryDirectory[str]:
        try:
            return compacting_directory(self._path)
        except OSError as error:
            raise StoreError(
                f"{self._path.parent} cannot be written ({error.strerror}), and the copy is made there."
            ) from None

    def _write(self, instance: duckdb.DuckDBPyConnection, folder: str, opened: ExitStack) -> Path:
        """Write the copy, and compare it with the file."""
        new = Path(folder) / self._path.name
        query = f"SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = '{OLD}'"
        ((version,),) = instance.execute(query).fetchall()
        version = (version or STORAGE_VERSION).rstrip("+")
        options = f"TYPE duckdb, STORAGE_VERSION '{version}', ROW_GROUP_SIZE {row_groups.USUAL}"
        instance.execute(f"ATTACH {as_literal(str(new))} AS {NEW} ({options})")
        opened.enter_context(opened_to_write(new))
        instance.execute(f"COPY FROM DATABASE {OLD} TO {NEW}")
        instance.execute(f"CHECKPOINT {NEW}")  # writes it to the disk
        if size_of(log_of(new)) or size_of(log_of(self._path)):
            raise StoreError(f"{self._path} cannot be compacted: DuckDB leaves a write-ahead log. It is as before.")
        old, copied = list_catalog(instance, OLD), list_catalog(instance, NEW)
        if different := (old - copied) + (copied - old):
            names = sorted({f"{name} ({kind})" for kind, name, _ in different})
            raise StoreError(
                f"{self._path} cannot be compacted: a copy would not have {', '.join(names[:10])} as it is. It is as "
                "before."
            )
        shutil.copymode(self._path, new)
        status = self._path.stat()
        with suppress(OSError):
            os.chown(new, status.st_uid, status.st_gid)
        return new

    def _let_go(self, instance: duckdb.DuckDBPyConnection) -> None:
        """After the swap. Errors change nothing any more: should the new name get lost, the old file is whole, too."""
        with suppress(OSError):
            sync(self._path.parent)
        time.sleep(STAY_LOCKED)
        for catalog in (OLD, NEW):  # the new one last: nobody can open its name before
            with suppress(duckdb.Error):  # closing the instance lets go of it, too
                instance.execute(f"DETACH {catalog}")


def _reason(error: BaseException) -> str:
    return f"{getattr(error, 'strerror', None) or first_line(error)}."
