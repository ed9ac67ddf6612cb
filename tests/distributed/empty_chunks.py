"""What Dask costs: chunks that do nothing, and the processor time of client, scheduler and workers, each a process.

    python -m tests.distributed.empty_chunks --projects 1000 --chunks 20

Run it on an idle machine: a process that waits for a processor is charged for its clocks and heartbeats, too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from distributed import Client

from mixpanel_async.distributed import ChunkReport, export_events, project_export
from mixpanel_async.distributed.project_plan import ProjectPlan

DATES = ("2026-01-01", "2026-01-07")


async def plan_empty(chunks, *_):
    return ProjectPlan((DATES,) * chunks)


async def fetch_nothing(*_):
    return ChunkReport(rows=1, attempts=1)


@contextmanager
def process(name, file, *options):
    command = [sys.executable, "-m", f"distributed.cli.dask_{name}", "--scheduler-file", file, *options]
    with subprocess.Popen([*command, "--no-dashboard"], stderr=subprocess.DEVNULL) as started:
        try:
            yield started.pid
        finally:
            started.terminate()


def seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


async def main(projects, chunks):
    project_export.plan_project, project_export.fetch_chunk = partial(plan_empty, chunks), fetch_nothing
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/scheduler.json"
        worker = partial(process, "worker", file, "--no-nanny", "--nthreads", "4", "--memory-limit", "0")
        with (
            process("scheduler", file, "--port", "0", "--host", "127.0.0.1") as scheduler,
            worker() as one,
            worker() as two,
        ):
            pids = {"client": os.getpid(), "scheduler": scheduler, "a worker": one, "the other": two}
            async with Client(scheduler_file=file, asynchronous=True, timeout=300) as client:
                await client.wait_for_workers(2)
                before = {name: seconds(pid) for name, pid in pids.items()}
                started, ended = time.monotonic(), 0
                running = export_events(
                    client, range(1, projects + 1), from_date=DATES[0], to_date=DATES[1], destination=f"{folder}/events"
                )
                async for _ in running:
                    ended += 1
                    if ended % max(1, projects * chunks // 10) == 0:
                        used = {name: (seconds(pid) - before[name]) / (ended + projects) for name, pid in pids.items()}
                        figures = [
                            f"{name} {each * 1000:.2f} ms, {megabytes(pids[name])} MB" for name, each in used.items()
                        ]
                        print(
                            f"{ended:,} chunks, {time.monotonic() - started:.0f} s; a task: {'; '.join(figures)}",
                            flush=True,
                        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--projects", type=int, default=1000)
    parser.add_argument("--chunks", type=int, default=20)
    asyncio.run(main(**vars(parser.parse_args())))
