"""A folder that many processes write to: on a disk, or in an object store. Everything here blocks."""

from __future__ import annotations

import datetime as dt
import os
import re
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mixpanel_async.duck.whole_files import create_whole, destination, write_whole
from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


@dataclass(frozen=True, slots=True)
class Entry:
    """A file."""

    name: str
    """From the folder on, with slashes."""
    modified: dt.datetime
    """When it was written, by the folder's own clock, aware."""


class Folder(Protocol):
    """Files by their names, which have slashes. A file is whole or absent, and is never changed.

    All methods raise StoreError if the folder cannot be read or written.
    """

    def create(self, name: str, data: bytes) -> bool:
        """Write a file if none of that name is there; return whether it was written. Of several callers one writes."""
        ...

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """Yield a path to write to; then put that file there. If the block raises, nothing is there."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes; `None` if there is none."""
        ...

    def reading(self, name: str) -> AbstractContextManager[Path]:
        """Yield the path of a file with these bytes, which must not be changed, while the block runs."""
        ...

    def entries(self, prefix: str) -> list[Entry]:
        """Return the files of a folder in it and of the folders in that, by name; none if it is missing."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file; do nothing if there is none."""
        ...

    def url(self, name: str) -> str:
        """Return what other programs call a file: a path, or a URL."""
        ...


class LocalFolder:
    """A `Folder` on a disk that its processes share. The file system must have hard links, as NFS and all of Linux's
    and macOS's own have.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self, name: str, data: bytes) -> bool:
        """See `Folder`."""
        return create_whole(self._path / name, data)

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """See `Folder`."""
        return write_whole(self._path / name)

    def read(self, name: str) -> bytes | None:
        """See `Folder`."""
        with _translate_errors(self._path):
            try:
                return (self._path / name).read_bytes()
            except FileNotFoundError:
                return None

    def reading(self, name: str) -> AbstractContextManager[Path]:
        """See `Folder`."""
        return nullcontext(self._path / name)

    def entries(self, prefix: str) -> list[Entry]:
        """See `Folder`."""
        with _translate_errors(self._path):
            found = [entry for path in self._files(self._path / prefix) if (entry := self._entry(path)) is not None]
        return sorted(found, key=lambda entry: entry.name)

    def delete(self, name: str) -> None:
        """See `Folder`."""
        with _translate_errors(self._path):
            (self._path / name).unlink(missing_ok=True)

    def url(self, name: str) -> str:
        """See `Folder`."""
        return str(self._path / name)

    def _files(self, folder: Path) -> Iterator[Path]:
        for parent, _, names in os.walk(folder):
            yield from (Path(parent) / name for name in names if not name.startswith("."))

    def _entry(self, path: Path) -> Entry | None:
        with suppress(FileNotFoundError):  # deleted meanwhile
            modified = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
            return Entry(path.relative_to(self._path).as_posix(), modified)
        return None


def local_folder(path: str | os.PathLike[str]) -> LocalFolder:
    """Return the folder of a path, `~` and symbolic links resolved. Writes nothing.

    Raises:
        ValueError, StoreError: it is not a path, or a file is there.
    """
    return LocalFolder(destination(path, is_folder=True))


def is_url(text: object) -> bool:
    """Whether it names an object store."""
    return isinstance(text, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror or error}.") from None
