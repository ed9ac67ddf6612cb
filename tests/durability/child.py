"""The process that is killed: one fetch, each chunk told on standard output once it is committed.

Its one argument is a `Task` as JSON. It says `ready`, then `done <from> <to>` a chunk, `refused <why>` where the
store takes no more. Its exit code says how it went: see the constants.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from mixpanel_async import ExportError, MixpanelClient, RateLimits, RetryPolicy, ServiceAccount, StoreError
from mixpanel_async.duck import connection as database

ALL = 0
"""Every date that was asked for is there."""
SOME = 3
"""Mixpanel did not give some chunks; another run may get them."""
REFUSED = 4
"""The store took no more."""
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Task:
    """What the child shall fetch, from whom, into what."""

    path: str
    url: str
    account: tuple[str, str, int]
    call: dict[str, Any]
    checkpoint: int = database.LONG_LOG
    one_thread: bool = False
    """Do all that blocks in one thread: strace counts each thread's system calls for itself."""
    again: bool = False
    """After a refusal ask once more, of the same client, to resume."""

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def told(progress) -> None:
    if progress.success:
        say("done", progress.from_date, progress.to_date)


async def fetched(task: Task, client: MixpanelClient, **changes: bool) -> int:
    try:
        result = await client.fetch_events(**{**task.call, **changes}, on_batch_complete=told)
    except StoreError as error:
        say("refused", type(error).__name__, str(error).replace("\n", " "))
        return REFUSED
    except ExportError:
        return SOME
    return SOME if getattr(result, "has_failures", False) else ALL


async def main(task: Task) -> int:
    if task.one_thread:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    async with MixpanelClient(
        ServiceAccount(*task.account),
        database=task.path,
        base_url=task.url,
        limits=RateLimits(per_second=100_000, per_hour=10_000_000),
        retry=RetryPolicy(attempts=5, wait_initial=0.004, wait_max=0.02),
    ) as client:
        say("ready")
        code = await fetched(task, client)
        if code == REFUSED and task.again:
            code = await fetched(task, client, append=False, resume=True)
        return code


if __name__ == "__main__":
    task = Task(**json.loads(sys.argv[1]))
    database.LONG_LOG = task.checkpoint
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    try:
        code = asyncio.run(main(task))
    except KeyboardInterrupt:
        code = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)
