"""What a project keeps beside its events and profiles: cohorts, its lexicon, annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Cohort:
    """A saved cohort. Its members need not have a profile."""

    id: int
    name: str
    members: frozenset[str] | tuple[str, ...] = ()
    """Distinct ids."""
    description: str = ""
    created: str = "2019-03-19 23:49:51"
    """With a space and without a zone, as Mixpanel has it."""
    is_visible: bool = True
    data_group_id: str | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """One entry of the lexicon: an event's, or the profiles' with the name ``$user``."""

    name: str
    properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For each property its JSON schema, for example ``{"type": "string", "description": "..."}``."""
    description: str = ""
    entity_type: Literal["event", "profile"] = "event"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """For example ``{"com.mixpanel": {"hidden": False, "dropped": False}}``."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A note at a moment."""

    id: int
    date: str
    """``"2023-01-15 12:00:00"``, in the project's time zone."""
    description: str
    tags: tuple[tuple[int, str], ...] = ()
    """Numbers and names."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the lookups tell. The names of events and properties are not here: they come from the events."""

    cohorts: tuple[Cohort, ...] = ()
    schemas: tuple[Schema, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    def cohort(self, number: int) -> Cohort | None:
        """Return the cohort of this number."""
        return next((cohort for cohort in self.cohorts if cohort.id == number), None)
