"""Projects, and who may ask for their events."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from mixpanel_async.testing.data.events import Event, EventSource
from mixpanel_async.testing.http.response import RefusedError, Wording

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


class Gate:
    """Says which project a request may read, or refuses it. Credentials can expire while it stands."""

    __slots__ = ("_projects", "_revoked", "wording")

    def __init__(self, projects: Sequence[Project], wording: Wording) -> None:
        """Guard ``projects``; refusals are worded by ``wording``."""
        self._projects = {project.id: project for project in projects}
        self._revoked: set[str] = set()
        self.wording = wording

    def revoke(self, name: str) -> None:
        """Let a credential expire: a service account's user name, a project secret or a token."""
        self._revoked.add(name)

    def restore(self, name: str) -> None:
        """Let a revoked credential work again."""
        self._revoked.discard(name)

    def admit(self, authorization: str | None, params: Mapping[str, str], region: str) -> Project:
        """Return the project that is asked for; raises RefusedError with 400, 401 or 403.

        A project of another ``region`` is refused as if the credential were wrong, which is inferred.
        """
        project = self._named(authorization, params)
        if project.region != region:
            raise RefusedError(self.wording.unauthorized_answer())
        return project

    def visible(self, authorization: str | None, region: str) -> list[Project]:
        """Return the projects that a credential opens; raises RefusedError if it opens none here."""
        scheme, _, value = (authorization or "").partition(" ")
        ids: set[int] = self._of_token(value.strip()) if scheme.lower() == "bearer" else set()
        for username, secret in _pairs(value.strip()) if scheme.lower() == "basic" else ():
            ids |= self._of_account(username, secret)
        there = [self._projects[number] for number in sorted(ids) if self._projects[number].region == region]
        if not there:
            raise RefusedError(self.wording.unauthorized_answer())
        return there

    def _named(self, authorization: str | None, params: Mapping[str, str]) -> Project:
        """Return the project that the credential, or the request with it, names."""
        scheme, _, value = (authorization or "").partition(" ")
        named = params.get("project_id")
        if scheme.lower() == "bearer":
            return self._seen(self._of_token(value.strip()), named)
        if scheme.lower() == "basic":
            return self._basic(value.strip(), named)
        raise RefusedError(self.wording.unauthorized_answer())

    def _basic(self, value: str, named: str | None) -> Project:
        """Judge Basic credentials, which Mixpanel takes in base64 and as plain text (its docs)."""
        for username, secret in _pairs(value):
            if visible := self._of_account(username, secret):
                return self._seen(visible, named)
            if not secret and (project := self._of_secret(username)):
                if named is not None:
                    raise RefusedError(self.wording.unclear_project_answer())
                return project
        raise RefusedError(self.wording.unauthorized_answer())

    def _seen(self, visible: set[int], named: str | None) -> Project:
        """Return the project named, if it is one of those that the credential may see."""
        if not visible:
            raise RefusedError(self.wording.unauthorized_answer())
        if not named or not named.isdecimal():
            raise RefusedError(self.wording.unclear_project_answer())
        if int(named) not in visible:
            raise RefusedError(self.wording.no_access_answer(named))
        return self._projects[int(named)]

    def _of_account(self, username: str, secret: str) -> set[int]:
        """Return the projects of a service account, none if it is unknown or has expired."""
        account = ServiceAccount(username, secret)
        alive = username not in self._revoked
        return {p.id for p in self._projects.values() if alive and account in p.service_accounts}

    def _of_token(self, token: str) -> set[int]:
        """Return the projects that a bearer token opens."""
        alive = token not in self._revoked
        return {p.id for p in self._projects.values() if alive and token in p.oauth_tokens}

    def _of_secret(self, secret: str) -> Project | None:
        """Return the project that a project secret belongs to."""
        alive = secret not in self._revoked
        return next((p for p in self._projects.values() if alive and secret in p.api_secrets), None)


def _pairs(value: str) -> Iterator[tuple[str, str]]:
    """Yield the (user, secret) pairs that the value of a Basic header can mean."""
    for text in (value, _decoded(value)):
        if text:
            user, _, secret = text.partition(":")
            yield user, secret


def _decoded(value: str) -> str | None:
    """Read base64; None for what is none."""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
