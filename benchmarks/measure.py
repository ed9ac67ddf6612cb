"""Run a contender and look at what it did; run all of them in turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.data import ROOT, Served, truth_of_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.data import Truth

Run = dict[str, float]
"""One run's figures: `seconds`, `cpu_seconds`, `peak_mb`, `file_mb`, `rows`, and what the contender adds."""


class WrongRowsError(Exception):
    """A contender's table does not hold what the server sent: its time means nothing."""


@dataclass(frozen=True, slots=True)
class Case:
    """A contender with a task."""

    name: str
    contender: str
    """A module of `benchmarks.contenders`."""
    served: Served
    changes: Mapping[str, Any] = field(default_factory=dict)
    """What its task has other than all of the data."""
    pace: Mapping[str, float] = field(default_factory=dict)
    """How slow the server is."""
    deduplicates: bool = False

    @property
    def truth(self) -> Truth:
        """What it must come to."""
        return self.served.events if self.deduplicates else self.served.lines


def rounds(cases: Iterable[Case], count: int, directory: Path) -> dict[str, list[Run]]:
    """Run each case once a round, one after the other, so that a change of the machine's mood meets them all."""
    runs: dict[str, list[Run]] = {case.name: [] for case in cases}
    for number in range(1, count + 1):
        for case in cases:
            run = measured(case, directory)
            runs[case.name].append(run)
            print(f"round {number}  {case.name:<40} {run['seconds']:8.2f} s", file=sys.stderr, flush=True)
    return runs


def measured(case: Case, directory: Path) -> Run:
    """Run a case in a process of its own, with an empty database, and check its rows.

    Raises:
        WrongRowsError: it did not store what it should.
    """
    case.served.pace(**case.pace)
    with tempfile.TemporaryDirectory(dir=directory) as place:
        database = Path(place) / "events.duckdb"
        task = case.served.task(database, **case.changes)
        told, cpu_seconds = _run([sys.executable, "-m", f"benchmarks.contenders.{case.contender}", task.as_json()])
        stored = truth_of_table(database)
        if stored != case.truth:
            raise WrongRowsError(f"{case.name} stored {stored}, not {case.truth}.")
        size = sum(file.stat().st_size for file in Path(place).iterdir())
    return {**told, "cpu_seconds": cpu_seconds, "file_mb": size / 1e6, "rows": stored.rows}


def _run(command: list[str]) -> tuple[Run, float]:
    """Run a contender; give what it tells, and the processor's seconds of it and of all that it started."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[:3])
    return json.loads(told.splitlines()[-1]), usage.ru_utime + usage.ru_stime
