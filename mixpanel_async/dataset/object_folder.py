"""A folder in an object store (S3, Google Cloud Storage, Azure), by obstore.

Keys of the store come from the environment, such as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT_URL`; obstore's docs list the
variables. No method takes them as arguments, so that they are in no task, log or manifest.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mixpanel_async.dataset.folder import Entry, is_url, local_folder
from mixpanel_async.errors import ConfigurationError, StoreError
from mixpanel_async.extras import need

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from mixpanel_async.dataset.folder import Folder

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss")


class ObjectFolder:
    """A `Folder` under a URL such as `s3://bucket/events`. The store must have conditional writes, which S3 has since
    2024.
    """

    def __init__(self, url: str) -> None:
        _check(url)
        self._url = url.rstrip("/")
        self._obstore = need("A destination in an object store", "obstore", "mixpanel-async[dask]")
        with self._translate_errors():
            self._store = need("", "obstore.store").from_url(self._url)

    def create(self, name: str, data: bytes) -> bool:
        """See `Folder`. A write that obstore sent again, because the first response was lost, meets its own file: so
        the bytes should be unlike those that anybody else writes under this name.
        """
        with self._translate_errors():
            try:
                self._obstore.put(self._store, name, data, mode="create")
            except self._errors.AlreadyExistsError:
                return self.read(name) == data
        return True

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """See `Folder`. The file is in the directory for temporary files until it is uploaded."""
        with tempfile.TemporaryDirectory(prefix="mixpanel-async-") as directory:
            path = Path(directory) / "file"
            yield path
            with self._translate_errors():
                self._obstore.put(self._store, name, path)

    def read(self, name: str) -> bytes | None:
        """See `Folder`."""
        with self._translate_errors(), suppress(FileNotFoundError):
            return bytes(self._obstore.get(self._store, name).bytes())
        return None

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """See `Folder`. It is downloaded to the directory for temporary files."""
        with tempfile.TemporaryDirectory(prefix="mixpanel-async-") as directory:
            path = Path(directory) / "file.parquet"
            with self._translate_errors(), path.open("wb") as file:
                for data in self._obstore.get(self._store, name):
                    file.write(data)
            yield path

    def entries(self, prefix: str) -> list[Entry]:
        """See `Folder`."""
        with self._translate_errors():
            found = [each for page in self._obstore.list(self._store, prefix) for each in page]
        return sorted((Entry(each["path"], each["last_modified"]) for each in found), key=lambda entry: entry.name)

    def delete(self, name: str) -> None:
        """See `Folder`."""
        with self._translate_errors(), suppress(FileNotFoundError):
            self._obstore.delete(self._store, name)

    def url(self, name: str) -> str:
        """See `Folder`."""
        return f"{self._url}/{name}"

    @property
    def _errors(self) -> Any:  # noqa: ANN401 - a module
        return self._obstore.exceptions

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Only the first line of an error: the rest of it is the store's whole response."""
        try:
            yield
        except (self._obstore.exceptions.BaseError, OSError) as error:
            raise StoreError(f"{self._url}: {str(error).partition(chr(10))[0][:500]}") from None


def open_folder(target: str | os.PathLike[str]) -> Folder:
    """Return the folder of a path or URL. Nothing is written.

    Raises:
        ConfigurationError: the URL cannot be used.
        ValueError, StoreError: it is not a path, or a file is there.
        ModuleNotFoundError: it is a URL, and obstore is not installed.
    """
    return ObjectFolder(str(target)) if is_url(target) else local_folder(target)


def check_destination(target: str | os.PathLike[str]) -> str:
    """Return a destination as every process can open it: a path becomes absolute. Nothing is written.

    Raises:
        ConfigurationError, ValueError, StoreError: as `open_folder`.
    """
    if is_url(target):
        _check(str(target))
        return str(target)
    return local_folder(target).url("").rstrip("/")


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(
            f"destination must be a path, or a URL such as s3://bucket/folder ({', '.join(SCHEMES)}), without keys: "
            "those belong into the environment of the processes that write."
        )
