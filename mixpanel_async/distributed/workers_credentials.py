"""Credentials, where a chunk is fetched: never in what is sent there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from mixpanel_async.api.credentials import Credentials, ProjectSecret, credentials_from, not_credentials
from mixpanel_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

CredentialsOf = Callable[[int], Credentials]
"""Returns a project's credentials, in the process that fetches. It is pickled: let it read a file or a secret store,
and hold no secret itself.
"""


def check_credentials(credentials: object) -> None:
    """Check the argument, before anything is sent.

    Raises:
        ConfigurationError: it is neither `None` nor callable, such as credentials themselves.
    """
    if credentials is not None and not callable(credentials):
        raise ConfigurationError(
            "credentials must be a function of a project's id that runs on the workers, or None for their environment: "
            f"a {type(credentials).__name__} would be sent to them, through the scheduler."
        )


def find_credentials(credentials: CredentialsOf | None, project_id: int) -> Credentials:
    """Return a project's credentials.

    Raises:
        ConfigurationError: the environment has none, or the callable returned something else or another project's.
    """
    if credentials is None:
        return _from_environment(os.environ, project_id)
    try:
        found = credentials(project_id)
    except Exception as error:  # noqa: BLE001 - the caller's own
        kind = type(error).__name__  # its message may hold what it read
        raise ConfigurationError(f"The function for credentials raised {kind} for project {project_id}.") from None
    if not isinstance(found, Credentials):
        kind = type(found)
        del found  # a traceback may print a frame's locals
        raise not_credentials(kind)
    if not isinstance(found, ProjectSecret) and found.project_id != str(project_id):
        raise ConfigurationError(f"The credentials for project {project_id} are those of project {found.project_id}.")
    return found


def _from_environment(environment: Mapping[str, str], project_id: int) -> Credentials:
    """Return the environment's, with this project: a service account may have access to many."""
    found = credentials_from({**environment, "MP_PROJECT_ID": str(project_id)})
    if isinstance(found, ProjectSecret):
        raise ConfigurationError(
            "A project secret is of one project, and MP_PROJECT_SECRET does not tell which: pass a function as "
            "credentials, or set MP_USERNAME and MP_SECRET of a service account."
        )
    return found
