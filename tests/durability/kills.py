"""Random kills: `python -m tests.durability.kills 500 [--seed 1]` kills five hundred runs, looks into the file after
each, lets the next run finish the job, and says what it found.

What is drawn (the dates, the faults, the moments, the signals) is the same for the same seed; what the machine makes
of it is not.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from mixpanel_async.testing import FakeMixpanel, Fault, FaultPlan
from mixpanel_async.testing.faults.fault import NOTHING

from .check import FIRST, NOW, Generations, Promise
from .child import ALL
from .lives import Kill, Life, live, task_for

FAULTY = 0.36
"""Of all requests."""
LANES = 3
"""Stories at the same time."""
RUNS = 12
"""Runs without a kill after which a story must be done."""


def any_fault(rng: random.Random) -> Fault:
    fraction, lines = rng.uniform(0.02, 0.99), rng.randrange(25)
    return rng.choice(
        [
            *(
                Fault.cut(after_fraction=fraction, framing=framing)
                for framing in ("chunked-clean", "chunked-broken", "close", "content-length")
            ),
            Fault.reset(),
            Fault.reset(after_bytes=rng.randrange(3000)),
            Fault.no_trailer(),
            Fault.no_trailer(4),
            Fault.bad_crc(),
            Fault.garbage_after(),
            Fault.cut_at_line(lines),
            Fault.cut_at_line(lines % 20, ending="clean"),  # only the gzip trailer tells
            Fault.terminated_early(lines),
            Fault.terminated_early(lines, "export terminated early", newline=True),
            Fault.only_terminated(),
            Fault.half_line(lines % 20),
            Fault.error_line(lines),
            Fault.html(),
            Fault.timeout_error(),
            Fault.rate_limited("0"),
            Fault.rate_limited(),
            *(Fault.status(code) for code in (500, 502, 503)),
        ]
    )


class DrawnFaults(FaultPlan):
    """About a third of all requests is faulty; which, and how, is drawn for each dates and attempt."""

    __slots__ = ("_seed", "happened", "share")

    def __init__(self, seed: object, share: float = FAULTY) -> None:
        super().__init__()
        self._seed = seed
        self.share = share
        self.happened = 0

    def due(self, from_date: dt.date, to_date: dt.date, attempt: int) -> Fault:
        rng = random.Random(f"{self._seed} {from_date} {to_date} {attempt}")
        if rng.random() >= self.share:
            return NOTHING
        self.happened += 1
        return any_fault(rng)


@dataclass(slots=True)
class Counts:
    kills: int = 0
    interrupts: int = 0
    """Of the kills, those by SIGINT."""
    runs: int = 0
    requests: int = 0
    faults: int = 0
    acknowledged: int = 0
    stories: int = 0
    checks: int = 0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills ({self.interrupts} by SIGINT), {self.faults} faults in {self.requests} requests, "
            f"{self.runs} runs, {self.stories} tables finished, {self.acknowledged} chunks acknowledged, "
            f"{self.checks} looks into the file, {len(self.violations)} violations"
        )


class Story:
    """One file's: runs that are killed, until one is let go on to the end."""

    def __init__(self, seed: object, directory: Path, counts: Counts, wanted: int, most_days: int) -> None:
        self._name = f"seed {seed}"
        self._rng = rng = random.Random(f"{seed}")
        self._counts = counts
        self._wanted = wanted
        """Kills, of all stories."""
        self._kind = rng.choices(["fill", "append", "start", "single"], [5, 4, 2, 1])[0]
        self._source = Generations()
        self._promise = Promise(directory / "events.duckdb", deduplicate=rng.random() < 0.6)
        count = rng.randint(6, 20) if self._kind in {"start", "single"} else rng.randint(most_days // 2, most_days)
        self._dates = (FIRST, FIRST + dt.timedelta(days=count - 1))
        self._checkpoint = rng.choice([64 << 20, 64 << 20, 256 << 10, 1 << 10])
        self._faults = DrawnFaults(seed)

    async def told(self) -> None:
        async with FakeMixpanel(self._source, today=NOW.date(), limits=None) as fake:
            fake.faults = self._faults
            try:
                await self._lived(fake)
            finally:
                self._counts.requests += len(fake.requests)
                self._counts.faults += self._faults.happened
        self._counts.stories += 1

    async def _lived(self, fake: FakeMixpanel) -> None:
        if self._kind == "append":
            self._faults.share = 0.0
            await self._run(fake, None, resume=True)
            self._faults.share = FAULTY
        killed = 0
        kills = 8 if self._kind == "start" else self._rng.randint(2, 5)
        while killed < kills and self._counts.kills < self._wanted:
            if self._kind == "append":
                self._source.generation += 1
                self._promise.generations += 1
            life = await self._run(fake, self._any_kill(), **self._how())
            killed += life.struck
            if not life.struck and self._kind != "append":
                break
        await self._finished(fake)

    async def _finished(self, fake: FakeMixpanel) -> None:
        for _ in range(RUNS):
            life = await self._run(fake, None, **self._how())
            if life.code == ALL:
                break
        else:
            self._violated(f"not done after {RUNS} runs that nobody killed")
        if self._kind == "append":
            self._promise.acknowledge(*map(str, self._dates), self._source.generation)
        self._violated(*self._promise.broken(all_of=self._dates))
        asked = len(fake.requests)
        await self._run(fake, None, resume=True)
        if len(fake.requests) != asked:
            self._violated(f"{len(fake.requests) - asked} requests for what was all there")

    async def _run(self, fake: FakeMixpanel, kill: Kill | None, **how: object) -> Life:
        life = await live(task_for(fake, self._promise.path, self._call(how), checkpoint=self._checkpoint), fake, kill)
        for dates in life.acknowledged:
            self._promise.acknowledge(*dates, self._source.generation)
        counts = self._counts
        counts.runs += 1
        counts.acknowledged += len(life.acknowledged)
        counts.kills += life.struck
        counts.interrupts += life.struck and kill is not None and kill.signal == signal.SIGINT
        counts.checks += 1
        try:
            self._violated(*life.odd, *life.refused, *self._promise.broken(), about=kill)
        except Exception as error:  # noqa: BLE001 - a file that cannot be opened, first of all
            self._violated(f"the file cannot be read: {error!r}", about=kill)
        return life

    def _how(self) -> dict[str, bool]:
        return {"append": True} if self._kind == "append" else {"resume": True}

    def _call(self, how: dict[str, object]) -> dict[str, object]:
        call = {
            "from_date": str(self._dates[0]),
            "to_date": str(self._dates[1]),
            "deduplicate": self._promise.deduplicate,
            **how,
        }
        if self._kind == "single":
            return call
        return {
            **call,
            "parallel": True,
            "chunk_days": self._rng.choice([1, 1, 1, 2, 3]),
            "max_workers": self._rng.randint(2, 8),
        }

    def _any_kill(self) -> Kill:
        rng = self._rng
        number = rng.choices([signal.SIGKILL, signal.SIGINT], [3, 1])[0]
        if self._kind == "start":
            return Kill(number, "start", 0, rng.uniform(0, 0.05))
        if self._kind == "single":
            return Kill(number, "start", 0, rng.uniform(0, 0.15))
        after = rng.choice(["start", "acknowledgements", "requests"])
        if after == "start":
            return Kill(number, after, 0, rng.uniform(0.03, 0.8))
        days = (self._dates[1] - self._dates[0]).days + 1
        return Kill(number, after, rng.randint(1, days // 2), rng.uniform(0, 0.008))

    def _violated(self, *what: str, about: object = None) -> None:
        for each in what:
            self._counts.violations.append(f"{self._name}, {self._kind}, {about}: {each}")
            sys.stdout.write(f"VIOLATION {self._counts.violations[-1]}\n")
            sys.stdout.flush()


async def campaign(kills: int, seed: int, directory: Path, *, most_days: int = 150, report: bool = False) -> Counts:
    """Tell stories, each of a file with up to so many days, until so many runs were killed."""
    counts, started = Counts(), time.monotonic()
    numbers = iter(range(10**6))

    async def lane() -> None:
        while counts.kills < kills:
            number = next(numbers)
            with tempfile.TemporaryDirectory(prefix=f"{number}-", dir=directory) as place:
                await Story(f"{seed}:{number}", Path(place), counts, kills, most_days).told()
            if report:
                sys.stdout.write(f"{time.monotonic() - started:5.0f} s: {counts}\n")
                sys.stdout.flush()

    async with asyncio.TaskGroup() as group:
        for _ in range(LANES):
            group.create_task(lane())
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mixpanel-async-kills-") as directory:
        counts = asyncio.run(campaign(arguments.kills, arguments.seed, Path(directory), report=True))
    sys.stdout.write(f"{counts}.\n")
    return 1 if counts.violations else 0


if __name__ == "__main__":
    sys.exit(main())
