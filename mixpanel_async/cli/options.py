"""Options that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any

import click

import mixpanel_async
from mixpanel_async.api.credentials import credentials_from
from mixpanel_async.cli.dates import WhenType

if TYPE_CHECKING:
    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.client import MixpanelClient

_VARIABLES = ("MP_USERNAME", "MP_SECRET", "MP_OAUTH_TOKEN", "MP_PROJECT_SECRET")


def options(*decorators: Callable[..., Any]) -> Callable[..., Any]:
    """Combine options into one decorator; `--help` lists them in this order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


@dataclass(frozen=True)
class Connection:
    """How to reach the project and the database."""

    database: str
    lock_timeout: float
    region: str | None
    base_url: str | None
    username: str | None
    project_id: str | None
    attempts: int | None

    def client(self, **settings: Any) -> MixpanelClient:
        """Return a client. Raises ConfigurationError, or click's UsageError if there are no credentials."""
        return mixpanel_async.MixpanelClient(
            self.credentials,
            database=self.database,
            lock_timeout=self.lock_timeout,
            region=self.region,  # type: ignore[arg-type] # click checks it
            base_url=self.base_url,
            **self._retry(),
            **settings,
        )

    def _retry(self) -> dict[str, Any]:
        return {} if self.attempts is None else {"retry": mixpanel_async.RetryPolicy(attempts=self.attempts)}

    @cached_property
    def credentials(self) -> Credentials:
        """Read from the environment; in a terminal, a service account's secret that is missing is asked for once."""
        given = {"MP_USERNAME": self.username, "MP_PROJECT_ID": self.project_id}
        environment = {**os.environ, **{name: value for name, value in given.items() if value}}
        if not any(environment.get(name) for name in _VARIABLES):
            raise click.UsageError(
                "There are no credentials: set MP_USERNAME, MP_SECRET and MP_PROJECT_ID to those of a service account "
                "(or MP_OAUTH_TOKEN and MP_PROJECT_ID, or MP_PROJECT_SECRET). `demo` needs none."
            )
        if environment.get("MP_USERNAME") and not environment.get("MP_SECRET") and sys.stdin.isatty():
            environment["MP_SECRET"] = click.prompt("Secret of the service account", hide_input=True, err=True)
        return credentials_from(environment)


database: Callable[..., Any] = click.option(
    "--database", envvar="MP_DATABASE", default="mixpanel.duckdb", show_default=True, metavar="FILE", show_envvar=True,
    help="The DuckDB file.",
)  # fmt: skip
lock_timeout: Callable[..., Any] = click.option(
    "--lock-timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="SECONDS",
    help="How long to wait for a file that another process holds.",
)  # fmt: skip
_connection = options(
    database,
    lock_timeout,
    click.option(
        "--region", type=click.Choice(["us", "eu", "in"]),
        help="Where the project's data is stored.  [env var: MP_REGION; default: us]",
    ),
    click.option(
        "--base-url", metavar="URL", help="Another server than Mixpanel's, such as a proxy.  [env var: MP_BASE_URL]"
    ),
    click.option("--username", metavar="NAME", help="Of the service account.  [env var: MP_USERNAME]"),
    click.option("--attempts", type=int, metavar="N", help="How often a request is tried.  [default: 5]"),
    click.option("--project-id", metavar="ID", help="[env var: MP_PROJECT_ID]"),
)  # fmt: skip


def connecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a connection; the coroutine function gets them as `connection`."""

    @wraps(function)
    async def gathered(*args: Any, **kwargs: Any) -> Any:
        connection = Connection(**{each.name: kwargs.pop(each.name) for each in fields(Connection)})
        return await function(*args, connection=connection, **kwargs)

    return _connection(gathered)  # type: ignore[no-any-return] # click keeps the function


def storing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a database; the coroutine function gets it as `store`."""

    @wraps(function)
    async def opened(*args: Any, database: str, lock_timeout: float, **kwargs: Any) -> Any:
        return await function(*args, store=mixpanel_async.Store(database, lock_timeout=lock_timeout), **kwargs)

    return options(database, lock_timeout)(opened)  # type: ignore[no-any-return] # as above


def first(*, required: bool = False, help: str = "First date") -> Callable[..., Any]:  # noqa: A002 - click's word
    """`--from`."""
    return click.option(
        "--from", "first", type=WhenType(), required=required, metavar="DATE",
        help=f"{help}, inclusive: 2026-01-31, today, yesterday, or 7d (seven days ago), in the project's days.",
    )  # fmt: skip


def last(*, required: bool = False, help: str = "Last date, inclusive.") -> Callable[..., Any]:  # noqa: A002 - as above
    """`--to`."""
    return click.option("--to", "last", type=WhenType(), required=required, metavar="DATE", help=help)


def table(default: str) -> Callable[..., Any]:
    """`--table`."""
    return click.option("--table", "--name", "name", default=default, show_default=True, metavar="NAME")


class ChunkDays(click.ParamType):  # type: ignore[type-arg] # not generic before click 8.4
    """A number of days, or `auto`."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Read it."""
        return "auto" if value == "auto" else int(click.IntRange(min=1).convert(value, param, ctx))


events = options(
    click.option("--events", multiple=True, metavar="NAME", help="Only events of this name. Repeat it for more names."),
    click.option("--where", metavar="EXPRESSION", help="A filter expression of Mixpanel's, sent as it is."),
)
limit = click.option("--limit", type=int, metavar="N", help="At most so many events, 1 to 100000, in one request.")
chunks = options(
    click.option("--workers", "max_workers", type=int, default=10, show_default=True, help="Requests at once."),
    click.option(
        "--chunk-days", type=ChunkDays(), default="auto", show_default=True, metavar="DAYS",
        help="Dates that are requested and committed together.",
    ),
)  # fmt: skip
pages = click.option("--workers", "max_workers", type=int, default=5, show_default=True, help="Pages at once.")
some_profiles = options(
    click.option("--where", metavar="EXPRESSION", help="A filter expression of Mixpanel's, sent as it is."),
    click.option(
        "--output-properties", multiple=True, metavar="NAME", help="Only this property. Repeat it for more properties."
    ),
    click.option("--group-id", metavar="ID", help="Profiles of this data group, not of users."),
)
more_profiles = options(
    click.option("--cohort-id", type=int, metavar="ID", help="Only members of this cohort."),
    click.option("--distinct-ids", multiple=True, metavar="ID", help="Only this profile. Repeat it for more profiles."),
    click.option("--behaviors", metavar="JSON", help="What people did, for use in --where, as in Mixpanel's docs."),
    click.option("--as-of-timestamp", type=int, metavar="SECONDS", help="Up to when behaviors are counted."),
    click.option("--include-all-users", is_flag=True, help="With --cohort-id, also members that have no profile."),
)
append = click.option("--append", is_flag=True, help="The table may exist: fetched dates (or profiles) replace theirs.")
resume = click.option("--resume", is_flag=True, help="Fetch only what no earlier call has committed.")
progress = click.option("--progress/--no-progress", default=True, help="Show how far it is, on stderr (the default).")
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def given(**values: Any) -> dict[str, Any]:
    """Return the options that have a value: the others keep the library's own defaults."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value not in (None, ())
    }
