"""``python -m mixpanel_async.testing``: serves a fake Mixpanel until Ctrl-C, SIGTERM, or until stdout is closed."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import stat
import sys
from collections.abc import Callable, Sequence
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

{data}
service account  {user}
  its secret     {secret}
  project_id     {id}
project secret   {api_secret}   (identifies the project: send no project_id)
OAuth token      {token}   (with project_id)

Use {url} in a client instead of https://data.mixpanel.com and https://mixpanel.com:

curl --compressed -u {user}:{secret} '{url}/api/2.0/export?project_id={id}&from_date={day}&to_date={day}'
curl --compressed -u {user}:{secret} -X POST '{url}/api/query/engage?project_id={id}'

export MP_BASE_URL={url} MP_USERNAME={user} MP_SECRET={secret} MP_PROJECT_ID={id}

account = ServiceAccount("{user}", "{secret}", project_id={id})
client = MixpanelClient(account, base_url="{url}", database="mixpanel.duckdb")

Ctrl-C ends it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve, with the given options or those of the process (None).

    Returns 0 after a signal or after stdout was closed, and 1 if the port cannot be opened.

    Raises:
        SystemExit: with 2 for wrong options, and 0 after `--help`.
    """
    arguments = parse_arguments(argv)
    try:
        return asyncio.run(serve(arguments))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes stdout when it exits
        return 0


async def serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal arrives or the reader of stdout closes it; returns the exit code.

    Raises BrokenPipeError if stdout or stderr is a closed pipe.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    fake, welcome = _make_fake(arguments)
    try:
        await fake.start()
    except OSError as error:
        print(f"Cannot listen on port {arguments.port}: {os.strerror(error.errno or 0)}.", file=sys.stderr)
        return 1
    printer = _RequestPrinter(fake)
    following = asyncio.create_task(printer.follow())
    try:
        print(_fill_in(welcome, fake), flush=True)
        _call_when_stdout_closes(stop.set)
        await stop.wait()
    finally:
        following.cancel()
        await fake.close()
    printer.print_ended()
    return 0


def _make_fake(arguments: argparse.Namespace) -> tuple[FakeMixpanel, dict[str, object]]:
    """Make the server; also return the values for WELCOME that depend on the options."""
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
    for text in arguments.fault:
        add_fault(fake.faults, text)
    data = f"{arguments.events} events a day, {first} to {last}, and {arguments.profiles} profiles."
    return fake, {"data": f"{data}\nIt is {clock.now:%Y-%m-%d %H:%M} UTC; the clock stands still.", "day": last}


def _fill_in(welcome: dict[str, object], fake: FakeMixpanel) -> str:
    """Return WELCOME with the URL and the credentials. These are no secrets: they are valid only here."""
    project = fake.project
    return WELCOME.format(
        url=fake.url,
        id=project.id,
        user=project.service_account.username,
        secret=project.service_account.secret,
        api_secret=project.api_secret,
        token=project.oauth_token,
        **welcome,
    )


def _call_when_stdout_closes(callback: Callable[[], object]) -> None:
    """Call ``callback`` when the reader of stdout closes it. Does nothing if stdout is not a pipe."""
    try:
        number = sys.stdout.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(number).st_mode)
    except (AttributeError, OSError, ValueError):  # stdout is closed already, or is not a file
        return
    if is_pipe:
        asyncio.get_running_loop().add_reader(number, callback)  # a pipe's write end is "readable" once it is broken


class _RequestPrinter:
    """Prints a line on stderr for each request that has ended."""

    def __init__(self, fake: FakeMixpanel) -> None:
        self._fake = fake
        self._seen = 0
        self._open: list[RequestRecord] = []

    async def follow(self) -> None:
        """Print requests as they end, until cancelled."""
        while True:
            await self._fake.until(self._has_news)
            self.print_ended()

    def print_ended(self) -> None:
        """Print the requests that have ended since the last call."""
        self._open += self._fake.requests[self._seen :]
        self._seen = len(self._fake.requests)
        for record in self._open:
            if record.ended:
                print(_line(record), file=sys.stderr, flush=True)
        self._open = [record for record in self._open if not record.ended]

    def _has_news(self) -> bool:
        return len(self._fake.requests) > self._seen or any(record.ended for record in self._open)


def _line(record: RequestRecord) -> str:
    """Describe a request and its response in one line."""
    dates = "" if record.from_date is None else f" {record.from_date} to {record.to_date}, attempt {record.attempt}"
    fault = f", fault: {record.fault}" if record.fault else ""
    end = "" if record.finished else ", broke off"
    return f"{record.method} {record.path}{dates}: {record.status}, {record.bytes_sent:,} bytes{end}{fault}"


if __name__ == "__main__":
    sys.exit(main())
