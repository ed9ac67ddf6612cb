"""A child process's life: started, listened to, killed at a moment, and what it left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mixpanel_async.testing import FakeMixpanel

from .child import ALL, INTERRUPTED, REFUSED, SOME, Task

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
"""Seconds after which a child hangs."""
FAILED_CHUNK = "The other chunks go on"
"""In the warning that a failed chunk logs: an outcome the library owns up to, which no life is blamed for."""


@dataclass(frozen=True, slots=True)
class Kill:
    """When to kill, and with what."""

    signal: signal.Signals
    after: Literal["start", "acknowledgements", "requests"]
    count: int
    """Of acknowledgements or requests."""
    delay: float
    """Seconds from then."""


@dataclass(slots=True)
class Life:
    """One child's life so far."""

    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    code: int | None = None
    errors: str = ""
    hung: bool = False
    struck: bool = False
    """Whether it ended by the kill."""

    @property
    def odd(self) -> list[str]:
        """What no life may end with: a hang, an exception that nobody expects, an unexpected line on standard error."""
        found = ["the child hangs"] * self.hung
        unexpected = [line for line in self.errors.splitlines() if FAILED_CHUNK not in line]
        if self.code not in {ALL, SOME, REFUSED, INTERRUPTED, -signal.SIGKILL}:
            found.append(f"the child ended with {self.code}: {self.errors[-600:]}")
        elif unexpected and self.code != -signal.SIGKILL:
            found.append(f"the child said {unexpected[-5:]!r}")
        return found


def task_for(fake: FakeMixpanel, path: Path, call: dict[str, object], **changes) -> Task:
    account = fake.project.service_account
    return Task(str(path), fake.url, (account.username, account.secret, fake.project.id), call, **changes)


async def live(task: Task, fake: FakeMixpanel, kill: Kill | None = None, *, under: Sequence[str] = ()) -> Life:
    """Run a child to its end, natural or not. `under`: a command that runs it, as strace."""
    life = Life()
    process = await asyncio.create_subprocess_exec(
        *under, sys.executable, "-B", "-m", "tests.durability.child", task.as_json(),
        stdin=DEVNULL, stdout=PIPE, stderr=PIPE, cwd=ROOT,
    )  # fmt: skip
    moments = {"start": asyncio.Event(), "acknowledgements": asyncio.Event()}
    striking = asyncio.ensure_future(_strike(kill, process, fake, moments)) if kill else None
    try:
        async with asyncio.timeout(PATIENCE):
            errors, _ = await asyncio.gather(process.stderr.read(), _listen(process, life, kill, moments))
    except TimeoutError:
        life.hung = True
        process.kill()
        errors = await process.stderr.read()
    life.code, life.errors = await process.wait(), errors.decode()
    if striking is not None:
        striking.cancel()
        await asyncio.wait({striking})
        life.struck = not striking.cancelled() and life.code in {INTERRUPTED, -signal.SIGKILL}
    return life


async def _listen(process, life: Life, kill: Kill | None, moments: dict[str, asyncio.Event]) -> None:
    async for line in process.stdout:
        match line.decode().split(" ", 1) if line.endswith(b"\n") else []:
            case ["ready\n"]:
                moments["start"].set()
            case ["done", dates]:
                life.acknowledged.append(tuple(dates.split()))
            case ["refused", why]:
                life.refused.append(why.strip())
        if kill and len(life.acknowledged) >= kill.count:
            moments["acknowledgements"].set()


async def _strike(kill: Kill, process, fake: FakeMixpanel, moments: dict[str, asyncio.Event]) -> None:
    before = len(fake.requests)
    await moments["start"].wait()
    if kill.after == "acknowledgements":
        await moments["acknowledgements"].wait()
    elif kill.after == "requests":
        await fake.until(lambda: len(fake.requests) >= before + kill.count)
    await asyncio.sleep(kill.delay)
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, kill.signal)  # `send_signal` polls, and may take the exit code from the event loop
