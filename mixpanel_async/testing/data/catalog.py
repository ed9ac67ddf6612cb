"""Catalog: the cohorts, lexicon schemas and annotations of the projects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Cohort:
    """A saved cohort. A member need not have a profile."""

    id: int
    name: str
    members: frozenset[str] | tuple[str, ...] = ()
    """The distinct ids of the members."""
    description: str = ""
    created: str = "2019-03-19 23:49:51"
    """The date and time, with a space between them and without a time zone, as Mixpanel sends it."""
    is_visible: bool = True
    data_group_id: str | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """One entry of the lexicon: of an event, or of profiles (with the name ``$user``)."""

    name: str
    properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The JSON schema of each property, for example ``{"type": "string", "description": "..."}``."""
    description: str = ""
    entity_type: Literal["event", "profile"] = "event"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Further attributes, for example ``{"com.mixpanel": {"hidden": False, "dropped": False}}``."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotation: a note about a point in time."""

    id: int
    date: str
    """For example ``"2023-01-15 12:00:00"``, in the project's time zone."""
    description: str
    tags: tuple[tuple[int, str], ...] = ()
    """The id and the name of each tag."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The cohorts, lexicon and annotations of all projects. Names of events and properties come from the events."""

    cohorts: tuple[Cohort, ...] = ()
    schemas: tuple[Schema, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    def cohort(self, cohort_id: int) -> Cohort | None:
        """Return the cohort with this id; None if no cohort has it."""
        return next((cohort for cohort in self.cohorts if cohort.id == cohort_id), None)
