"""What can go wrong: one tree, so that `except MixpanelError` catches all of it and nothing else.

    MixpanelError
    ├── ConfigurationError        credentials, region, session
    ├── ExportError               .from_date .to_date .status .attempts
    │   ├── AuthenticationError   401, 403, and the 400 that means the same
    │   ├── QueryError            400, 402, 404, 412, 413: what Mixpanel said, word for word
    │   ├── RateLimitError        429 beyond patience; .retry_after
    │   ├── ServerError           5xx, and answers that are not Mixpanel's
    │   └── ConnectionLostError   reset, stall, truncated answer
    ├── DecodeError               .from_date .to_date .line_number .line: a line that is no event
    └── StoreError
        ├── TableExistsError · TableNotFoundError · SelectionMismatchError
        └── DatabaseLockedError

No message holds a secret, and none is chained to an aiohttp error, whose repr holds the request's headers.
"""

from __future__ import annotations

from typing import ClassVar


class MixpanelError(Exception):
    """The root of all errors that this library raises on purpose."""


class ConfigurationError(MixpanelError):
    """Credentials, region, base URL or session cannot be used; the message names what to change."""


class ExportError(MixpanelError):
    """Mixpanel did not give what was asked for.

    Raised as itself when every chunk of a run failed; the message then gives the first cause.
    """

    passing: ClassVar[bool] = False
    """Whether the same request may succeed when it is made again."""

    may_be_too_large: bool = False
    """Whether the answer broke off or did not come in time, so that fewer dates may be less to ask."""

    ends_the_run: bool = False
    """Whether every other request of the run would meet the same answer."""

    def __init__(
        self,
        message: str,
        *,
        from_date: str | None = None,
        to_date: str | None = None,
        status: int | None = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self.from_date = from_date
        self.to_date = to_date
        self.status = status
        self.attempts = attempts


class AuthenticationError(ExportError):
    """Mixpanel does not accept the credentials, or they may not see this project. Ends the run at once."""

    ends_the_run = True


class QueryError(ExportError):
    """Mixpanel rejects the question itself; the message is Mixpanel's own. Ends the run at once."""

    ends_the_run = True


class RateLimitError(ExportError):
    """429, again and again, beyond the retry policy's patience."""

    passing = True

    def __init__(self, message: str, *, retry_after: float | None = None, status: int | None = 429) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after
        """Seconds that Mixpanel asked to wait, `None` where it did not say."""


class ServerError(ExportError):
    """A 5xx, or an answer that is no answer of Mixpanel's export (a web page, an error in the body)."""

    passing = True

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class ConnectionLostError(ExportError):
    """The connection could not be made, broke, or stalled, or the answer ended before its end."""

    passing = True

    def __init__(self, message: str, *, may_be_too_large: bool = True) -> None:
        super().__init__(message)
        self.may_be_too_large = may_be_too_large


class DecodeError(MixpanelError):
    """A line that is no event, or is too long to be one; the message says where it stands and how it begins."""

    def __init__(
        self,
        message: str,
        *,
        from_date: str | None = None,
        to_date: str | None = None,
        line_number: int | None = None,
        line: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.from_date = from_date
        """The dates of the answer that it stands in."""
        self.to_date = to_date
        self.line_number = line_number
        """From 1, in that answer."""
        self.line = line
        """Word for word, without the line break; `None` for one that is too long."""


class StoreError(MixpanelError):
    """DuckDB could not write or read; what was committed before stays."""


class TableExistsError(StoreError):
    """The table is there, and neither `append` nor `resume` says what to do with it."""


class TableNotFoundError(StoreError):
    """`append=True`, and there is no such table."""


class SelectionMismatchError(StoreError):
    """The table holds another selection (`events`, `where`, `limit`) than the one asked for."""


class DatabaseLockedError(StoreError):
    """Another process or connection holds the database file; the message names both."""
