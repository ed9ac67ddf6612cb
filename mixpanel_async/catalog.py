"""What `client.lookups` and `client.project` return: frozen dataclasses. A value that Mixpanel leaves out is `None`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixpanel_async import html, terminal


@dataclass(frozen=True, slots=True)
class Project:
    """A project, as `/api/app/me` describes it."""

    id: int
    name: str
    timezone: str
    """The IANA name of its time zone, such as `US/Pacific`."""
    region: str
    """Where its data is stored, as the client was told: `us`, `eu` or `in`."""

    def __str__(self) -> str:
        return terminal.pairs(*self._parts())

    def _repr_html_(self) -> str:
        return html.pairs(*self._parts())

    def _parts(self) -> tuple[str, Sequence[tuple[str, str]]]:
        named = (("id", str(self.id)), ("time zone", self.timezone), ("region", self.region))
        return f"Project {self.name}", named


@dataclass(frozen=True, slots=True)
class TopProperty:
    """A frequent property of an event."""

    event_name: str
    name: str
    count: int | None
    """How many of the sampled events have it; `None` where Mixpanel does not say."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """A saved cohort."""

    id: int
    """For `cohort_id` of `fetch_profiles`."""
    name: str
    count: int
    """Members when Mixpanel last counted them."""
    created_at: dt.datetime
    """As Mixpanel writes it, without a zone; its docs do not say which zone it is."""
    is_visible: bool
    description: str | None
    data_group_id: str | None
    """The data group of its members, as text, because it may be beyond 2**53; `None` for users."""


@dataclass(frozen=True, slots=True)
class LexiconSchema:
    """The lexicon's entry for an event, or for profiles."""

    entity_type: str
    """`event`, `profile`, or another kind that Mixpanel has in its lexicon."""
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
    """A tag of annotations."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """A note at a point in time, as reports show it."""

    id: int
    date: dt.datetime
    """Aware, with the offset of the project's time zone at that time."""
    description: str
    user: AnnotationUser | None
    tags: tuple[AnnotationTag, ...]
