"""The arguments that several calls and settings share: their types, for type checkers, and the checks of flags and
seconds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


Names = list[str] | tuple[str, ...] | set[str] | frozenset[str]
"""Not a `Sequence[str]`, which a text is, too."""


class StreamOptions(TypedDict, total=False):
    """See `MixpanelClient.stream_events`."""

    events: Names | None
    where: str | None
    limit: int | None
    parallel: bool
    max_workers: int
    chunk_days: int | Literal["auto"]


class EventOptions(TypedDict, total=False):
    """See `MixpanelClient.fetch_events`."""

    events: Names | None
    where: str | None
    append: bool
    resume: bool
    deduplicate: bool
    max_workers: int
    chunk_days: int | Literal["auto"]


class SyncOptions(TypedDict, total=False):
    """See `MixpanelClient.sync_events`."""

    events: Names | None
    where: str | None
    lookback_days: int
    late: Literal["replace", "merge"]
    max_workers: int
    chunk_days: int | Literal["auto"]


class PlanOptions(EventOptions, total=False):
    """See `MixpanelClient.plan_events`."""

    limit: int | None
    parallel: bool
    lookback_days: int
    late: Literal["replace", "merge"]


class ProfileArguments(TypedDict, total=False):
    """Which profiles; see `MixpanelClient.fetch_profiles`."""

    where: str | None
    cohort_id: int | None
    output_properties: Names | None
    distinct_id: str | None
    distinct_ids: Names | None
    group_id: int | str | None
    behaviors: Sequence[Mapping[str, Any]] | None
    as_of_timestamp: int | None
    include_all_users: bool


_FLAGS = ("append", "resume", "deduplicate", "parallel", "raw", "include_all_users", "sync")


def check_flags(**arguments: object) -> None:
    """Check those of a call's arguments that are True or False: `"no"` and `"0"` would count as true.

    Raises:
        ValueError: names the argument.
    """
    for name in _FLAGS:
        if not isinstance(value := arguments.get(name, False), bool):
            raise ValueError(f"{name} must be True or False, not {value!r}.")  # noqa: TRY004


def is_seconds(value: object) -> bool:
    """Whether it is a number of seconds, finite and not below 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
