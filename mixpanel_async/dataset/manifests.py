"""Which file of a project's date is valid: its manifests are numbered, and the last one counts.

To replace a date, a process creates the next number, which only one process can. So there is no moment without a valid
file, and no file is ever changed. The newest request wins: a chunk that was requested earlier and comes later changes
nothing.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mixpanel_async.dataset import layout
from mixpanel_async.dataset.manifest import Manifest
from mixpanel_async.errors import SelectionMismatchError, StoreError, TableNotFoundError
from mixpanel_async.selections import EventSelection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mixpanel_async.dataset.folder import Entry, Folder

TRUSTED = 60.0
"""Seconds from a look at the numbers to the creation of the next one. Numbers are deleted only when they are far older,
so within this time the next number was surely never used.
"""
READERS = 16
"""Files that are read at the same time: an object store needs some 20 ms for each."""


class Manifests:
    """The manifests of one project. Its methods block."""

    def __init__(self, folder: Folder, project_id: int) -> None:
        self._folder = folder
        self._project_id = project_id

    def check_selection(self, selection: EventSelection, *, deduplicate: bool) -> None:
        """Note what is selected of the project; if that is noted already, check that it is the same.

        Raises:
            SelectionMismatchError: it is another one.
        """
        name = layout.selection(self._project_id)
        noted = f'{{"deduplicate": {str(deduplicate).lower()}, "selection": {selection.to_json()}}}'.encode()
        if (held := self._folder.read(name)) is None and self._folder.create(name, noted):
            return
        if (held or self._folder.read(name)) != noted:
            raise SelectionMismatchError(
                f"Project {self._project_id} is held with another selection (events, where, deduplicate): choose "
                f"another destination. {self._folder.url(name)} has it."
            )

    def valid(self, first: str = "", last: str = "9999-99-99") -> dict[str, Manifest]:
        """Return the manifest that counts of each date that is held, in order, both ends inclusive."""
        latest = latest_names(self._folder.entries(layout.manifests(self._project_id)))
        names = {date: name for date, name in latest.items() if first <= date <= last}
        with ThreadPoolExecutor(READERS) as threads:
            return dict(zip(names, threads.map(self._read, names.values()), strict=True))

    def of(self, dates: Iterable[str]) -> dict[str, Manifest]:
        """Return the manifests that count of those of these dates that are held."""
        found = {date: self._latest(date)[1] for date in dates}
        return {date: manifest for date, manifest in found.items() if manifest is not None}

    def publish(self, manifest: Manifest) -> Manifest:
        """Make a manifest the one that counts, unless a newer request did. Return the one that counts then."""
        while True:
            looked_at = time.monotonic()
            number, held = self._latest(manifest.date)
            if held is not None and held.chunk.fetched_at >= manifest.chunk.fetched_at:
                return held
            name = layout.manifest(self._project_id, manifest.date, number + 1)
            if self._folder.create(name, manifest.to_json()):
                if time.monotonic() < looked_at + TRUSTED:
                    return manifest
                self._folder.delete(name)

    def _latest(self, date: str) -> tuple[int, Manifest | None]:
        """Return the highest number, and its manifest; 0 and `None` before the first one."""
        name = latest_names(self._folder.entries(layout.manifests(self._project_id, date))).get(date)
        if name is None or (named := layout.read_manifest_name(name)) is None:
            return 0, None
        return named[1], self._read(name)

    def _read(self, name: str) -> Manifest:
        if (data := self._folder.read(name)) is None:
            raise StoreError(f"{self._folder.url(name)} was deleted while it was read: call again.")
        return Manifest.from_json(data, self._folder.url(name))


def latest_names(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the name of the manifest that counts, for each date, in order."""
    named = [(*found, entry.name) for entry in entries if (found := layout.read_manifest_name(entry.name)) is not None]
    return {date: name for date, _, name in sorted(named)}


def selection_of(folder: Folder, project_id: int) -> tuple[EventSelection, bool]:
    """Return what is selected of a project, and whether duplicates were left out.

    Raises:
        TableNotFoundError: the project was never exported to this destination.
        StoreError: another version of this library wrote it.
    """
    name = layout.selection(project_id)
    if (data := folder.read(name)) is None:
        raise TableNotFoundError(f"Project {project_id} was not exported here: there is no {folder.url(name)}.")
    try:
        noted = json.loads(data)
        return EventSelection.from_json(json.dumps(noted["selection"])), bool(noted["deduplicate"])
    except (ValueError, TypeError, KeyError):
        raise StoreError(f"{folder.url(name)} was not written by this version of the library.") from None
