"""Project and ServiceAccount: the projects that the fake serves, and their credentials."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from mixpanel_async.testing.data.events import Event, EventSource

_UTC_SINCE = date(2023, 1, 1)

Region = Literal["us", "eu", "in"]


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account. Its requests must send a ``project_id``."""

    username: str
    secret: str = field(repr=False)

    def authorization(self) -> str:
        """Return the value of the Authorization header for this account."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.secret}".encode()).decode()


_DEFAULT_ACCOUNT = ServiceAccount("svc.ab12cd.mp-service-account", "s3cret")


@dataclass(frozen=True, slots=True)
class Project:
    """A Mixpanel project: its id, its credentials, its region and its time zone.

    The default project was created in 2024 and has one credential of each kind. Give two projects the same service
    account to model an account with access to both.
    """

    id: int = 12345
    service_accounts: tuple[ServiceAccount, ...] = (_DEFAULT_ACCOUNT,)
    api_secrets: tuple[str, ...] = ("newsecret",)
    """Project secrets. A secret identifies its project, so a request with both a secret and a ``project_id`` is
    refused."""
    oauth_tokens: tuple[str, ...] = ("oauth-token",)
    region: Region = "us"
    """The region that stores the project. The URLs of other regions refuse its credentials (inferred)."""
    timezone: str = "UTC"
    """The project's time zone, as an IANA name."""
    created: date = date(2024, 1, 1)
    """The day on which the project was created. In projects created before 2023, days (today too) are days in the
    project's time zone, and an event's ``time`` is the local wall clock, encoded as if it were UTC. Newer projects use
    UTC (Mixpanel's docs)."""
    events: EventSource | Iterable[Event | bytes] | None = field(default=None, compare=False, repr=False)
    """Events of this project only; None if it contains the server's events."""

    @property
    def service_account(self) -> ServiceAccount:
        """The first service account."""
        return self.service_accounts[0]

    @property
    def api_secret(self) -> str:
        """The first project secret."""
        return self.api_secrets[0]

    @property
    def oauth_token(self) -> str:
        """The first OAuth token."""
        return self.oauth_tokens[0]

    @property
    def zone(self) -> ZoneInfo | None:
        """The time zone of the project's days and event times; None for UTC."""
        return ZoneInfo(self.timezone) if self.created < _UTC_SINCE else None

    def today(self, now: datetime) -> date:
        """Return the project's date at the moment ``now``."""
        return now.astimezone(self.zone or UTC).date()
