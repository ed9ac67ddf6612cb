"""Files that are whole or absent: each is written under a temporary name in its own folder, and renamed when it is
complete and on the disk.

The temporary names begin and end so that no reader of `*.parquet`, `*.csv` or `*.jsonl` takes them for data.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async.duck.files import LEFT_BEHIND
from mixpanel_async.errors import StoreError
from mixpanel_async.selections import is_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixpanel_async.meter import ExportMeter

_PREFIX = ".mixpanel-async-exporting-"
_OURS = re.compile(rf"{re.escape(_PREFIX)}[0-9a-f]{{16}}\.tmp")


def destination(path: str | os.PathLike[str], *, is_folder: bool) -> Path:
    """Return the path to write to, `~` and symbolic links resolved. Writes nothing.

    Raises:
        ValueError: it is not a path.
        StoreError: a file is there where a folder is expected, or the other way round.
    """
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else path
    if not is_text(text) or not text or "\0" in text:
        raise ValueError(f"path must be the path of a {'folder' if is_folder else 'file'}, not {path!r}.")
    resolved = Path(os.path.realpath(os.path.expanduser(text)))  # noqa: PTH111 - Path.expanduser raises without a home
    if is_folder and os.path.lexists(resolved) and not resolved.is_dir():
        raise StoreError(f"{resolved} is a file: pass a folder for the partitions, or partition_by=None for one file.")
    if not is_folder and resolved.is_dir():
        raise StoreError(f"{resolved} is a folder: pass the path of a file in it.")
    return resolved


@contextmanager
def write_whole(target: Path, meter: ExportMeter | None = None) -> Iterator[Path]:
    """Yield a temporary path to write to; then put that file in the place of `target`, all at once. `meter` counts its
    bytes.

    The folder is made if it is missing, its parents included. If the block raises, the temporary file is removed.

    Raises:
        StoreError: the file cannot be written; the message names it. What was there is as before.
        duckdb.OutOfMemoryException: of the block.
    """
    with _temporary_beside(target) as temporary:
        if meter is not None:
            meter.began(temporary)
        yield temporary
        sync(temporary)
        temporary.replace(target)
    if meter is not None:
        meter.ended(target)


def create_whole(target: Path, data: bytes) -> bool:
    """Write a file if none of that name is there; return whether it was written. Of several callers one writes it.

    Raises:
        StoreError: as `write_whole`.
    """
    with _temporary_beside(target) as temporary:
        temporary.write_bytes(data)
        sync(temporary)
        try:
            os.link(temporary, target)
        except FileExistsError:
            return False
    return True


@contextmanager
def _temporary_beside(target: Path) -> Iterator[Path]:
    temporary = target.with_name(f"{_PREFIX}{secrets.token_hex(8)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(target.parent)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
        sync(target.parent)
    except duckdb.OutOfMemoryException:
        raise
    except (OSError, duckdb.Error) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0][:300]
        if "No space left" in reason:
            reason = "No space left on the disk: free some and call again"
        raise StoreError(f"{target} cannot be written: {reason}.") from None


def _remove_left_behind(folder: Path) -> None:
    """Remove the temporary files that an export left which was killed: those with our names that nobody has written
    to for `LEFT_BEHIND` seconds.
    """
    for each in folder.iterdir():
        with suppress(OSError):
            if not _OURS.fullmatch(each.name) or each.is_symlink() or not each.is_file():
                continue
            if time.time() - each.stat().st_mtime > LEFT_BEHIND:
                each.unlink()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
