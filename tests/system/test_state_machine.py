"""The invariants, under any order of fetches, faults, cancels, kills, changed days and reopenings.

A chunk is there wholly or not at all; its journal row and its rows come and go together; what was reported is there;
a row is there as often as the server had it; a failed or cancelled replacement leaves the old chunk or the new one;
no other table changes; and once faults stop, one resume completes the table and a second asks for nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mixpanel_async import ExportError, MixpanelClient, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, Fault
from tests.cancellation.stepping import Steps
from tests.slices import NIGHTLY, whole

from .conftest import AT_ONCE, UNHURRIED

DAYS = 6
FIRST = 1_767_225_600  # 2026-01-01 as epoch seconds

FAULTS = {
    "no trailer": Fault.no_trailer(),
    "terminated early": Fault.terminated_early(1),
    "reset": Fault.reset(),
    "503": Fault.status(503),
    "bad CRC": Fault.bad_crc(),
    "html": Fault.html(),
}

CHILD = """
import asyncio, sys
from mixpanel_async import MixpanelClient, RateLimits, RetryPolicy, ServiceAccount
async def main(url, user, secret, project, path, first, last, size, append):
    def told(news):
        if news.success:
            print(news.from_date, news.to_date, flush=True)
    account = ServiceAccount(user, secret, project)
    async with MixpanelClient(account, base_url=url, database=path, limits=RateLimits(10000, 1000000),
                              retry=RetryPolicy(3, 0, 0)) as client:
        await client.fetch_events(from_date=first, to_date=last, parallel=True, chunk_days=int(size), max_workers=1,
                                  append=append == "append", resume=append != "append", on_batch_complete=told)
asyncio.run(main(*sys.argv[1:]))
"""


def name(day: int) -> str:
    return f"2026-01-{day + 1:02}"


class Days:
    """A source of events whose days change when told."""

    def __init__(self) -> None:
        self.lines: dict[int, list[bytes]] = {day: [] for day in range(DAYS)}

    def pieces(self, day, *, now, order=0):
        number = (day.day - 1) if day.month == 1 else DAYS
        if lines := self.lines.get(number):
            yield b"".join(line + b"\n" for line in lines)

    def content(self, day: int) -> Counter[bytes]:
        return Counter(self.lines[day])


def event(day: int, second: int, number: int) -> bytes:
    # Without an insert id: each row counts, also one that is there twice.
    return json.dumps(
        {
            "event": "e",
            "properties": {
                "time": (FIRST + day * 86_400 + second) * 1000 + number % 1000,
                "n": number,
                "pad": "x" * 800,
            },
        },
        separators=(",", ":"),
    ).encode()


dates = st.tuples(st.integers(0, DAYS - 1), st.integers(0, DAYS - 1)).map(sorted)
sizes = st.integers(1, DAYS)


class Exports(RuleBasedStateMachine):
    """The model: which lines the table holds for each day, as one fetch gave them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "mixpanel.duckdb"
        self.source = Days()
        self.fake = self.runner.run(self.serve())
        self.client = self.connect()
        self.held: dict[int, Counter[bytes]] = {}
        self.heard: list[tuple[str, str]] = []

    async def serve(self):
        fake = FakeMixpanel(self.source, today="2026-06-01", limits=None)
        await fake.start()
        return fake

    def connect(self):
        account = self.fake.project.service_account
        credentials = ServiceAccount(account.username, account.secret, self.fake.project.id)
        settings = {"base_url": self.fake.url, "limits": UNHURRIED, "retry": AT_ONCE}
        return MixpanelClient(credentials, database=self.path, **settings)

    def teardown(self):
        self.runner.run(self.client.close())
        self.runner.run(self.fake.close())
        self.runner.close()
        self.directory.cleanup()

    # What may happen

    @initialize(rows=st.lists(st.integers(0, 3), min_size=DAYS, max_size=DAYS))
    def the_server_has_days(self, rows):
        for day, count in enumerate(rows):
            self.source.lines[day] = [event(day, second, 0) for second in range(count)] * (1 + day % 2)
        self.other = self.fetch_other()

    @rule(day=st.integers(0, DAYS - 1), count=st.integers(0, 4), number=st.integers(1, 9))
    def a_day_changes_on_the_server(self, day, count, number):
        self.source.lines[day] = [event(day, second, number) for second in range(count)]

    @rule(day=st.integers(0, DAYS - 1), fault=st.sampled_from(sorted(FAULTS)), times=st.integers(1, 6))
    def a_day_gets_a_fault(self, day, fault, times):
        self.fake.faults.add(FAULTS[fault], date=name(day), times=times)

    @rule(dates=dates, size=sizes, append=st.booleans(), parallel=st.booleans())
    def fetch(self, dates, size, append, parallel):
        self.settle(dates, self.runner.run(self.run(dates, size, append=append, parallel=parallel)))

    @rule(dates=dates, size=sizes, append=st.booleans(), step=st.integers(1, 150))
    def fetch_and_cancel(self, dates, size, append, step):
        self.runner.run(self.run(dates, size, append=append, parallel=True, cancel_at=step))
        self.settle(dates, None)

    @rule(dates=dates, size=sizes, others=dates)
    def fetch_twice_at_the_same_time(self, dates, size, others):
        async def both():
            calls = [self.run(each, size, append=False, parallel=True) for each in (dates, others)]
            await asyncio.gather(*calls)

        self.runner.run(both())
        self.settle((min(dates[0], others[0]), max(dates[1], others[1])), None)

    @rule(dates=dates, size=sizes, append=st.booleans(), after=st.integers(0, 3))
    def fetch_and_kill(self, dates, size, append, after):
        self.runner.run(self.killed(dates, size, append=append and bool(self.held), after=after))
        self.settle(dates, None)

    @rule()
    def reopen(self):
        self.runner.run(self.client.close())
        self.client = self.connect()

    @rule()
    def once_faults_stop_one_resume_completes(self):
        self.fake.faults.clear()
        whole = (0, DAYS - 1)
        result = self.runner.run(self.run(whole, 2, append=False, parallel=True))
        assert result is not None
        assert not result.has_failures
        self.settle(whole, None)
        asked = len(self.fake.requests)
        again = self.runner.run(self.run(whole, 3, append=False, parallel=True))
        assert again.total_rows == 0
        assert len(self.fake.requests) == asked
        assert set(self.held) == set(range(DAYS))

    # What must hold

    @invariant()
    def the_journal_and_the_rows_agree(self):
        for first, last, said, counted in self.journal():
            assert said == counted, (first, last)

    @precondition(lambda self: self.path.exists())
    @invariant()
    def no_row_is_outside_the_journal(self):
        rows = self.rows()
        assert set(rows) <= set(self.days_held())

    @invariant()
    def the_other_table_is_as_it_was(self):
        assert self.rows("other") == self.other

    # How it is done

    async def run(self, dates, size, *, append, parallel, cancel_at=None):
        loop = asyncio.get_running_loop()
        self.heard = []
        append = append and bool(self.days_held())
        call = self.client.fetch_events(
            from_date=name(dates[0]),
            to_date=name(dates[1]),
            append=append,
            resume=not append,
            parallel=parallel,
            chunk_days=size,
            on_batch_complete=self.hear,
        )
        if cancel_at is not None:
            loop.set_task_factory(Steps({cancel_at}, lambda: task.cancel()).factory)  # noqa: PLW0108
        task = loop.create_task(call)
        try:
            await asyncio.wait({task}, timeout=30)
        finally:
            loop.set_task_factory(None)
        assert task.done()
        if task.cancelled():
            return None
        if (error := task.exception()) is not None:
            assert isinstance(error, ExportError), error
            return None
        return task.result()

    def hear(self, news):
        if news.success:
            self.heard.append((news.from_date, news.to_date))

    async def killed(self, dates, size, *, append, after):
        account = self.fake.project.service_account
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD,
            self.fake.url, account.username, account.secret, str(self.fake.project.id), str(self.path),
            name(dates[0]), name(dates[1]), str(size), "append" if append else "resume",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self.heard = []
        while len(self.heard) < after and (line := await process.stdout.readline()):
            first, last = line.decode().split()
            self.heard.append((first, last))
        if process.returncode is None and after:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        await process.communicate()

    def settle(self, dates, result):
        """Hold what the table has now against what it may have, then take it over into the model."""
        rows, held = self.rows(), {}
        failed = [] if result is None else list(getattr(result, "failed_date_ranges", ()))
        for first, last in self.chunks():
            days = range(first, last + 1)
            new = all(rows.get(day, Counter()) == self.source.content(day) for day in days)
            old = all(day in self.held and rows.get(day, Counter()) == self.held[day] for day in days)
            fetched = dates[0] <= first and last <= dates[1]
            assert old or (new and fetched), (first, last)
            if (name(first), name(last)) in self.heard:
                assert new
            assert old or (name(first), name(last)) not in failed
            held |= {day: rows.get(day, Counter()) for day in days}
        assert set(self.held) <= set(held)
        self.held = held

    def fetch_other(self):
        self.runner.run(self.client.fetch_events("other", from_date=name(0), to_date=name(DAYS - 1)))
        return self.rows("other")

    def query(self, sql, table="events"):
        """Rows of a query about a table; none if the table, or the file, is not there."""
        if not self.path.exists():
            return []
        with duckdb.connect(str(self.path)) as connection:
            there = f"SELECT 1 FROM duckdb_tables() WHERE table_name = '{table}'"
            return connection.execute(sql).fetchall() if connection.execute(there).fetchall() else []

    def rows(self, table="events"):
        days: dict[int, Counter[bytes]] = {}
        for name_, properties in self.query(f"SELECT event_name, properties FROM {table}", table):
            day = (json.loads(properties)["time"] // 1000 - FIRST) // 86_400
            line = b'{"event":"%s","properties":%s}' % (name_.encode(), properties.encode())
            days.setdefault(day, Counter())[line] += 1
        return days

    def journal(self):
        return self.query(
            "SELECT day(from_date) - 1, day(to_date) - 1, rows, (SELECT count(*) FROM events WHERE event_time >= from_date "
            "AND event_time < to_date + 1) FROM _mixpanel_chunks WHERE table_name = 'events' ORDER BY 1"
        )

    def chunks(self):
        return [row[:2] for row in self.journal()]

    def days_held(self):
        return [day for first, last in self.chunks() for day in range(first, last + 1)]


@pytest.mark.filterwarnings("default::ResourceWarning")  # of processes that were killed on purpose
class TestExports(Exports.TestCase):
    settings = settings(
        max_examples=whole(100, 3),
        stateful_step_count=whole(20, 10),
        deadline=None,
        derandomize=not NIGHTLY,
        suppress_health_check=list(HealthCheck),
    )
