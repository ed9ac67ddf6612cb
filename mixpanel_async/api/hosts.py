"""The hosts of Mixpanel's APIs: each region has one for raw exports and one for queries.

Source: Mixpanel's docs (API overview, and data residency).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mixpanel_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPORTS = {
    "us": "https://data.mixpanel.com",
    "eu": "https://data-eu.mixpanel.com",
    "in": "https://data-in.mixpanel.com",
}
QUERIES = {
    "us": "https://mixpanel.com",
    "eu": "https://eu.mixpanel.com",
    "in": "https://in.mixpanel.com",
}

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def choose_host(region: str | None, base_url: str | None, environment: Mapping[str, str]) -> tuple[str, str | None]:
    """Return region and base URL: an argument beats `MP_REGION` or `MP_BASE_URL`, which beats `us`.

    Raises:
        ConfigurationError: the region is unknown, or the variable that would be used is set and empty.
    """
    for name, argument in (("MP_REGION", region), ("MP_BASE_URL", base_url)):
        if argument is None and environment.get(name) == "":
            raise ConfigurationError(f"{name} is set and empty: give it a value, or unset it.")
    chosen = environment.get("MP_REGION", "us") if region is None else region
    if region is not None or base_url is None:  # else the environment's region is not used
        check_region(chosen)
    return chosen, environment.get("MP_BASE_URL") if base_url is None else base_url


def region_hint(asked: str | None, *, also: str = "") -> str:
    """Name the region that a request went to: Mixpanel rejects a wrong region as it rejects a wrong secret. `also` is
    what else is to be checked.
    """
    check = f"check {also}region and base_url"
    for hosts in (EXPORTS, QUERIES):
        for region, url in hosts.items():
            if urlsplit(url).hostname == asked:
                others = " or ".join(other for other in hosts if other != region)
                return f" ({check}: this went to region {region}, and the project may be in {others})"
    return f" ({check}: this went to {asked})" if asked else f" ({check})"


def is_loopback(base_url: str) -> bool:
    """Whether a base URL, which `host` accepts, goes to this machine."""
    return urlsplit(base_url).hostname in _LOOPBACK


def host(hosts: Mapping[str, str], region: str, base_url: str | None) -> str:
    """Return scheme and host of a region, without a slash at the end.

    `base_url` replaces both. Plain `http` is allowed for this machine only: on a network it would show the secret.

    Raises:
        ConfigurationError: the region is unknown, or the base URL cannot be used.
    """
    if base_url is None:
        check_region(region)
        return hosts[region]
    try:
        parts = urlsplit(base_url if isinstance(base_url, str) else "")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an IPv6 address, a port that is not a number
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment or not base_url.isprintable():
        raise ConfigurationError("base_url must be a scheme and a host, such as https://proxy.example.com.")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError("base_url must be https: over http others could read the secret.")
    return base_url.rstrip("/")


def check_region(region: str) -> None:
    """Check a region. Raises ConfigurationError, which names those there are."""
    if not isinstance(region, str) or region not in EXPORTS:
        raise ConfigurationError(f"region must be one of {', '.join(EXPORTS)}, not {region!r}.")
