"""The keyword arguments that several calls of the client share, for type checkers."""

from __future__ import annotations

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
