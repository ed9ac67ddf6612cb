"""What a query is answered from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mixpanel_async.testing.data.catalog import Catalog
from mixpanel_async.testing.data.profiles import ProfileSource
from mixpanel_async.testing.export.event_reader import Telling
from mixpanel_async.testing.projects.project import Project
from mixpanel_async.testing.query.query_rules import QueryRules

Body = Callable[[], bytes]
"""Makes a body: on a thread, since that may take a while."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query that was let through, and all that its answer may depend on."""

    params: Mapping[str, str]
    rest: str | None
    """What followed the endpoint in the path."""
    projects: Sequence[Project]
    """The project that is asked, or all that the credential opens."""
    events: Telling
    profiles: ProfileSource
    groups: Mapping[str, ProfileSource]
    catalog: Catalog
    rules: QueryRules

    @property
    def project(self) -> Project:
        """The project that is asked."""
        return self.projects[0]
