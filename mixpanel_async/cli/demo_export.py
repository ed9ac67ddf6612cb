"""What the demo does: exports from a fake Mixpanel on this machine, and shows a first look at its data."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import duckdb

from mixpanel_async.api.credentials import ServiceAccount
from mixpanel_async.api.limits import RateLimits
from mixpanel_async.cli.charts import weeks
from mixpanel_async.client import MixpanelClient
from mixpanel_async.duck.files import STORAGE_VERSION
from mixpanel_async.duck.schema import OWN_PREFIX
from mixpanel_async.duck.translation import translate_open_errors
from mixpanel_async.errors import DatabaseLockedError, StoreError
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixpanel_async.types import ParallelFetchResult

FROM, TO = dt.date(2026, 1, 1), dt.date(2026, 3, 31)
DAYS = (TO - FROM).days + 1
CHUNK_DAYS = 3
BUSIEST_DAY = 3060
"""Events on the busiest day, about; in all days together some 200,000."""
LATENCY = 0.25
"""Seconds until the server begins its response, as the real one also takes time."""
WEEKLY_RHYTHM = (0.92, 0.97, 1.0, 0.98, 0.88, 0.52, 0.46)
"""Monday to Sunday."""

NOTE = "mixpanel_async_demo"
"""The table that marks a demo's database."""

_NO_EXTENSIONS = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
"""Opening somebody's file must not download an extension."""

QUERY = """SELECT event_name, count(*) AS events, count(DISTINCT distinct_id) AS users
FROM events GROUP BY event_name ORDER BY events DESC LIMIT 5"""

YOURS = f"""\
import asyncio
from mixpanel_async import MixpanelClient, ServiceAccount

async def main():
    account = ServiceAccount("USERNAME", "SECRET", project_id=1234567)
    async with MixpanelClient(account, database="mixpanel.duckdb") as client:
        result = await client.fetch_events(
            from_date="{FROM}", to_date="{TO}", parallel=True
        )
    print(result)

asyncio.run(main())"""

LIMITS = (
    "A real project allows 3 requests a second and 60 an hour (the fake one: any number). The client keeps to that by "
    "itself; the code above makes 30 requests."
)


def make_database(path: Path) -> None:
    """Create an empty database that is marked as the demo's; replace that of an earlier demo.

    Raises:
        StoreError: another file is there, which stays as it is, or no file can be created there.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a directory: name a file with --database, such as {path / 'demo.duckdb'}.")
    if path.exists():
        _check_is_a_demos(path)
    if not path.parent.is_dir():
        raise StoreError(f"There is no directory {path.parent}: make it, or choose another --database.")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as directory:
            _make_empty(made := Path(directory) / path.name)
            path.with_name(f"{path.name}.wal").unlink(missing_ok=True)  # of a demo that was killed
            made.replace(path)
    except (OSError, duckdb.Error) as error:
        message = str(error).partition("\n")[0]
        why = "No space left on device" if "No space left" in message else getattr(error, "strerror", None) or message
        folder = path.parent.absolute()
        raise StoreError(f"{folder} cannot be written ({why}): choose another file with --database PATH.") from None


async def export(path: Path) -> ParallelFetchResult:
    """Start the server, and export all of its events."""
    async with FakeMixpanel(
        GeneratedEvents(per_day=events_of), today=TO + dt.timedelta(days=1), limits=None, latency=LATENCY
    ) as fake:
        account = ServiceAccount(
            fake.project.service_account.username, fake.project.service_account.secret, fake.project.id
        )
        async with MixpanelClient(
            account, database=path, base_url=fake.url, limits=RateLimits(per_second=1000, per_hour=100_000)
        ) as client:
            return await client.fetch_events(
                from_date=FROM, to_date=TO, parallel=True, chunk_days=CHUNK_DAYS, progress=True
            )


def events_of(day: dt.date) -> int:
    """Return how many events a day has: fewer at the weekend, and a little more each week."""
    growth = 0.8 + 0.2 * (day - FROM).days / DAYS
    return int(BUSIEST_DAY * WEEKLY_RHYTHM[day.weekday()] * growth)


def report(path: Path, result: ParallelFetchResult, columns: int = 80) -> Iterator[str]:
    """Yield the parts of the report: the result, rows a day, a query, the next steps.

    From 20 columns on, the terminal cuts lines of code only, and no number.
    """
    lines = str(result).splitlines()
    yield "\n".join(fill(line, columns, subsequent_indent="  ", break_on_hyphens=False) for line in lines)
    with duckdb.connect(path, read_only=True) as connection:
        counts = connection.execute("SELECT event_time::DATE, count(*) FROM events GROUP BY ALL").fetchall()
        yield "\n".join(weeks(dict(counts), columns))
        rows = "\n".join(_box(connection.sql(QUERY), columns))
        yield f'import duckdb\nduckdb.connect({str(path)!r}).sql("""\n{QUERY}""").show()\n{rows}'
    yield fill("The same with a project of yours:", columns)
    yield YOURS
    yield fill(LIMITS, columns)


def _box(found: duckdb.DuckDBPyRelation, columns: int) -> Iterator[str]:
    """Yield the lines of a query's box; where it is too wide, the values of a row below each other."""
    box = str(found).rstrip().splitlines()
    if max(map(len, box)) <= columns:
        yield from box
        return
    for row in found.fetchall():
        for name, value in zip(found.columns, row, strict=True):
            yield f"{name}: {value}"


def _make_empty(path: Path) -> None:
    """Create a database that has only the demo's mark."""
    with duckdb.connect(path, config={"storage_compatibility_version": STORAGE_VERSION}) as connection:
        connection.execute(f"CREATE TABLE {NOTE} AS SELECT 'Generated events. The next demo replaces them.' AS note")


def _check_is_a_demos(path: Path) -> None:
    """Check that the database is a demo's. Raises StoreError."""
    if not os.access(path, os.R_OK | os.W_OK):
        raise StoreError(f"{path} may not be read and written: choose another file with --database PATH.")
    try:
        with (
            translate_open_errors(path),
            duckdb.connect(path, read_only=True, config=dict(_NO_EXTENSIONS)) as connection,
        ):
            tables = {
                name for (name,) in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()
            }
    except DatabaseLockedError:
        raise
    except StoreError as error:
        raise StoreError(f"{path} is not a demo's database, so it is not replaced. {error}") from None
    others = {name for name in tables - {NOTE, "events"} if not name.startswith(OWN_PREFIX)}
    if NOTE not in tables or others:
        raise StoreError(f"{path} holds data that is not a demo's, so it is not replaced: choose another --database.")
