"""Authenticator: finds the project that a request's credential and parameters identify."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence

from mixpanel_async.testing.http.error_wording import Wording
from mixpanel_async.testing.http.response import RefusedError
from mixpanel_async.testing.projects.project import Project, ServiceAccount


class Authenticator:
    """Checks credentials. A test can revoke a credential while the server runs."""

    __slots__ = ("_projects", "_revoked", "wording")

    def __init__(self, projects: Sequence[Project], wording: Wording) -> None:
        """Check the credentials of ``projects``; ``wording`` words the refusals."""
        self._projects = {project.id: project for project in projects}
        self._revoked: set[str] = set()
        self.wording = wording

    def revoke(self, name: str) -> None:
        """Make a credential expire: a service account's user name, a project secret or an OAuth token."""
        self._revoked.add(name)

    def restore(self, name: str) -> None:
        """Make a revoked credential valid again."""
        self._revoked.discard(name)

    def authorize(self, authorization: str | None, params: Mapping[str, str], region: str) -> Project:
        """Return the project that a request reads; raises RefusedError with 400, 401 or 403.

        A project of another ``region`` is refused like a wrong credential (inferred).
        """
        project = self._find_project(authorization, params)
        if project.region != region:
            raise RefusedError(self.wording.unauthorized_response())
        return project

    def visible_projects(self, authorization: str | None, region: str) -> list[Project]:
        """Return the projects of a region that a credential has access to; raises RefusedError if it has none."""
        scheme, _, value = (authorization or "").partition(" ")
        ids: set[int] = self._token_projects(value.strip()) if scheme.lower() == "bearer" else set()
        for username, secret in _basic_credentials(value.strip()) if scheme.lower() == "basic" else ():
            ids |= self._account_projects(username, secret)
        in_region = [self._projects[number] for number in sorted(ids) if self._projects[number].region == region]
        if not in_region:
            raise RefusedError(self.wording.unauthorized_response())
        return in_region

    def _find_project(self, authorization: str | None, params: Mapping[str, str]) -> Project:
        """Return the project that the credential and ``project_id`` identify."""
        scheme, _, value = (authorization or "").partition(" ")
        project_id = params.get("project_id")
        if scheme.lower() == "bearer":
            return self._select(self._token_projects(value.strip()), project_id)
        if scheme.lower() == "basic":
            return self._find_by_basic(value.strip(), project_id)
        raise RefusedError(self.wording.unauthorized_response())

    def _find_by_basic(self, value: str, project_id: str | None) -> Project:
        """Check Basic credentials. Mixpanel accepts them in base64 and as plain text (its docs)."""
        for username, secret in _basic_credentials(value):
            if visible := self._account_projects(username, secret):
                return self._select(visible, project_id)
            if not secret and (project := self._secret_project(username)):
                if project_id is not None:
                    raise RefusedError(self.wording.unclear_project_response())
                return project
        raise RefusedError(self.wording.unauthorized_response())

    def _select(self, visible: set[int], project_id: str | None) -> Project:
        """Return the project with this id, if the credential has access to it."""
        if not visible:
            raise RefusedError(self.wording.unauthorized_response())
        if not project_id or not project_id.isdecimal():
            raise RefusedError(self.wording.unclear_project_response())
        if int(project_id) not in visible:
            raise RefusedError(self.wording.no_access_response(project_id))
        return self._projects[int(project_id)]

    def _account_projects(self, username: str, secret: str) -> set[int]:
        """Return the project ids of a service account; none if it is unknown or revoked."""
        account = ServiceAccount(username, secret)
        is_valid = username not in self._revoked
        return {p.id for p in self._projects.values() if is_valid and account in p.service_accounts}

    def _token_projects(self, token: str) -> set[int]:
        """Return the project ids of an OAuth token; none if it is unknown or revoked."""
        is_valid = token not in self._revoked
        return {p.id for p in self._projects.values() if is_valid and token in p.oauth_tokens}

    def _secret_project(self, secret: str) -> Project | None:
        """Return the project of a project secret; None if it is unknown or revoked."""
        is_valid = secret not in self._revoked
        return next((p for p in self._projects.values() if is_valid and secret in p.api_secrets), None)


def _basic_credentials(value: str) -> Iterator[tuple[str, str]]:
    """Yield the (user, secret) pairs that a Basic header may mean: read as plain text, then as base64."""
    for text in (value, _decode_base64(value)):
        if text:
            user, _, secret = text.partition(":")
            yield user, secret


def _decode_base64(value: str) -> str | None:
    """Decode base64 into text; None if it cannot be decoded."""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
