"""Every system call that writes: `python -m tests.durability.syscalls` fails the first, the second, the third ... of
each kind until a run needs no more of them. strace kills the process at the call, or gives it an error in its place.
After each the file must open (or not be there) and hold whole chunks only, what was acknowledged must be in it, and a
resume must finish the job.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import logging
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mixpanel_async import MixpanelClient, RateLimits, RetryPolicy, ServiceAccount
from mixpanel_async.testing import FakeMixpanel

from .check import FIRST, NOW, Generations, Promise
from .child import ALL, REFUSED, Task
from .lives import Life, live, task_for

CALLS = (
    "pwrite64",
    "write",
    "fsync",
    "fdatasync",
    "ftruncate",
    "link",
    "unlink",
    "unlinkat",
    "rmdir",
    "rename",
    "mkdir",
)
ENDINGS = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
"""Of the names of DuckDB's files."""
LANES = 3
"""Scenes at the same time."""
HOW = ("signal=KILL", "error=ENOSPC", "error=EIO")


@dataclass(frozen=True, slots=True)
class Point:
    """The `number`-th call of a kind, and what happens in its place."""

    call: str
    number: int
    how: str = "signal=KILL"

    def __str__(self) -> str:
        return f"{self.how} at {self.call} {self.number}"


@dataclass(frozen=True, slots=True)
class Scene:
    """What the run does that is disturbed."""

    name: str
    per_day: int
    days: int
    checkpoint: int
    is_there: bool = False
    """Whether there is a table already, which the run replaces."""

    @property
    def dates(self) -> tuple[dt.date, dt.date]:
        return FIRST, FIRST + dt.timedelta(days=self.days - 1)

    def call(self, **how: bool) -> dict[str, object]:
        first, last = map(str, self.dates)
        return {"from_date": first, "to_date": last, "parallel": True, "chunk_days": 1, "max_workers": 1, **how}


SCENES = (
    Scene("a new file", 20, 2, 64 << 20),
    Scene("an append, a checkpoint after each chunk", 20, 2, 1 << 10, is_there=True),
    Scene("an append of chunks that are written past the log", 8400, 1, 64 << 20, is_there=True),
)


def missing() -> str | None:
    """Why no call can be failed here; `None` where all is there."""
    if shutil.which("strace") is None:
        return "strace is not here (Linux: apt-get install strace)"
    probe = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        return "strace may not trace here"
    return None


def under_strace(point: Point, path: Path, log: Path | None = None) -> list[str]:
    """The command that runs another, and fails it at this point."""
    files = [f"{path}{ending}" for ending in ENDINGS] if point.call == "write" else []  # other files are written too
    fast = [] if point.how.startswith("signal") else ["--seccomp-bpf"]  # with it no kill comes (strace 6.1)
    return [
        "strace", "-f", *fast, "-qq", "-o", str(log or "/dev/null"), *(f"-P{each}" for each in files), "-e", f"trace={point.call}",
        "-e", f"inject={point.call}:{point.how}:when={point.number}",
    ]  # fmt: skip


@dataclass(slots=True)
class Points:
    """What was tried, and what was found."""

    fired: Counter[tuple[str, str]] = field(default_factory=Counter)
    told: int = 0
    """Errors that ended the run with a StoreError."""
    borne: int = 0
    """Errors that the run went on after."""
    littered: int = 0
    """Kills that left the directory in which the file is made."""
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = Counter[str]()
        for (how, _), count in self.fired.items():
            kinds[how] += count
        parts = ", ".join(f"{count} {how}" for how, count in kinds.items())
        return (
            f"{self.fired.total()} points ({parts}), {self.told} errors told and {self.borne} borne, "
            f"{self.littered} directories left behind, {len(self.violations)} violations"
        )


class Stage:
    """One scene, played again for each point on a file of its own."""

    def __init__(self, scene: Scene, directory: Path, points: Points) -> None:
        self._scene = scene
        self._directory = directory
        self._points = points
        self._source = Generations(scene.per_day)
        self._template = directory / "template.duckdb"

    async def play(self, calls=CALLS, hows=HOW, limit: int = 1000) -> None:
        async with FakeMixpanel(self._source, today=NOW.date(), limits=None) as fake:
            if self._scene.is_there:
                await self._fetch(fake, self._template)
                self._source.generation = 1
            made = await self._made(fake)
            for how in hows:
                for call in filter(made.__contains__, calls):
                    for number in range(1, limit + 1):
                        if not await self._happens(fake, Point(call, number, how)):
                            break

    async def _made(self, fake: FakeMixpanel) -> set[str]:
        """Which of the calls a run makes."""
        with tempfile.TemporaryDirectory(dir=self._directory) as place:
            _, task = self._ready(fake, Path(place))
            log = Path(place) / "strace.log"
            under = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", str(log), "-e", f"trace={','.join(CALLS)}"]
            await live(task, fake, under=under)
            return set(re.findall(r"^[0-9]+ +([a-z0-9]+)\(", log.read_text(), re.MULTILINE))

    def _ready(self, fake: FakeMixpanel, place: Path) -> tuple[Promise, Task]:
        promise = Promise(place / "events.duckdb", per_day=self._scene.per_day)
        if self._scene.is_there:
            shutil.copy(self._template, promise.path)
            promise.generations = 2
            promise.acknowledge(*map(str, self._scene.dates), 0)
        call = self._scene.call(**({"append": True} if self._scene.is_there else {"resume": True}))
        return promise, task_for(fake, promise.path, call, checkpoint=self._scene.checkpoint, one_thread=True)

    async def _happens(self, fake: FakeMixpanel, point: Point) -> bool:
        """Whether there was such a call."""
        with tempfile.TemporaryDirectory(dir=self._directory) as place:
            promise, task = self._ready(fake, Path(place))
            log = Path(place) / "strace.log"
            life = await live(task, fake, under=self._under(point, promise.path, log))
            killed = life.code == -signal.SIGKILL
            fired = killed or b"(INJECTED)" in log.read_bytes()
            if fired:
                self._points.fired[point.how, point.call] += 1
                self._points.told += life.code == REFUSED
                self._points.borne += life.code == ALL
            elif life.code != ALL:
                self._violated(point, f"undisturbed, it ended with {life.code}: {life.errors}")
            await self._judge(fake, point, promise, life)
            self._points.littered += _littered(Path(place))
        return fired

    def _under(self, point: Point, path: Path, log: Path) -> list[str]:
        """The command that runs another, and disturbs it at this point."""
        return under_strace(point, path, log)

    async def _judge(self, fake: FakeMixpanel, point: Point, promise: Promise, life: Life) -> None:
        for dates in life.acknowledged:
            promise.acknowledge(*dates, self._source.generation)
        odd = [
            each
            for each in life.odd
            if "was closed, but DuckDB could not" not in each and "The table stays" not in each
        ]
        left = _size(promise.path.with_name("events.duckdb.wal")) > 0
        if life.code == ALL and left != ("was closed, but DuckDB could not" in life.errors):
            odd.append(f"a log is {'left' if left else 'not left'}, and it said {life.errors!r}")
        try:
            self._violated(point, *odd, *promise.broken())
            await self._fetch(fake, promise.path)
            self._violated(point, *promise.broken(all_of=self._scene.dates))
            asked = len(fake.requests)
            await self._fetch(fake, promise.path)
            if len(fake.requests) != asked:
                self._violated(point, "requests for what was all there")
        except Exception as error:  # noqa: BLE001 - whatever a user would meet
            self._violated(point, f"{error!r}")

    async def _fetch(self, fake: FakeMixpanel, path: Path) -> None:
        """What a user does next: the same again, to resume."""
        account = fake.project.service_account
        async with MixpanelClient(
            ServiceAccount(account.username, account.secret, fake.project.id),
            database=path,
            base_url=fake.url,
            limits=RateLimits(per_second=100_000, per_hour=10_000_000),
            retry=RetryPolicy(3, 0.0, 0.0),
        ) as client:
            await client.fetch_events(**self._scene.call(resume=True))

    def _violated(self, point: Point, *what: str) -> None:
        for each in what:
            self._points.violations.append(f"{self._scene.name}, {point}: {each}")
            sys.stdout.write(f"VIOLATION {self._points.violations[-1]}\n")
            sys.stdout.flush()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _littered(place: Path) -> bool:
    return any(place.glob(".events.duckdb.*"))


async def campaign(directory: Path) -> Points:
    points, started, lanes = Points(), time.monotonic(), asyncio.Semaphore(LANES)

    async def play(scene: Scene, how: str) -> None:
        async with lanes:
            with tempfile.TemporaryDirectory(dir=directory) as place:
                await Stage(scene, Path(place), points).play(hows=(how,))
        sys.stdout.write(f"{time.monotonic() - started:5.0f} s: {scene.name}, {how}; so far {points}\n")
        sys.stdout.flush()

    async with asyncio.TaskGroup() as group:
        for scene in SCENES:
            for how in HOW:
                group.create_task(play(scene, how))
    return points


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    if (why := missing()) is not None:
        sys.stdout.write(f"Nothing was done: {why}.\n")
        return 0
    logging.getLogger("mixpanel_async").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="mixpanel-async-syscalls-") as directory:
        points = asyncio.run(campaign(Path(directory)))
    for (how, call), count in sorted(points.fired.items()):
        sys.stdout.write(f"{how:12} {call:10} {count:4}\n")
    sys.stdout.write(f"{points}.\n")
    return 1 if points.violations else 0


if __name__ == "__main__":
    sys.exit(main())
