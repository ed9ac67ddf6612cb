"""The time, for decisions that depend on it. Call it as `clock.utc_now()`, so that a test can set it."""

from __future__ import annotations

import datetime as dt


def utc_now() -> dt.datetime:
    """Return the time, aware, in UTC."""
    return dt.datetime.now(dt.UTC)
