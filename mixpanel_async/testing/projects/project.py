"""Projects, and who may ask for their events."""

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
    """A service account: it must name the project it asks for."""

    username: str
    secret: str = field(repr=False)

    def authorization(self) -> str:
        """Return the value of the Authorization header that this account sends."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.secret}".encode()).decode()


_USUAL_ACCOUNT = ServiceAccount("svc.ab12cd.mp-service-account", "s3cret")


@dataclass(frozen=True, slots=True)
class Project:
    """One Mixpanel project: its number, its credentials and its time zone.

    The default is a project made in 2024 with one credential of each kind. Two projects with the same
    service account model an account that may see both.
    """

    id: int = 12345
    service_accounts: tuple[ServiceAccount, ...] = (_USUAL_ACCOUNT,)
    api_secrets: tuple[str, ...] = ("newsecret",)
    """Project secrets. Such a secret names its project by itself; sending ``project_id`` too is refused."""
    oauth_tokens: tuple[str, ...] = ("oauth-token",)
    region: Region = "us"
    """Where the project lives; the URLs of other regions do not know it (their answer is inferred)."""
    timezone: str = "UTC"
    created: date = date(2024, 1, 1)
    """Projects made before 2023 reckon days, today's too, in their own time zone, and show an event's
    ``time`` as the wall clock there, read as if it were UTC; later ones have UTC (Mixpanel's docs)."""
    events: EventSource | Iterable[Event | bytes] | None = field(default=None, compare=False, repr=False)
    """What only this project holds; None for what the server holds."""

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
        """The time zone of the project's clock; None for UTC."""
        return ZoneInfo(self.timezone) if self.created < _UTC_SINCE else None

    def today(self, now: datetime) -> date:
        """Return the project's today."""
        return now.astimezone(self.zone or UTC).date()
