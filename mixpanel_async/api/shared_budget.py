"""Where the requests of a client's project are counted: the name and the folder of the file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import platformdirs

from mixpanel_async.api.budget_file import BudgetFile
from mixpanel_async.api.credentials import ProjectSecret, project_of
from mixpanel_async.api.hosts import is_loopback
from mixpanel_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixpanel_async.api.credentials import Credentials


def shared_budget(
    credentials: Credentials, region: str, base_url: str | None, environment: Mapping[str, str]
) -> BudgetFile | None:
    """Return the file of a client's project; `None` for a server on this machine, which has limits of its own.

    It is in `MP_STATE_DIR`, or else where the system keeps the state of programs. Nothing is written yet.

    Raises:
        ConfigurationError: `MP_STATE_DIR` is set and empty, or names a home directory that is not known.
    """
    if base_url is not None and is_loopback(base_url):
        return None
    host = region if base_url is None else re.sub(r"[^a-z0-9.-]", "_", urlsplit(base_url).netloc.lower())
    return BudgetFile(_state_directory(environment) / f"{host}-{_project(credentials)}.sqlite3")


def _state_directory(environment: Mapping[str, str]) -> Path:
    directory = environment.get("MP_STATE_DIR")
    if directory is None:
        return platformdirs.user_state_path("mixpanel-async", appauthor=False)
    if not directory:
        raise ConfigurationError("MP_STATE_DIR is set and empty: give it a value, or unset it.")
    try:
        return Path(directory).expanduser().absolute()
    except RuntimeError:
        raise ConfigurationError(f"The home directory in MP_STATE_DIR is not known: {directory!r}.") from None


def _project(credentials: Credentials) -> str:
    """Name the project. A project secret names none: its hash stands for it, from which nobody gets the secret."""
    if isinstance(credentials, ProjectSecret):
        return f"secret-{hashlib.sha256(credentials.secret.reveal().encode()).hexdigest()[:16]}"
    return str(project_of(credentials))
