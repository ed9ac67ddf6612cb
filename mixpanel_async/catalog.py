"""What a project knows beside its events and profiles, as the lookups give it.

Frozen dataclasses; `dataclasses.asdict` makes dicts of them. What Mixpanel may leave out is `None`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TopProperty:
    """A property that an event has often."""

    event_name: str
    name: str
    count: int | None
    """How many of the events looked at have it; Mixpanel does not say so of each."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """A saved cohort."""

    id: int
    """What `cohort_id` asks for profiles with."""
    name: str
    count: int
    """Members, when Mixpanel last counted."""
    created_at: dt.datetime
    """As Mixpanel writes it, without a zone; whose wall clock it is, its docs do not say."""
    is_visible: bool
    description: str | None
    data_group_id: str | None
    """The kind of group that its members are, as text: it may be beyond 2**53. `None` for users."""


@dataclass(frozen=True, slots=True)
class LexiconSchema:
    """What the lexicon says of an event, or of profiles."""

    entity_type: str
    """`event`, `profile`, and whatever else Mixpanel has in its lexicon."""
    name: str
    """The event's name; `$user` for profiles of users."""
    description: str | None
    properties: Mapping[str, Any]
    """A JSON schema for each property: `{"type": "string", "description": ...}`."""
    metadata: Mapping[str, Any]
    """Such as `{"com.mixpanel": {"displayName": ..., "hidden": ..., "dropped": ...}}`."""


@dataclass(frozen=True, slots=True)
class AnnotationUser:
    """Who made an annotation."""

    id: int
    first_name: str | None = None
    last_name: str | None = None


@dataclass(frozen=True, slots=True)
class AnnotationTag:
    """A word that annotations are sorted by."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """A note at a moment, as reports show it."""

    id: int
    date: dt.datetime
    """Aware, with the offset that the project's time zone has then."""
    description: str
    user: AnnotationUser | None
    tags: tuple[AnnotationTag, ...]
