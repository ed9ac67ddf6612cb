"""Runs a peer as a process of its own, and watches its memory."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LOOK_EVERY = 0.05
Ending = Literal["ended", "killed", "memory", "timeout"]


@dataclass(frozen=True, slots=True)
class Ran:
    """How a process ended."""

    ending: Ending
    """By itself; or killed: on purpose, at the limit of its memory, or after its time."""
    code: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    """The most resident memory of the process, in 10**6 bytes. Of its children nothing is counted."""


def run(
    command: Sequence[str | Path],
    where: Path,
    env: Mapping[str, str],
    *,
    number: int,
    timeout: float,
    limit_mb: float | None = None,
    is_due: Callable[[], bool] = lambda: False,
) -> Ran:
    """Run a command in a directory; its output goes to `stdout-N` and `stderr-N` there.

    It is killed (SIGKILL) when `is_due()` is true, when its memory exceeds `limit_mb`, and after `timeout` seconds.
    """
    began, worked, peak, ending = time.monotonic(), cpu_of_children(), 0.0, "ended"
    with (where / f"stdout-{number}").open("wb") as out, (where / f"stderr-{number}").open("wb") as err:
        process = subprocess.Popen([*map(str, command)], cwd=where, env={**env}, stdout=out, stderr=err)
        try:
            while process.poll() is None:
                peak = max(peak, peak_of(process.pid))
                if reason := _reason(is_due(), peak > (limit_mb or peak), time.monotonic() - began > timeout):
                    ending = reason
                    process.kill()
                    break
                time.sleep(LOOK_EVERY)
        finally:
            process.kill()
            process.wait()
    return Ran(ending, process.returncode, time.monotonic() - began, cpu_of_children() - worked, peak)


def cpu_of_children() -> float:
    """Return the processor time of all processes that this one started and that are over."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def peak_of(pid: int) -> float:
    """Return the most memory that a process has had, in MB; 0 if it is over. Needs Linux.

    `getrusage` would count what this process had when it started the other.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(kilobytes[0]) * 1024 / 1e6 if kilobytes else 0.0


def _reason(*due: bool) -> Ending | None:
    return next((reason for reason, is_so in zip(("killed", "memory", "timeout"), due, strict=True) if is_so), None)


def environment(home: Path) -> dict[str, str]:
    """Return an environment in which no configuration of the user's counts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MP_", "XDG_", "PYTHON"))}
    return {**kept, "HOME": str(home)}
