"""`doctor`: tries what a fetch needs, and says what is wrong and what to do."""

from __future__ import annotations

import datetime as dt
import os
import platform
import shutil
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import mixpanel_async
from mixpanel_async import clock
from mixpanel_async.api.credentials import OAuthToken, ServiceAccount
from mixpanel_async.api.hosts import QUERIES, choose_host, host
from mixpanel_async.cli import options
from mixpanel_async.cli.command import AsyncCommand
from mixpanel_async.cli.output import as_text
from mixpanel_async.dates import ProjectDays

if TYPE_CHECKING:
    from mixpanel_async.cli.options import Connection
    from mixpanel_async.client import MixpanelClient

MOST_SKEW = 60
"""Seconds that this machine's clock may differ from Mixpanel's."""
LEAST_SPACE = 1 << 30
"""Bytes that should be free on the database's disk."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    is_good: bool
    text: str


class _WrongError(Exception):
    """A check found a fault; the message says what to do."""


@click.command(cls=AsyncCommand)
@options.options(options.as_json, options.connecting)
async def doctor(connection: Connection, *, as_json: bool) -> int:
    """Check what a fetch needs.

    That is: the database, the clock, credentials and region, the project's time zone, the hour's budget, an export.
    It sends a few small requests. One of them, an export of at most one event, counts in the limit of 60 an hour.
    """
    findings = []
    async for finding in _findings(replace(connection, attempts=connection.attempts or 1)):
        findings.append(finding)
        if not as_json:
            click.echo(f"{'ok  ' if finding.is_good else 'FAIL'}  {finding.check:<12}{finding.text}")
    if as_json:
        click.echo(as_text([asdict(finding) for finding in findings]))
    return 0 if all(finding.is_good for finding in findings) else 1


async def _findings(connection: Connection) -> AsyncIterator[Finding]:
    yield await _tried("versions", _versions())
    yield await _tried("database", _database(connection))
    yield await _tried("clock", _clock(connection))
    credentials = await _tried("credentials", _credentials(connection))
    yield credentials
    if not credentials.is_good:
        return
    async with connection.client(timeouts=mixpanel_async.Timeouts(connect=10.0, first_byte=60.0)) as client:
        yield await _tried("project", _project(client, connection))
        yield (budget := await _tried("budget", _budget(client)))
        if budget.is_good:  # else it would wait
            yield await _tried("export", _export(client))


async def _tried(check: str, work: Coroutine[Any, Any, str]) -> Finding:
    try:
        return Finding(check, True, await work)
    except (_WrongError, mixpanel_async.MixpanelError, click.UsageError, ValueError, OSError) as error:
        message = error.message if isinstance(error, click.UsageError) else str(error)
        return Finding(check, False, " ".join(message.split()))


async def _versions() -> str:
    import duckdb  # noqa: PLC0415 - help needs none

    ours, python, system = mixpanel_async.__version__, platform.python_version(), platform.system()
    return f"mixpanel-async {ours}, Python {python}, DuckDB {duckdb.__version__}, {system}"


async def _database(connection: Connection) -> str:
    path = Path(connection.database).expanduser().absolute()  # noqa: ASYNC240 - nothing else runs
    if not path.parent.is_dir():
        raise _WrongError(f"There is no directory {path.parent}: make it, or choose another --database.")
    if not os.access(path.parent, os.W_OK):
        raise _WrongError(f"{path.parent} cannot be written: choose another --database.")
    free = shutil.disk_usage(path.parent).free
    if free < LEAST_SPACE:
        raise _WrongError(f"Only {free / 1e6:,.0f} MB are free on the disk of {path}.")
    if not path.exists():
        return f"{path} does not exist yet: the first fetch creates it. {free / 1e9:,.0f} GB are free"
    tables = await mixpanel_async.Store(path, lock_timeout=min(5.0, connection.lock_timeout)).tables()
    named = ", ".join(table.name for table in tables) or "no table yet"
    return f"{path}, {path.stat().st_size / 1e6:,.0f} MB: {named}. {free / 1e9:,.0f} GB are free"


async def _clock(connection: Connection) -> str:
    """Compare the clock with the `Date` that Mixpanel's server sends with any response."""
    import aiohttp  # noqa: PLC0415 - help needs none

    region, base_url = choose_host(connection.region, connection.base_url, os.environ)
    url = host(QUERIES, region, base_url)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
            session.head(url, allow_redirects=False) as response,
        ):
            told = response.headers.get("Date")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _WrongError(
            f"{url} cannot be reached ({type(error).__name__}): check the network, a proxy, region and base_url."
        ) from None
    if told is None:
        return f"{url} answers, but tells no time"
    skew = (dt.datetime.now(dt.UTC) - parsedate_to_datetime(told).astimezone(dt.UTC)).total_seconds()
    if abs(skew) > MOST_SKEW:
        raise _WrongError(
            f"This machine's clock is {abs(skew):,.0f} s {'ahead' if skew > 0 else 'behind'}: set it, or days and "
            "limits are counted wrongly."
        )
    return f"{url} answers, and its clock and this machine's differ by less than {MOST_SKEW} s"


async def _credentials(connection: Connection) -> str:
    found = connection.credentials
    if isinstance(found, ServiceAccount):
        return f"service account {found.username}, project {found.project_id}"
    return f"OAuth token, project {found.project_id}" if isinstance(found, OAuthToken) else "project secret"


async def _project(client: MixpanelClient, connection: Connection) -> str:
    if not isinstance(connection.credentials, (ServiceAccount, OAuthToken)):
        return "a project secret does not tell its time zone: a day is over when it is over everywhere"
    project = await client.project()
    return f"{project.name or project.id} in region {project.region}, time zone {project.timezone}"


async def _export(client: MixpanelClient) -> str:
    yesterday = ProjectDays().last_complete(clock.utc_now())
    events = client.stream_events(from_date=yesterday, to_date=yesterday, limit=1, on_rejected=lambda _: None)
    async with aclosing(events):
        found = [event["event_name"] async for event in events]
    return f"Mixpanel exports {yesterday}" + ("" if found else ", which has no event")


async def _budget(client: MixpanelClient) -> str:
    day = ProjectDays().last_complete(clock.utc_now())
    plan = await client.plan_events(_NO_TABLE, from_date=day, to_date=day, resume=True)
    if not plan.requests_left:
        raise _WrongError("No export of this hour is left: a fetch waits for it.")
    return f"{plan.requests_left} exports of this hour are left, by what is counted on this machine"


_NO_TABLE = "mixpanel_async_doctor"
"""A plan for a table that is not there asks nothing of the journal."""
