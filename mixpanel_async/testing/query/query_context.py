"""QueryContext: an admitted query, and everything that its response may depend on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mixpanel_async.testing.data.catalog import Catalog
from mixpanel_async.testing.data.profiles import ProfileSource
from mixpanel_async.testing.export.event_reader import EventReader
from mixpanel_async.testing.projects.project import Project
from mixpanel_async.testing.query.query_rules import QueryRules

MakeBody = Callable[[], bytes]
"""Makes a body. It is called on a thread, because it may take a while."""


@dataclass(frozen=True, slots=True)
class QueryContext:
    """An admitted query, and the data and rules at the time of the request."""

    params: Mapping[str, str]
    path_suffix: str | None
    """The path's last segment, after the endpoint."""
    projects: Sequence[Project]
    """The requested project; for ``app/me``, all projects that the credential has access to."""
    events: EventReader
    profiles: ProfileSource
    groups: Mapping[str, ProfileSource]
    """The group profiles, by ``data_group_id``."""
    catalog: Catalog
    rules: QueryRules

    @property
    def project(self) -> Project:
        """The requested project."""
        return self.projects[0]
