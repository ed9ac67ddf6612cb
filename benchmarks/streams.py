"""Events a second of the streams: `python benchmarks/streams.py [PYTHON]`.

FakeMixpanel serves bodies that it made before, in a process of its own; each contender is a process of its own too,
and consumes the events in a plain loop. Chunks hold some 50 MB of text where nothing else is said. Rounds alternate
between the contenders. While ours run, a ticker of 5 ms measures how late the event loop is. PYTHON is the
interpreter of a virtual environment with `mixpanel-headless` in it, whose `stream_events` then runs beside them.

The parser is bound by the interpreter: compare on one that was built with optimizations.
"""

from __future__ import annotations

import asyncio
import json
import sys
from statistics import median

ROUNDS = 5
DAYS = 12
PER_DAY = 25_000
RANGE = {"from_date": "2026-01-01", "to_date": f"2026-01-{DAYS:02}"}

SERVER = """
import asyncio, json, sys
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents
async def main(per_day):
    events = GeneratedEvents(per_day=per_day, seed=1)
    async with FakeMixpanel(events, today="2026-06-01", limits=None, cache=True) as fake:
        account = fake.project.service_account
        print(json.dumps([fake.url, account.username, account.secret, fake.project.id]), flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main(int(sys.argv[1])))
"""

OURS = """
import asyncio, json, resource, sys, time
from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount
async def tick(late):
    while True:
        start = time.perf_counter()
        await asyncio.sleep(0.005)
        late.append(time.perf_counter() - start - 0.005)
async def main(server, method, options):
    url, user, secret, project = server
    account, late, rows = ServiceAccount(user, secret, project), [], 0
    async with MixpanelClient(account, base_url=url, limits=RateLimits(1000, 100_000)) as client:
        ticker = asyncio.create_task(tick(late))
        start = time.perf_counter()
        if method == "stream_batches":
            async for batch in client.stream_batches(**options):
                rows += batch.num_rows
        else:
            async for event in client.stream_events(**options):
                rows += 1
        seconds = time.perf_counter() - start
        ticker.cancel()
    late.sort()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    print(json.dumps({"rows": rows, "seconds": seconds, "late_p99": late[int(len(late) * .99)] * 1e3,
        "late_max": late[-1] * 1e3, "peak": peak}))
asyncio.run(main(*map(json.loads, sys.argv[1:])))
"""

HEADLESS = """
import json, os, resource, sys, time
server, _, options = map(json.loads, sys.argv[1:])
url, user, secret, project = server
os.environ |= {"MP_API_BASE_URL": url, "MP_USERNAME": user, "MP_SECRET": secret, "MP_PROJECT_ID": str(project),
    "MP_REGION": "us"}
from mixpanel_headless import Workspace
start, rows = time.perf_counter(), 0
for event in Workspace().stream_events(**options):
    rows += 1
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
print(json.dumps({"rows": rows, "seconds": seconds, "late_p99": float("nan"), "late_max": float("nan"), "peak": peak}))
"""

CONTENDERS = {
    "stream_events": (OURS, "stream_events", {"chunk_days": 2}),
    "stream_events, chunks of 173 MB": (OURS, "stream_events", {}),
    "stream_events, parallel": (OURS, "stream_events", {"chunk_days": 2, "parallel": True}),
    "stream_events, raw": (OURS, "stream_events", {"chunk_days": 2, "raw": True}),
    "stream_batches": (OURS, "stream_batches", {"chunk_days": 2}),
}
PEER = {"mixpanel-headless": (HEADLESS, "", {}), "mixpanel-headless, raw": (HEADLESS, "", {"raw": True})}


async def measure(python: str, server: str, code: str, method: str, options: dict[str, object]) -> dict[str, float]:
    """One run."""
    process = await asyncio.create_subprocess_exec(
        python, "-c", code, server, json.dumps(method), json.dumps(options | RANGE), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return dict(json.loads(out))


async def main() -> None:
    """Print a line a run, then a table of the medians."""
    peer = sys.argv[1] if len(sys.argv) > 1 else None
    contenders = CONTENDERS | (PEER if peer else {})
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(PER_DAY), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    where = (await server.stdout.readline()).decode()
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for number in range(ROUNDS + 1):  # the first fills the server's cache, and does not count
        for name, (code, *rest) in contenders.items():
            python = peer if code is HEADLESS and peer else sys.executable
            run = await measure(python, where, code, *rest)
            assert run["rows"] == DAYS * PER_DAY, (name, run)
            print(number, name, f"{run['rows'] / run['seconds']:,.0f} events/s", run, flush=True)
            runs[name] += [run] if number else []
    server.terminate()
    await server.wait()
    print("\n| | events/s, median (range) | loop late, p99 and max, ms | peak MB |\n| --- | --- | --- | --- |")
    for name, those in runs.items():
        speeds = sorted(run["rows"] / run["seconds"] for run in those)
        spread = f"{median(speeds):,.0f} ({speeds[0]:,.0f} to {speeds[-1]:,.0f})"
        late = " and ".join(f"{median(run[kind] for run in those):.1f}" for kind in ("late_p99", "late_max"))
        print(f"| {name} | {spread} | {late} | {max(run['peak'] for run in those):.0f} |")


if __name__ == "__main__":
    asyncio.run(main())
