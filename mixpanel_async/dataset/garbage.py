"""Deletes files that are valid no more: those of replaced dates, and those of processes that were killed."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from mixpanel_async.dataset import layout
from mixpanel_async.dataset.chunk_files import PUBLISHED_WITHIN
from mixpanel_async.dataset.manifests import Manifests, latest_names
from mixpanel_async.dataset.object_folder import open_folder

if TYPE_CHECKING:
    import os

    from mixpanel_async.dataset.folder import Folder

ONE_DAY = dt.timedelta(days=1)
AT_LEAST = 2 * dt.timedelta(seconds=PUBLISHED_WITHIN)
"""So long a chunk's files surely need to be published."""


def collect_garbage(
    destination: str | os.PathLike[str], project_id: int, *, older_than: dt.timedelta = ONE_DAY
) -> tuple[str, ...]:
    """Delete a project's files that nobody needs, and return their names. It blocks, and may run beside exports.

    A file is deleted if its whole name is one of this library's, if no manifest that counts names it, and if it and the
    newest manifest of its date are older than `older_than`. So whoever has listed the valid files has that long to read
    them.

    Raises:
        ValueError: `older_than` is less than two hours.
        StoreError: the destination cannot be read or written.
    """
    if older_than < AT_LEAST:
        raise ValueError(
            f"older_than must be two hours or more, not {older_than}: an export may need a file until then."
        )
    folder = open_folder(destination)
    garbage = _garbage(folder, project_id, older_than)
    for name in garbage:
        folder.delete(name)
    return tuple(garbage)


def _garbage(folder: Folder, project_id: int, older_than: dt.timedelta) -> list[str]:
    before = dt.datetime.now(dt.UTC) - older_than
    parts = folder.entries(layout.partitions(project_id))  # before the manifests: what they name then is there
    rejected = folder.entries(layout.rejected_of(project_id))
    manifests = folder.entries(layout.manifests(project_id))
    latest = latest_names(manifests)
    modified = {entry.name: entry.modified for entry in manifests}
    valid = Manifests(folder, project_id).valid().values()
    needed = {each.file for each in valid} | {each.chunk.rejected_file for each in valid} | set(latest.values())
    replaced_lately = [date for date, name in latest.items() if modified[name] >= before]

    def is_settled(name: str) -> bool:
        first, last = layout.dates_of(name)
        return not any(first <= date <= last for date in replaced_lately)

    old = [entry.name for entry in [*parts, *rejected, *manifests] if entry.modified < before]
    return [name for name in old if layout.is_ours(name) and name not in needed and is_settled(name)]
