"""A fake Mixpanel from the shell: ``python -m mixpanel_async.testing`` serves until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.data.generated_events import GeneratedEvents
from mixpanel_async.testing.data.generated_profiles import GeneratedProfiles
from mixpanel_async.testing.http.request_log import RequestRecord
from mixpanel_async.testing.limits.rate_limiter import FakeLimits
from mixpanel_async.testing.projects.project import Project
from mixpanel_async.testing.server import FakeMixpanel
from mixpanel_async.testing.shell.command_line import parse_arguments
from mixpanel_async.testing.shell.fault_option import add_fault

PROJECTS = {
    "utc": Project(),
    "local": Project(id=777, api_secrets=("oldsecret",), timezone="US/Pacific", created=date(2021, 5, 1)),
}

WELCOME = """\
{url}

{what}
service account  {user}
  its secret     {secret}
  project_id     {id}
project secret   {api_secret}   (it names the project: without project_id)
OAuth token      {token}   (with project_id)

Point a client to {url} where it has https://data.mixpanel.com and https://mixpanel.com:

curl --compressed -u {user}:{secret} '{url}/api/2.0/export?project_id={id}&from_date={day}&to_date={day}'
curl --compressed -u {user}:{secret} -X POST '{url}/api/query/engage?project_id={id}'

account = ServiceAccount("{user}", "{secret}", project_id={id})
client = MixpanelClient(account, base_url="{url}", database="mixpanel.duckdb")

Ctrl-C ends it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; `None` takes the process's arguments. Gives 0 after a signal, and 1 if it cannot listen.

    Raises:
        SystemExit: with 2 for wrong options, and 0 after `--help`.
    """
    arguments = parse_arguments(argv)
    try:
        asyncio.run(serve(arguments))
    except OSError as error:
        print(f"Cannot listen on port {arguments.port}: {os.strerror(error.errno or 0)}.", file=sys.stderr)
        return 1
    return 0


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until a signal comes."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    project, clock = PROJECTS[arguments.project], arguments.today or FakeClock(datetime.now(UTC))
    last = project.today(clock.now)
    first = last - timedelta(days=arguments.days - 1)
    fake = FakeMixpanel(
        GeneratedEvents(
            per_day=arguments.events,
            seed=arguments.seed,
            since=first,
            until=last,
            original_ids=arguments.project == "local",
        ),
        profiles=GeneratedProfiles(count=arguments.profiles, seed=arguments.seed),
        clock=clock,
        projects=[project],
        limits=FakeLimits() if arguments.limits else None,
        latency=arguments.latency,
        bytes_per_second=arguments.bytes_per_second,
        cache=arguments.cache,
        port=arguments.port,
    )
    for words in arguments.fault:
        add_fault(fake.faults, words)
    log = _Log(fake)
    following = asyncio.create_task(log.follow())
    async with fake:
        held = f"{arguments.events} events a day, {first} to {last}, and {arguments.profiles} profiles."
        print(_welcome(fake, f"{held}\nIt is {clock.now:%Y-%m-%d %H:%M} UTC and stays so.", last), flush=True)
        await ended.wait()
    following.cancel()
    log.tell()


def _welcome(fake: FakeMixpanel, what: str, day: date) -> str:
    """Say where it is, what it has, and who may ask. The credentials are no secrets: they open nothing else."""
    project = fake.project
    return WELCOME.format(
        url=fake.url,
        what=what,
        id=project.id,
        user=project.service_account.username,
        secret=project.service_account.secret,
        api_secret=project.api_secret,
        token=project.oauth_token,
        day=day,
    )


class _Log:
    """Prints a line for each request once it is over."""

    def __init__(self, fake: FakeMixpanel) -> None:
        self._fake = fake
        self._seen = 0
        self._open: list[RequestRecord] = []

    async def follow(self) -> None:
        while True:
            await self._fake.until(self._has_news)
            self.tell()

    def tell(self) -> None:
        self._open += self._fake.requests[self._seen :]
        self._seen = len(self._fake.requests)
        for record in self._open:
            if record.ended:
                print(_line(record), file=sys.stderr, flush=True)
        self._open = [record for record in self._open if not record.ended]

    def _has_news(self) -> bool:
        return len(self._fake.requests) > self._seen or any(record.ended for record in self._open)


def _line(record: RequestRecord) -> str:
    """Say what was asked, by path and dates, and what became of it."""
    dates = "" if record.from_date is None else f" {record.from_date} to {record.to_date}, attempt {record.attempt}"
    fault = f", fault: {record.fault}" if record.fault else ""
    end = "" if record.finished else ", broke off"
    return f"{record.method} {record.path}{dates}: {record.status}, {record.bytes_sent:,} bytes{end}{fault}"


if __name__ == "__main__":
    sys.exit(main())
