"""How long an export of many projects takes, and what bounds it: a simulation with a clock of its own.

    python -m benchmarks.size --projects 1000 --days 1095 --workers 16 --threads 8

Chunks are those that `export_events` plans, and requests begin when the limits of Mixpanel allow them, by the library's
own code. A chunk then holds one of the workers' threads for as long as its response and its processing take. Nothing is
requested, and no time passes.
"""

from __future__ import annotations

import argparse
import datetime as dt
import heapq
from dataclasses import dataclass, field
from typing import Literal

from mixpanel_async.api.budget import HOUR, Usage, longest_wait
from mixpanel_async.api.limits import Budget, RateLimits
from mixpanel_async.export.plan import Chunking, plan_chunks

FIRST = dt.date(2023, 1, 1)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is exported, and by whom. The defaults of times and sizes are guesses: give your own."""

    projects: int = 1000
    days: int = 3 * 365
    megabytes_a_day: float = 1.0
    """Gzip, of one project."""
    workers: int = 16
    threads: int = 8
    """Chunks at once on each worker."""
    chunk_days: int | Literal["auto"] = "auto"
    max_workers: int = 10
    """Chunks of a project at once."""
    first_byte: float = 5.0
    """Seconds from a request to its response."""
    megabytes_a_second: float = 4.0
    """Of one response."""
    processor: float = 0.3
    """Seconds of one core for a megabyte."""
    overhead: float = 0.1
    """Seconds of one core for a chunk."""
    cores: int = 4
    """Of each worker."""
    scheduler: float = 0.001
    """Seconds of Dask's scheduler for a task; see `tests.distributed.empty_chunks`."""
    limits: RateLimits = field(default_factory=RateLimits)


@dataclass(frozen=True, slots=True)
class Size:
    """What an export takes."""

    requests: int
    hours: float
    gigabytes: float
    busy: float
    """The share of the time in which a thread of the workers has a chunk."""
    bounds: dict[str, float]
    """Hours that each of the bounds alone would force."""

    @property
    def bound(self) -> str:
        """What bounds it."""
        return max(self.bounds, key=lambda name: self.bounds[name])

    def __str__(self) -> str:
        lines = [
            f"{self.requests:,} requests, {self.gigabytes:,.0f} GB, {self.hours:,.1f} hours; bound by {self.bound}"
        ]
        lines += [f"  {name:32}{hours:8.2f} h" for name, hours in self.bounds.items()]
        return "\n".join([*lines, f"  {'threads in use':32}{self.busy:8.0%}"])


def simulate(fleet: Fleet) -> Size:
    """Run the export of an empty destination on a clock of its own."""
    chunks = plan_chunks(
        (FIRST, FIRST + dt.timedelta(days=fleet.days - 1)), Chunking(fleet.chunk_days, fleet.max_workers), [],
        Budget(fleet.limits.per_hour, fleet.limits.per_hour),
    )  # fmt: skip
    days_of = [(dt.date.fromisoformat(last) - dt.date.fromisoformat(first)).days + 1 for first, last in chunks]
    seconds_of = [_seconds(fleet, days) for days in days_of]
    ended, threads_in_use = _run(fleet, seconds_of)
    requests = fleet.projects * len(chunks)
    gigabytes = fleet.projects * fleet.days * fleet.megabytes_a_day / 1000
    processing = gigabytes * 1000 * fleet.processor + requests * fleet.overhead
    bounds = {
        "Mixpanel's limits for one project": Usage(0.0, ()).last_of(len(chunks), _windows(fleet)) / 3600,
        "threads of the workers": fleet.projects * sum(seconds_of) / (fleet.workers * fleet.threads) / 3600,
        "processors of the workers": processing / (fleet.workers * fleet.cores) / 3600,
        "the scheduler": requests * fleet.scheduler / 3600,
    }
    hours = max(ended / 3600, *bounds.values())  # threads that share a core are slower than the run takes them for
    return Size(requests, hours, gigabytes, threads_in_use / (ended * fleet.workers * fleet.threads), bounds)


def _seconds(fleet: Fleet, days: int) -> float:
    """Return how long a chunk of so many days holds a thread."""
    size = days * fleet.megabytes_a_day
    return fleet.first_byte + size / fleet.megabytes_a_second + size * fleet.processor + fleet.overhead


def _run(fleet: Fleet, seconds_of: list[float]) -> tuple[float, float]:
    """Run all chunks; return when the last one ends, and the sum of the seconds that they hold threads."""
    windows = _windows(fleet)
    free = [0.0] * (fleet.workers * fleet.threads)  # when each thread is
    ready = [(0.0, project, 0) for project in range(fleet.projects)]  # when each project's next chunk may begin
    started: list[list[float]] = [[] for _ in range(fleet.projects)]
    ends: list[list[float]] = [[] for _ in range(fleet.projects)]
    last, used = 0.0, 0.0
    while ready:
        at, project, index = heapq.heappop(ready)
        times = started[project]
        begins = max(at, heapq.heappop(free))
        wait = longest_wait(begins, windows, lambda number, times=times: _nth_last(times, number), 0.0, -HOUR)
        if wait is not None:  # the worker gives the chunk back
            heapq.heappush(free, begins)
            heapq.heappush(ready, (begins + wait.seconds, project, index))
            continue
        ended = begins + seconds_of[index]
        heapq.heappush(free, ended)
        times.append(begins)
        heapq.heappush(ends[project], ended)
        last, used = max(last, ended), used + seconds_of[index]
        if index + 1 < len(seconds_of):
            is_full = len(ends[project]) >= fleet.max_workers
            heapq.heappush(ready, (heapq.heappop(ends[project]) if is_full else begins, project, index + 1))
    return last, used


def _windows(fleet: Fleet) -> list:
    return fleet.limits.of("exports").windows


def _nth_last(times: list[float], number: int) -> float | None:
    return times[-number] if len(times) >= number else None


def main() -> None:
    """Simulate what the arguments say, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("projects", "days", "workers", "threads"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Fleet(), name))
    parser.add_argument("--chunk-days", type=lambda text: text if text == "auto" else int(text), default="auto")
    for name in ("megabytes-a-day", "first-byte", "processor", "overhead", "scheduler"):
        parser.add_argument(f"--{name}", type=float, default=getattr(Fleet(), name.replace("-", "_")))
    print(simulate(Fleet(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
