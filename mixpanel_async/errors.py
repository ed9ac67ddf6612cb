"""The errors: one tree, so that `except MixpanelError` catches all of it and nothing else.

    MixpanelError
    ├── ConfigurationError        credentials, database, region and the client's other settings
    ├── ExportError               .from_date .to_date .status .attempts .failures
    │   ├── AuthenticationError   401, 403, and the 400 that means the same
    │   ├── QueryError            400, 402, 404, 412, 413: Mixpanel's own message
    │   ├── RateLimitError        429 in every attempt; .retry_after
    │   ├── ServerError           5xx, and responses that are not Mixpanel's
    │   └── ConnectionLostError   reset, stall, truncated response
    ├── DecodeError               .from_date .to_date .line_number .line: a line that is not an event
    └── StoreError
        ├── TableExistsError · TableNotFoundError · SelectionMismatchError
        └── DatabaseLockedError

No message holds a secret, and none is chained to an aiohttp error, whose repr holds the request's headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from mixpanel_async.types import Failure


class MixpanelError(Exception):
    """The root of all errors that this library raises on purpose."""


class ConfigurationError(MixpanelError):
    """A setting of the client is of a wrong type or cannot be used; the message names what to change."""


class ExportError(MixpanelError):
    """Mixpanel did not return what was requested.

    Raised as itself when every chunk of a call failed; its message then tells the first cause.
    """

    retryable: ClassVar[bool] = False
    """Whether another attempt at the same request may succeed."""

    may_be_too_large: bool = False
    """Whether the response broke off or did not come in time, so that a request for fewer dates may succeed."""

    fatal: bool = False
    """Whether every other request of the call would meet the same error, so that it ends the call."""

    failures: tuple[Failure, ...] = ()
    """Each chunk with its cause, where every chunk of a parallel call failed."""

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
    """Mixpanel does not accept the credentials, or they have no access to this project. Ends the call at once."""

    fatal = True


class QueryError(ExportError):
    """Mixpanel rejects the request itself; the message is Mixpanel's own.

    Ends the call at once, unless it rejects the dates of one chunk (`fatal` is then false): the other chunks go on.
    """

    fatal = True


class RateLimitError(ExportError):
    """429 in every attempt that the retry policy allows."""

    retryable = True

    is_window_full: bool = False
    """Whether Mixpanel said that the requests of the last hour are used up, and not only those at once."""

    def __init__(self, message: str, *, retry_after: float | None = None, status: int | None = 429) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after
        """Seconds to wait: as Mixpanel asked, or by the limit that it named; at most 15 minutes if the hour is used up.
        `None` if it said neither.
        """


class ServerError(ExportError):
    """A 5xx, or a response that is not Mixpanel's data (a web page, an error in the body)."""

    retryable = True

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class ConnectionLostError(ExportError):
    """The connection could not be made, broke or stalled, or the response was cut."""

    retryable = True

    def __init__(self, message: str, *, may_be_too_large: bool = True) -> None:
        super().__init__(message)
        self.may_be_too_large = may_be_too_large


class DecodeError(MixpanelError):
    """A line is not an event, or none of a chunk is; the message says which line it is and why."""

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
        """First date of the request whose response has this line."""
        self.to_date = to_date
        self.line_number = line_number
        """From 1, in that response."""
        self.line = line
        """Word for word, without the line break; the beginning of one that is longer than 64 MB."""


class StoreError(MixpanelError):
    """DuckDB could not write or read. What was committed before stays."""


class TableExistsError(StoreError):
    """The table exists, and neither `append` nor `resume` says what to do with it."""


class TableNotFoundError(StoreError):
    """The table, or the database file, does not exist, and the call needs it: `append=True`, or one that reads it."""


class SelectionMismatchError(StoreError):
    """The table holds another selection (`events`, `where`, `limit`) than this call's, another project's rows, or times
    in whole seconds.
    """


class DatabaseLockedError(StoreError):
    """Another process or connection holds the database file; the message names file and holder."""

    def __init__(self, message: str, *, holder: str = "another process") -> None:
        super().__init__(message)
        self.holder = holder
        """Who holds it: a program and its process number, or "this process"."""
