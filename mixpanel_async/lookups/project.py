"""The client's project: its time zone, and with it the project's days. Asked of Mixpanel once.

Source: `GET /api/app/me` (Mixpanel's docs), which lists the projects that the credentials have access to.
"""

from __future__ import annotations

import datetime as dt
import logging
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from mixpanel_async import clock
from mixpanel_async.api.credentials import ProjectSecret, project_parameter
from mixpanel_async.api.query import Query
from mixpanel_async.catalog import Project
from mixpanel_async.dates import ProjectDays
from mixpanel_async.errors import ConfigurationError, ExportError
from mixpanel_async.lookups.fetch import fetch_lookup
from mixpanel_async.lookups.request import LookupRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.api.source import Source

logger = logging.getLogger(__name__)

ASK_AGAIN = dt.timedelta(hours=1)
"""After which a project's zone is asked for again that Mixpanel did not tell."""


def project_request(credentials: Credentials, region: str) -> LookupRequest[Project]:
    """Return the request for the project of these credentials.

    Raises:
        ConfigurationError: they are a project secret, which does not tell its project's id.
    """
    project_id = project_parameter(credentials).get("project_id")
    if project_id is None:
        raise ConfigurationError("The project needs a service account or an OAuth token: a project secret has no id.")
    query = Query("/api/app/me", name="The project", limit="app")
    return LookupRequest("project", query, partial(_project, int(project_id), region))


_NO_ZONE = (KeyError, ValueError, OSError)
"""What ZoneInfo raises for a name that is not known here."""


class Calendar:
    """The days of the client's project."""

    def __init__(self, credentials: Credentials, region: str, source: Callable[[], Source]) -> None:
        """`source` returns the source for the app's API."""
        self._credentials = credentials
        self._region = region
        self._source = source
        self._days: ProjectDays | None = None
        self._ask_after = dt.datetime.min.replace(tzinfo=dt.UTC)

    @property
    def known(self) -> ProjectDays:
        """The days, as far as they are known without a request."""
        return self._days or ProjectDays()

    async def project(self) -> Project:
        """Ask for the project, and remember its days.

        Raises:
            ConfigurationError: the credentials are a project secret, or have no access to the project.
            ExportError: the request failed.
        """
        found = await fetch_lookup(project_request(self._credentials, self._region), self._source())
        if not found:
            raise ConfigurationError("Mixpanel does not list this project: check project_id, and who has access to it.")
        with suppress(*_NO_ZONE):
            self._days = ProjectDays(ZoneInfo(found[0].timezone))
        return found[0]

    async def days(self) -> ProjectDays:
        """Return the project's days; without its zone if Mixpanel does not tell it, which is asked again later."""
        now = clock.utc_now()
        if self._days is None and now >= self._ask_after and not isinstance(self._credentials, ProjectSecret):
            self._ask_after = now + ASK_AGAIN
            await self._ask()
        return self.known

    async def days_until(self, last: dt.date) -> ProjectDays:
        """Return the days, as far as they are known. Ask for the zone if `last` may not have begun in the project.

        Raises:
            ValueError: it has not begun.
        """
        _check_begun(last, self.known)
        days = await self.days() if last > ProjectDays().earliest(clock.utc_now()) else self.known
        _check_begun(last, days)
        return days

    async def _ask(self) -> None:
        try:
            ZoneInfo((await self.project()).timezone)
        except (ExportError, ConfigurationError, *_NO_ZONE) as error:
            logger.warning(
                "The project's time zone is not known, so a day is over when it is over everywhere: %.300s", error
            )


@dataclass(frozen=True, slots=True)
class KnownCalendar:
    """The same without a request."""

    known: ProjectDays

    async def days(self) -> ProjectDays:
        """Return the days as far as they are known."""
        return self.known

    async def days_until(self, last: dt.date) -> ProjectDays:
        """Return the same. Raises ValueError if `last` has surely not begun."""
        _check_begun(last, self.known)
        return self.known


def _check_begun(last: dt.date, days: ProjectDays) -> None:
    if last > (today := days.latest(clock.utc_now())):
        where = "anywhere" if days.zone is None else f"in the project, where it is {today} ({days.zone})"
        raise ValueError(f"to_date {last} has not begun {where}: pass {today} or an earlier date.")


class _Entry(Struct):
    timezone: str
    name: str = ""


class _Results(Struct):
    projects: dict[str, Any]  # those of others may lack anything


class _Me(Struct):
    results: _Results


def _project(project_id: int, region: str, payload: object) -> list[Project]:
    projects = msgspec.convert(payload, _Me).results.projects
    if str(project_id) not in projects:
        return []
    entry = msgspec.convert(projects[str(project_id)], _Entry)
    return [Project(project_id, entry.name, entry.timezone, region)]
