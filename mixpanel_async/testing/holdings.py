"""Which events each project holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mixpanel_async.testing.access import Project
from mixpanel_async.testing.events import Event, EventSource, GivenEvents


class Holdings:
    """The events that all projects hold, and those that only one does."""

    __slots__ = ("_own", "shared")

    def __init__(self, shared: EventSource | Iterable[Event | bytes], projects: Sequence[Project]) -> None:
        """Read what is given as events; raises ValueError for one that cannot be read."""
        self.shared = source_of(shared)
        self._own = {project.id: source_of(project.events) for project in projects if project.events is not None}

    def of(self, project: Project) -> EventSource:
        """Return the source of a project's events."""
        return self._own.get(project.id, self.shared)


def source_of(events: EventSource | Iterable[Event | bytes]) -> EventSource:
    """Return a source as it is, and events as one."""
    return GivenEvents(events) if isinstance(events, Iterable) else events
