"""The files to read: for each date of a project the one that its manifest names, and no other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mixpanel_async.dataset import layout
from mixpanel_async.dataset.manifests import Manifests
from mixpanel_async.dataset.object_folder import open_folder
from mixpanel_async.dates import optional_date_range

if TYPE_CHECKING:
    import datetime as dt
    import os
    from collections.abc import Iterable

    from mixpanel_async.dataset.folder import Folder

_PROJECT = re.compile(rf"{layout.OURS}/selections/project_id=([0-9]+)\.json")


def valid_files(
    destination: str | os.PathLike[str],
    projects: int | Iterable[int] | None = None,
    *,
    from_date: str | dt.date | None = None,
    to_date: str | dt.date | None = None,
) -> list[str]:
    """Return the Parquet files that are valid now: paths or URLs, by project and date. It blocks.

    pandas, polars, Dask and DuckDB read such a list. Files that are replaced later stay for a day and longer (see
    `collect_garbage`), so the list can be read in peace.

    Args:
        destination: that of the export.
        projects: one project's id, or several; `None` for all.
        from_date: first date, inclusive; `None` for the first one.
        to_date: last date, inclusive; `None` for the last one.

    Raises:
        ValueError, ConfigurationError: an argument is out of its range.
        StoreError: the destination cannot be read.
    """
    ends = optional_date_range(from_date, to_date)
    first, last = ("" if ends[0] is None else str(ends[0])), ("9999-99-99" if ends[1] is None else str(ends[1]))
    folder = open_folder(destination)
    return [
        folder.url(manifest.file)
        for project_id in _ids(folder, projects)
        for manifest in Manifests(folder, project_id).valid(first, last).values()
        if manifest.file is not None
    ]


def projects_in(folder: Folder) -> list[int]:
    """Return the projects that were exported to a folder."""
    names = [entry.name for entry in folder.entries(f"{layout.OURS}/selections")]
    return sorted(int(found[1]) for name in names if (found := _PROJECT.fullmatch(name)) is not None)


def _ids(folder: Folder, projects: int | Iterable[int] | None) -> list[int]:
    if projects is None:
        return projects_in(folder)
    return [projects] if isinstance(projects, (int, str)) else sorted(projects)  # a text is refused
