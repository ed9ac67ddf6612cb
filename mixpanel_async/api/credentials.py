"""Who asks: the three kinds of credentials, and secrets that never print.

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
    """A text that shows as `***` wherever it is printed, and refuses to be pickled."""

    __slots__ = ("_text",)

    def __init__(self, text: str | Secret, name: str = "secret") -> None:
        if isinstance(text, Secret):
            text = text.reveal()
        if not isinstance(text, str) or not text:
            raise ConfigurationError(f"The {name} is missing: give it as a text that is not empty.")
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise ConfigurationError(f"The {name} has a blank, a line break or a character beyond ASCII in it.")
        self._text = text

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


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account of a project: HTTP Basic, with the project named in each request."""

    username: str
    secret: str | Secret
    project_id: int | str

    def __post_init__(self) -> None:
        """Refuse what could not be sent."""
        if not isinstance(self.username, str) or not self.username:
            raise ConfigurationError("The service account's username is missing.")
        if not re.fullmatch(r"[!-9;-~]+", self.username):
            raise ConfigurationError("The service account's username has a blank, a colon or a non-ASCII character.")
        object.__setattr__(self, "secret", Secret(self.secret, "service account's secret"))
        object.__setattr__(self, "project_id", _project_id(self.project_id))


@dataclass(frozen=True, slots=True)
class ProjectSecret:
    """A project's own secret (Mixpanel retires these on 2027-03-03): HTTP Basic, no project named."""

    secret: str | Secret

    def __post_init__(self) -> None:
        """Refuse what could not be sent."""
        object.__setattr__(self, "secret", Secret(self.secret, "project secret"))


@dataclass(frozen=True, slots=True)
class OAuthToken:
    """An OAuth access token: `Authorization: Bearer`, with the project named in each request."""

    token: str | Secret
    project_id: int | str

    def __post_init__(self) -> None:
        """Refuse what could not be sent."""
        object.__setattr__(self, "token", Secret(self.token, "OAuth token"))
        object.__setattr__(self, "project_id", _project_id(self.project_id))


Credentials = ServiceAccount | ProjectSecret | OAuthToken


def authorization(credentials: Credentials) -> str:
    """The `Authorization` header's value. Call it in the frame that sends the request, and nowhere else."""
    match credentials:
        case ServiceAccount(username, secret, _):
            return _basic(username, Secret(secret))
        case ProjectSecret(secret):
            return _basic(Secret(secret).reveal(), None)
        case OAuthToken(token, _):
            return f"Bearer {Secret(token).reveal()}"


def project_parameter(credentials: Credentials) -> dict[str, str]:
    """`project_id` for the kinds of credentials that must name it, nothing for a project secret."""
    if isinstance(credentials, ProjectSecret):
        return {}
    return {"project_id": str(credentials.project_id)}


def credentials_from(environment: Mapping[str, str]) -> Credentials:
    """Read the credentials from `MP_...` variables.

    `MP_USERNAME`, `MP_SECRET` and `MP_PROJECT_ID` make a service account; `MP_OAUTH_TOKEN` and `MP_PROJECT_ID` an
    OAuth token; `MP_PROJECT_SECRET` a project secret. The first that is there is taken, in this order.

    Raises:
        ConfigurationError: names the variables that are missing.
    """
    given = {name: value for name, value in environment.items() if name.startswith("MP_") and value}
    if "MP_USERNAME" in given or "MP_SECRET" in given:
        return ServiceAccount(*_all_of(given, "MP_USERNAME", "MP_SECRET", "MP_PROJECT_ID"))
    if "MP_OAUTH_TOKEN" in given:
        return OAuthToken(*_all_of(given, "MP_OAUTH_TOKEN", "MP_PROJECT_ID"))
    if "MP_PROJECT_SECRET" in given:
        return ProjectSecret(given["MP_PROJECT_SECRET"])
    raise ConfigurationError(
        "No credentials: pass ServiceAccount(username, secret, project_id), or set MP_USERNAME, MP_SECRET and "
        "MP_PROJECT_ID in the environment (or MP_PROJECT_SECRET, or MP_OAUTH_TOKEN and MP_PROJECT_ID)."
    )


def _all_of(given: Mapping[str, str], *names: str) -> list[str]:
    missing = [name for name in names if name not in given]
    if missing:
        raise ConfigurationError(f"Not set in the environment: {', '.join(missing)}.")
    return [given[name] for name in names]


def _basic(username: str, secret: Secret | None) -> str:
    pair = f"{username}:{secret.reveal() if secret else ''}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _project_id(value: int | str) -> str:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,20}", text, re.ASCII) or int(text) == 0:
        raise ConfigurationError("The project_id must be a project's number, such as 1234567.")
    return text
