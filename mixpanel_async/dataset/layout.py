"""The names of the files, and which names are ours. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixpanel_async.dates import DateChunk

OURS = "_mixpanel"
"""The folder of all that is not rows."""

_RANDOM = "[0-9a-f]{16}"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_PART = re.compile(rf"project_id=[0-9]+/date=({_DATE})/part-{_RANDOM}\.parquet")
_REJECTED = re.compile(rf"{OURS}/rejected/project_id=[0-9]+/({_DATE})_({_DATE})-{_RANDOM}\.parquet")
_MANIFEST = re.compile(rf"{OURS}/manifests/project_id=[0-9]+/({_DATE})/([0-9]{{8}})\.json")
_BUDGET = re.compile(rf"{OURS}/budgets/project_id=[0-9]+/([0-9]{{12}})\.json")


def check_project_id(project_id: object) -> None:
    """Check an id before it is a part of a path. Raises ValueError."""
    if isinstance(project_id, bool) or not isinstance(project_id, int) or project_id < 1:
        raise ValueError(f"A project's id is a number such as 1234567, not {project_id!r}.")


def part(project_id: int, date: str, token: str) -> str:
    """Return the name of a file of rows."""
    return f"{partitions(project_id)}/date={date}/part-{token}.parquet"


def partitions(project_id: int) -> str:
    """Return the folder of a project's rows."""
    check_project_id(project_id)
    return f"project_id={project_id}"


def is_ours(name: str) -> bool:
    """Whether it is the name of rows, of rejected lines or of a manifest, in all its characters."""
    return any(pattern.fullmatch(name) for pattern in (_PART, _REJECTED, _MANIFEST))


def dates_of(name: str) -> DateChunk:
    """Return the first and last date that a file of ours is of."""
    found = _PART.fullmatch(name) or _MANIFEST.fullmatch(name) or _REJECTED.fullmatch(name)
    if found is None:
        raise ValueError(f"{name} is not ours")
    return found[1], found[2] if "/rejected/" in name else found[1]


def rejected(project_id: int, dates: DateChunk, token: str) -> str:
    """Return the name of a file of a chunk's lines that are not events."""
    return f"{rejected_of(project_id)}/{dates[0]}_{dates[1]}-{token}.parquet"


def rejected_of(project_id: int) -> str:
    """Return the folder of a project's lines that are not events."""
    return f"{OURS}/rejected/{partitions(project_id)}"


def selection(project_id: int) -> str:
    """Return the name of the file that says what is selected of a project."""
    return f"{OURS}/selections/{partitions(project_id)}.json"


def manifests(project_id: int, date: str | None = None) -> str:
    """Return the folder of a project's manifests, or of those of a date."""
    folder = f"{OURS}/manifests/{partitions(project_id)}"
    return folder if date is None else f"{folder}/{date}"


def manifest(project_id: int, date: str, number: int) -> str:
    """Return the name of a date's manifest."""
    return f"{manifests(project_id, date)}/{number:08}.json"


def read_manifest_name(name: str) -> tuple[str, int] | None:
    """Return date and number of a manifest; `None` for other files."""
    found = _MANIFEST.fullmatch(name)
    return None if found is None else (found[1], int(found[2]))


def budgets(project_id: int) -> str:
    """Return the folder of a project's record of requests."""
    return f"{OURS}/budgets/{partitions(project_id)}"


def budget(project_id: int, number: int) -> str:
    """Return the name of a state of that record."""
    return f"{budgets(project_id)}/{number:012}.json"


def read_budget_name(name: str) -> int | None:
    """Return the number of a state; `None` for other files."""
    found = _BUDGET.fullmatch(name)
    return None if found is None else int(found[1])
