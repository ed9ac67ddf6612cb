"""The three kinds of credentials, and secrets that never print.

Source: Mixpanel's docs on service accounts, project secrets and OAuth. A service account and an OAuth token name
their project in the request (`project_id`); a project secret *is* its project, and a request that names one
beside it is refused.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from mixpanel_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Secret:
    """A text that shows as `***` wherever it is printed, and refuses to be pickled.

    Making one never raises: so a function that takes a secret wraps it first and checks it then, and no frame of a
    traceback that prints locals holds the plain text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str | Secret) -> None:
        self._text: str = text.reveal() if isinstance(text, Secret) else text

    def check(self, name: str) -> None:
        """Refuse what could not be sent. Raises ConfigurationError, which calls it by its name."""
        if not isinstance(self._text, str) or not self._text:
            raise ConfigurationError(f"The {name} is missing: give it as a text that is not empty.")
        if not (self._text.isascii() and self._text.isprintable()) or " " in self._text:
            raise ConfigurationError(f"The {name} has a blank, a line break or a character beyond ASCII in it.")

    def reveal(self) -> str:
        """The text itself; call it in the frame that sends it and keep it nowhere."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not pickled: hand the credentials over through the environment instead.")


@dataclass(frozen=True, slots=True, init=False)
class ServiceAccount:
    """A service account of a project: HTTP Basic, with the project named in each request."""

    username: str
    secret: Secret
    project_id: str

    def __init__(self, username: str, secret: str | Secret, project_id: int | str) -> None:
        secret = Secret(secret)
        _set(self, username=username, secret=secret, project_id=str(project_id))
        secret.check("service account's secret")
        if not isinstance(username, str) or not username:
            raise ConfigurationError("The service account's username is missing.")
        if not re.fullmatch(r"[!-9;-~]+", username):
            raise ConfigurationError("The service account's username has a blank, a colon or a non-ASCII character.")
        _check_project_id(project_id)


@dataclass(frozen=True, slots=True, init=False)
class ProjectSecret:
    """A project's own secret (Mixpanel retires these on 2027-03-03): HTTP Basic, no project named."""

    secret: Secret

    def __init__(self, secret: str | Secret) -> None:
        secret = Secret(secret)
        _set(self, secret=secret)
        secret.check("project secret")


@dataclass(frozen=True, slots=True, init=False)
class OAuthToken:
    """An OAuth access token: `Authorization: Bearer`, with the project named in each request."""

    token: Secret
    project_id: str

    def __init__(self, token: str | Secret, project_id: int | str) -> None:
        token = Secret(token)
        _set(self, token=token, project_id=str(project_id))
        token.check("OAuth token")
        _check_project_id(project_id)


Credentials = ServiceAccount | ProjectSecret | OAuthToken


def not_credentials(kind: type) -> ConfigurationError:
    """Return the error for a value that is not credentials. It names only the type: the value may be a secret."""
    return ConfigurationError(
        "credentials must be a ServiceAccount, a ProjectSecret or an OAuthToken, such as ServiceAccount(username, "
        f"secret, project_id), not {kind.__name__}."
    )


def authorization(credentials: Credentials) -> str:
    """The `Authorization` header's value. Call it in the frame that sends the request, and nowhere else."""
    match credentials:
        case ServiceAccount(username, secret, _):
            return _basic(username, secret)
        case ProjectSecret(secret):
            return _basic(secret.reveal(), None)
        case OAuthToken(token, _):
            return f"Bearer {token.reveal()}"


def project_parameter(credentials: Credentials) -> dict[str, str]:
    """`project_id` for the kinds of credentials that must name it, nothing for a project secret."""
    if isinstance(credentials, ProjectSecret):
        return {}
    return {"project_id": credentials.project_id}


def project_of(credentials: Credentials) -> str | None:
    """Return the project's id without leading zeros; `None` for a project secret, which does not tell it."""
    return None if isinstance(credentials, ProjectSecret) else str(int(credentials.project_id))


def credentials_from(environment: Mapping[str, str]) -> Credentials:
    """Read the credentials from `MP_...` variables.

    `MP_USERNAME`, `MP_SECRET` and `MP_PROJECT_ID` make a service account; `MP_OAUTH_TOKEN` and `MP_PROJECT_ID` an
    OAuth token; `MP_PROJECT_SECRET` a project secret. The first that is there is taken, in this order.

    Raises:
        ConfigurationError: names the variables that are missing.
    """
    variables = {name: Secret(value) for name, value in environment.items() if name.startswith("MP_") and value}
    del environment
    if "MP_USERNAME" in variables or "MP_SECRET" in variables:
        username, secret, project = _all_of(variables, "MP_USERNAME", "MP_SECRET", "MP_PROJECT_ID")
        return ServiceAccount(username.reveal(), secret, project.reveal())
    if "MP_OAUTH_TOKEN" in variables:
        token, project = _all_of(variables, "MP_OAUTH_TOKEN", "MP_PROJECT_ID")
        return OAuthToken(token, project.reveal())
    if "MP_PROJECT_SECRET" in variables:
        return ProjectSecret(variables["MP_PROJECT_SECRET"])
    raise ConfigurationError(
        "No credentials: pass ServiceAccount(username, secret, project_id), or set MP_USERNAME, MP_SECRET and "
        "MP_PROJECT_ID in the environment (or MP_PROJECT_SECRET, or MP_OAUTH_TOKEN and MP_PROJECT_ID)."
    )


def _all_of(variables: Mapping[str, Secret], *names: str) -> list[Secret]:
    missing = [name for name in names if name not in variables]
    if missing:
        raise ConfigurationError(f"Not set in the environment: {', '.join(missing)}.")
    return [variables[name] for name in names]


def _basic(username: str, secret: Secret | None) -> str:
    pair = f"{username}:{secret.reveal() if secret else ''}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _check_project_id(value: int | str) -> None:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,20}", text, re.ASCII) or int(text) == 0:
        raise ConfigurationError("The project_id must be a project's number, such as 1234567.")


def _set(credentials: Credentials, **fields: object) -> None:
    """Give a frozen value its fields, all of them before any check: a traceback may print it at once."""
    for name, value in fields.items():
        object.__setattr__(credentials, name, value)
