"""A contender's task, which is JSON in its argument, and its figures, which it prints as the last line, also JSON.

A contender may run in another environment, so this module needs only the standard library.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Task:
    """Load the events of these dates into this database."""

    url: str
    username: str
    secret: str
    project_id: int
    from_date: str
    to_date: str
    database: str
    files: str
    """A directory with the bodies that the server sends, one file for each day."""
    workers: int = 10
    threads: int = 2
    options: dict[str, Any] = field(default_factory=dict)
    """Further options of a contender."""

    @property
    def days(self) -> list[str]:
        """All dates."""
        first, last = dt.date.fromisoformat(self.from_date), dt.date.fromisoformat(self.to_date)
        return [str(first + dt.timedelta(days=day)) for day in range((last - first).days + 1)]

    def as_json(self) -> str:
        """Return it as the argument that `given` reads."""
        return json.dumps(asdict(self))


def given() -> Task:
    """Read the task that this program was started with."""
    return Task(**json.loads(sys.argv[1]))


def tell(*, seconds: float, **more: object) -> None:
    """Print the figures: seconds, peak memory, and others."""
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), **more}))


def peak_mb() -> float:
    """Return the peak resident memory. Linux's `ru_maxrss` would include the parent's memory before `exec`."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
