"""The events, on a server and as files with the same bodies."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.task import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
FIRST = dt.date(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class DataSet:
    """A number of events, spread over a number of days."""

    events: int
    days: int
    unique: bool = False
    """Whether each line has its own insert id. If not, some lines repeat others and some have none, as in Mixpanel."""

    def events_of(self, day: dt.date) -> int:
        """Return the number of events of a day. Days differ by one event at most."""
        place = (day - FIRST).days
        if not 0 <= place < self.days:
            return 0
        return self.events // self.days + (place < self.events % self.days)

    def date(self, number: int) -> str:
        """Return the date of a day, counted from 1."""
        return str(FIRST + dt.timedelta(days=number - 1))


@dataclass(frozen=True, slots=True)
class Truth:
    """What a correct table must have: the number of rows, and the sums of their times."""

    rows: int
    seconds: int
    """Of each time rounded down to a second."""
    milliseconds: int

    def in_seconds(self) -> Truth:
        """Return what a client has that requests times in seconds."""
        return replace(self, milliseconds=1000 * self.seconds)


@dataclass(frozen=True, slots=True)
class Served:
    """A data set while its server runs."""

    data: DataSet
    _task: Task
    _server: subprocess.Popen[str] = field(repr=False)

    def task(self, database: Path, **changes: Any) -> Task:  # noqa: ANN401 - `replace` checks them
        """Return the task to load all events into a database; `changes` replaces fields of the task."""
        return replace(self._task, database=str(database), **changes)

    def pace(self, latency: float = 0.0, bytes_per_second: float | None = None) -> None:
        """Set the server's speed from now on."""
        _answer(self._server, latency=latency, bytes_per_second=bytes_per_second)


@contextmanager
def served(data: DataSet, directory: Path, *, as_one: bool = False, in_seconds: bool = False) -> Iterator[Served]:
    """Serve the events. Each day is requested once before, so that the server has its body cached and it is in a file.

    With `as_one` the response with all days is requested too, for clients that export all days in one request; with
    `in_seconds` each response is also requested with times in seconds, for clients that do not ask for milliseconds.
    """
    with (
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server", json.dumps(asdict(data))],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as server,
        _removed(directory / f"{data.events}-{data.days}-{data.unique}") as files,
    ):  # fmt: skip
        try:
            first, last = data.date(1), data.date(data.days)
            task = Task(**_answer(server), from_date=first, to_date=last, database="", files=str(files))
            with ThreadPoolExecutor(2) as threads:
                list(threads.map(lambda day: _download(task, day, day, f"{day}.gz"), task.days))
            whole = [(first, last)] if as_one else []
            for dates in whole:
                _download(task, *dates, os.devnull)
            for dates in [*whole, *((day, day) for day in task.days)] if in_seconds else []:
                _download(task, *dates, os.devnull, time_in_ms=False)
            yield Served(data, task, server)
        finally:
            server.communicate()


def truth_of(task: Task, *, deduplicated: bool) -> Truth:
    """Count the events in a task's files: all lines, or without duplicates."""
    lines, events = _of_files(*(f"{task.files}/{day}.gz" for day in task.days))
    return events if deduplicated else lines


@cache
def _of_files(*paths: str) -> list[Truth]:
    return _counted("files", *paths)


def truth_of_table(database: Path) -> Truth:
    """Count the rows that a contender stored."""
    return _counted("table", str(database))[0]


def _counted(*arguments: str) -> list[Truth]:
    """Count in another process, so that this one stays small."""
    command = [sys.executable, "-m", "benchmarks.truth", *arguments]
    counted = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return [Truth(*numbers) for numbers in json.loads(counted.stdout)]


@contextmanager
def _removed(files: Path) -> Iterator[Path]:
    """Create a directory, and delete it at the end: it holds some hundred megabytes."""
    files.mkdir()
    try:
        yield files
    finally:
        shutil.rmtree(files)


def _answer(server: subprocess.Popen[str], **told: float | None) -> dict[str, Any]:
    """Send settings to the server, and return its reply."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(told) + "\n")
    server.stdin.flush()
    answer: dict[str, Any] = json.loads(server.stdout.readline())
    return answer


def _download(task: Task, first: str, last: str, file_name: str, *, time_in_ms: bool = True) -> None:
    """Write a body to a file, still compressed."""
    login = base64.b64encode(f"{task.username}:{task.secret}".encode()).decode()
    request = urllib.request.Request(
        f"{task.url}/api/2.0/export?project_id={task.project_id}&from_date={first}&to_date={last}"
        + "&time_in_ms=true" * time_in_ms,
        headers={"Authorization": f"Basic {login}", "Accept-Encoding": "gzip"},
    )
    with urllib.request.urlopen(request) as body, (Path(task.files) / file_name).open("wb") as file:
        shutil.copyfileobj(body, file)
