"""ProjectData: the events, user profiles and group profiles of all projects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mixpanel_async.testing.data.events import Event, EventSource, GivenEvents
from mixpanel_async.testing.data.profiles import GivenProfiles, Profile, ProfileSource
from mixpanel_async.testing.projects.project import Project


class ProjectData:
    """The events that projects share, the events of single projects, and the profiles, which all projects share."""

    __slots__ = ("_own_events", "groups", "profiles", "shared_events")

    def __init__(
        self,
        shared_events: EventSource | Iterable[Event | bytes],
        projects: Sequence[Project],
        profiles: ProfileSource | Iterable[Profile] = (),
        groups: Mapping[str, ProfileSource | Iterable[Profile]] | None = None,
    ) -> None:
        """Read the events and profiles; raises ValueError for an invalid event or profile."""
        self.shared_events = event_source(shared_events)
        self.profiles = profile_source(profiles)
        self.groups = {group_id: profile_source(source) for group_id, source in (groups or {}).items()}
        self._own_events = {
            project.id: event_source(project.events) for project in projects if project.events is not None
        }

    def events_of(self, project: Project) -> EventSource:
        """Return the source of a project's events."""
        return self._own_events.get(project.id, self.shared_events)


def event_source(events: EventSource | Iterable[Event | bytes]) -> EventSource:
    """Return a source unchanged, and an iterable of events as GivenEvents."""
    return GivenEvents(events) if isinstance(events, Iterable) else events


def profile_source(profiles: ProfileSource | Iterable[Profile]) -> ProfileSource:
    """Return a source unchanged, and an iterable of profiles as GivenProfiles."""
    return GivenProfiles(profiles) if isinstance(profiles, Iterable) else profiles
