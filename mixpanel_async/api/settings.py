"""Checks the settings of a client, or of an export."""

from __future__ import annotations

from mixpanel_async.api.limits import RateLimits
from mixpanel_async.api.retry import RetryPolicy
from mixpanel_async.api.transport import Timeouts
from mixpanel_async.errors import ConfigurationError


def check_settings(limits: object, retry: object, timeouts: object) -> None:
    """Check their types. Raises ConfigurationError, which names the argument."""
    for name, value, kind, example in (
        ("limits", limits, RateLimits, "per_hour=30"),
        ("retry", retry, RetryPolicy, "attempts=3"),
        ("timeouts", timeouts, Timeouts, "idle=60"),
    ):
        if not isinstance(value, kind):
            right, given = kind.__name__, type(value).__name__
            raise ConfigurationError(f"{name} must be {right}, such as {right}({example}), not {given}.")
