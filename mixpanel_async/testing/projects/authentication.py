"""Who may ask for which project."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence

from mixpanel_async.testing.http.error_wording import Wording
from mixpanel_async.testing.http.response import RefusedError
from mixpanel_async.testing.projects.project import Project, ServiceAccount


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
