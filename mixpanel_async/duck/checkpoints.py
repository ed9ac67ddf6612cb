"""Checkpoints: the write-ahead log is moved into the file, and a kill in the middle of that is undone.

DuckDB writes rows, and the headers that lead to them, to places that nothing refers to yet. But of the blocks that list
them (metadata) it fills the free parts, and writes such a block whole, in its place. If the process is killed in the
middle of that write, or the power fails, the block's checksum is wrong, and DuckDB (1.5 to 2.0) never opens the file
again. So these blocks are saved beside the file, in the undo file, before a checkpoint. Whoever opens the file next
puts them back, if the checkpoint did not come to its end: its end is a new header.

Only our own instance checkpoints in this way. A caller's connection does it as DuckDB does, and so does any program
that opens the file to write. Windows has no undo file.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mixpanel_async.duck.schema import quoted
from mixpanel_async.duck.whole_files import sync

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import duckdb

HEADERS = 3 * 4096
"""Bytes at the beginning of a file: a main header, and two of which each checkpoint writes one, in turns."""

_LOCK = threading.Lock()
"""Another thread must not open a file while blocks are put back."""

_BLOCKS = "SELECT block_id FROM pragma_metadata_info(?) WHERE free_blocks > 0 ORDER BY ALL"
_SIZE = "SELECT block_size FROM pragma_database_size() WHERE database_name = ?"


def checkpoint(connection: duckdb.DuckDBPyConnection, catalog: str, path: Path) -> None:
    """Move the write-ahead log into the file, if it has one. Nobody else in this process has the file open.

    Raises:
        OSError: the undo file cannot be written; there was no checkpoint.
        duckdb.Error: it failed. The undo file stays for the next opening, and so does the log.
    """
    if not size_of(log_of(path)):
        return
    undo = _undo_of(path)
    is_saved = _save(connection, catalog, path, undo)
    connection.execute(f"CHECKPOINT {quoted(catalog)}")
    if is_saved:
        undo.unlink()


def undo_checkpoint(path: Path) -> None:
    """Put back what a checkpoint has overwritten that did not come to its end. Do nothing while somebody has the file
    open: then it could be opened, so it is whole.
    """
    undo = _undo_of(path)
    if fcntl is None or not undo.exists():
        return
    with _LOCK, suppress(OSError):  # another process has it open, or this one may not write: DuckDB says what it finds
        if _descriptor_of(path) is not None:
            return
        descriptor = os.open(path, os.O_RDWR)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _restore(descriptor, undo)
            undo.unlink()
        finally:
            os.close(descriptor)


def log_of(path: Path) -> Path:
    """Return the path of a file's write-ahead log."""
    return path.with_name(f"{path.name}.wal")


def size_of(path: Path) -> int:
    """Return the size of a file; 0 if it does not exist."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _save(connection: duckdb.DuckDBPyConnection, catalog: str, path: Path, undo: Path) -> bool:
    """Write the undo file; return whether this system has it."""
    if fcntl is None or (descriptor := _descriptor_of(path)) is None:
        return False
    ((size,),) = connection.execute(_SIZE, [catalog]).fetchall()
    blocks = connection.execute(_BLOCKS, [catalog]).fetchall()
    offsets = [HEADERS + block * size for (block,) in blocks]
    saved = b"".join(os.pread(descriptor, size, offset) for offset in offsets)
    _write(undo, _described(descriptor, offsets, size, saved), saved)
    return True


def _undo_of(path: Path) -> Path:
    real = Path(os.path.realpath(path))
    return real.with_name(f".{real.name}.mixpanel-async-undo")


def _descriptor_of(path: Path) -> int | None:
    """Return the descriptor with which this process has the file open. Another one must not be opened and closed: the
    process would lose its locks (POSIX).
    """
    status = path.stat()
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - it has no paths to follow
        with suppress(OSError):  # the one of this listing is closed
            found = os.fstat(int(name))
            if (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino):
                return int(name)
    return None


def _described(descriptor: int, offsets: list[int], size: int, saved: bytes) -> bytes:
    """Return a line that says what is saved, of which file, and of which state of it."""
    headers = os.pread(descriptor, HEADERS, 0)
    described = {
        "inode": os.fstat(descriptor).st_ino,
        "headers": zlib.crc32(headers),
        "offsets": offsets,
        "size": size,
        "checksum": zlib.crc32(saved),
    }
    return json.dumps(described).encode() + b"\n"


def _write(undo: Path, described: bytes, saved: bytes) -> None:
    """Write it, and wait until it and its name are on the disk. If that fails, nothing of it stays."""
    try:
        with undo.open("wb") as file:
            file.write(described + saved)
        sync(undo)
        sync(undo.parent)
    except OSError:
        undo.unlink(missing_ok=True)
        raise


def _restore(descriptor: int, undo: Path) -> None:
    """Write the saved blocks, if they are whole, and the file still has the headers of before the checkpoint."""
    line, _, saved = undo.read_bytes().partition(b"\n")
    try:
        described = json.loads(line)
        if zlib.crc32(saved) != described["checksum"]:
            return
    except (ValueError, LookupError):
        return  # written in part: the checkpoint had not begun
    now = os.fstat(descriptor).st_ino, zlib.crc32(os.pread(descriptor, HEADERS, 0))
    if now != (described["inode"], described["headers"]):
        return
    for place, offset in enumerate(described["offsets"]):
        start = place * described["size"]
        os.pwrite(descriptor, saved[start : start + described["size"]], offset)
    os.fsync(descriptor)
