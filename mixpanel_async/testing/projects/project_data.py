"""What the projects hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mixpanel_async.testing.data.events import Event, EventSource, GivenEvents
from mixpanel_async.testing.data.profiles import GivenProfiles, Profile, ProfileSource
from mixpanel_async.testing.projects.project import Project


class Holdings:
    """The events that all projects hold, and those that only one does; and the profiles, which all hold."""

    __slots__ = ("_own", "groups", "profiles", "shared")

    def __init__(
        self,
        shared: EventSource | Iterable[Event | bytes],
        projects: Sequence[Project],
        profiles: ProfileSource | Iterable[Profile] = (),
        groups: Mapping[str, ProfileSource | Iterable[Profile]] | None = None,
    ) -> None:
        """Read what is given; raises ValueError for what cannot be read as an event or a profile."""
        self.shared = source_of(shared)
        self.profiles = profiles_of(profiles)
        self.groups = {number: profiles_of(given) for number, given in (groups or {}).items()}
        self._own = {project.id: source_of(project.events) for project in projects if project.events is not None}

    def of(self, project: Project) -> EventSource:
        """Return the source of a project's events."""
        return self._own.get(project.id, self.shared)


def source_of(events: EventSource | Iterable[Event | bytes]) -> EventSource:
    """Return a source as it is, and events as one."""
    return GivenEvents(events) if isinstance(events, Iterable) else events


def profiles_of(profiles: ProfileSource | Iterable[Profile]) -> ProfileSource:
    """Return a source as it is, and profiles as one."""
    return GivenProfiles(profiles) if isinstance(profiles, Iterable) else profiles
