"""Runs a contender and checks its rows; runs all contenders in turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

from benchmarks.data import ROOT, Served, truth_of, truth_of_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from benchmarks.task import Task

Run = dict[str, float]
"""The figures of one run: `events` sent, `rows` stored or streamed, `seconds`, `cpu_seconds`, `peak_mb`, `file_mb` (of
contenders that store), and figures that the contender adds."""
Runs = dict[str, list[Run]]
"""The runs of each case; an empty list if something that the case needs is not installed."""


class WrongRowsError(Exception):
    """A contender stored other rows than the server sent, so its time means nothing."""


@dataclass(frozen=True, slots=True)
class Case:
    """A contender with a task."""

    name: str
    contender: str
    """A module of `benchmarks.contenders`."""
    served: Served
    changes: Mapping[str, Any] = field(default_factory=dict)
    """The fields of its task that differ from the task to load all events."""
    pace: Mapping[str, float] = field(default_factory=dict)
    """The speed of the server; see `Served.pace`."""
    deduplicates: bool = False
    in_seconds: bool = False
    """Whether it requests times in seconds: other authors' clients do."""
    stores: bool = True
    """If not, it reports how many events it received, and only this number is checked."""
    needs: str = "duckdb"
    """The module or program that it needs."""

    @property
    def can_run(self) -> bool:
        """Whether what it needs is installed."""
        return find_spec(self.needs) is not None or which(self.needs) is not None


def rounds(cases: Iterable[Case], count: int, directory: Path) -> Runs:
    """Run each case once in each round, so that a slow time of the machine affects all cases."""
    runs: Runs = {case.name: [] for case in cases}
    for number in range(1, count + 1):
        for case in filter(lambda case: case.can_run, cases):
            run = measured(case, directory)
            runs[case.name].append(run)
            print(f"round {number}  {case.name:<46} {run['seconds']:8.2f} s", file=sys.stderr, flush=True)
    return runs


def measured(case: Case, directory: Path) -> Run:
    """Run a case in its own process, with an empty database, and check its rows.

    Raises:
        WrongRowsError: it stored or streamed other rows than it should.
    """
    with tempfile.TemporaryDirectory(dir=directory) as place:
        database = Path(place) / "events.duckdb"
        task = case.served.task(database, **case.changes)
        sent, expected = (truth_of(task, deduplicated=alone) for alone in (False, case.deduplicates))
        if case.in_seconds:
            expected = expected.in_seconds()
        case.served.pace(**case.pace)
        told, cpu_seconds = _run(case.contender, task)
        brought = truth_of_table(database) if case.stores else replace(expected, rows=told["rows"])
        if brought != expected:
            raise WrongRowsError(f"{case.name} brought {brought}, not {expected}.")
        size = sum(file.stat().st_size for file in Path(place).iterdir())
    of_file = {"file_mb": size / 1e6} if case.stores else {}
    return {"events": sent.rows, "rows": brought.rows, **told, "cpu_seconds": cpu_seconds, **of_file}


@contextmanager
def loaded(served: Served, directory: Path) -> Iterator[str]:
    """Load all events into a database, for contenders that read one; yield its path, and delete it at the end."""
    with tempfile.TemporaryDirectory(dir=directory) as place:
        database = Path(place) / "events.duckdb"
        _run("ours", served.task(database))
        yield str(database)


def _run(contender: str, task: Task) -> tuple[Run, float]:
    """Run a contender; return its figures, and the processor time of it and its child processes."""
    command = [sys.executable, "-m", f"benchmarks.contenders.{contender}", task.as_json()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[:3])
    run: Run = json.loads(told.splitlines()[-1])
    return run, usage.ru_utime + usage.ru_stime
