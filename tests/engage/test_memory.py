"""Memory does not grow with the number of profiles, and all of them come.

A run takes 25,000 at the most; a nightly one, and the nox session `large`, takes 250,000.
"""

from __future__ import annotations

import asyncio
import json
import sys
from hashlib import blake2b
from pathlib import Path

import duckdb
import pytest

from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedProfiles
from tests.slices import whole

FEW, MANY = whole((25_000, 250_000), (5_000, 25_000))

CLIENT = """
import asyncio, json, sys
from pathlib import Path
from mixpanel_async import MixpanelClient, ServiceAccount
async def main(url, user, secret, project, database):
    async with MixpanelClient(ServiceAccount(user, secret, project), base_url=url, database=database) as client:
        result = await client.fetch_profiles(parallel=True, max_workers=5)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps([result.total_rows, int(peak.split()[1]) / 1024]))
asyncio.run(main(*sys.argv[1:]))
"""


async def peak_of(count, path):
    """Peak MB of a process that fetches so many, of which page 3 fails once and the last page meets another session."""
    async with FakeMixpanel(profiles=GeneratedProfiles(count=count)) as fake:
        fake.faults.add(Fault.status(503), page=3, attempts=[1])
        fake.faults.add(Fault.session_expired(), page=min(40, count // 1000 - 1), times=1)
        account = fake.project.service_account
        arguments = fake.url, account.username, account.secret, fake.project.id, path
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, *map(str, arguments), stdout=asyncio.subprocess.PIPE
        )
        rows, megabytes = json.loads((await process.communicate())[0])
        assert (rows, fake.max_open_queries) == (count, min(5, count // 1000 - 1))
        assert digest(stored(path)) == digest(sent(fake, count))
    return megabytes


def sent(fake, count):
    """The server's profiles, word for word, some at a time."""
    snapshot = fake.profiles.snapshot()
    for start in range(0, count, 1000):
        yield from snapshot.written(range(start, start + 1000))


def stored(path):
    """The table's."""
    with duckdb.connect(str(path)) as connection:
        rows = connection.execute("SELECT distinct_id, properties FROM profiles")
        while some := rows.fetchmany(1000):
            for distinct_id, properties in some:
                yield f'{{"$distinct_id":"{distinct_id}","$properties":{properties}}}'.encode()


def digest(lines):
    """How many lines, and a sum of their digests, in whichever order they are."""
    count = total = 0
    for line in lines:
        count += 1
        total += int.from_bytes(blake2b(line, digest_size=16).digest())
    return count, total


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the peak without the parent's on Linux only")
async def test_memory_is_flat_and_all_profiles_come(tmp_path):
    few, many = await peak_of(FEW, tmp_path / "few.duckdb"), await peak_of(MANY, tmp_path / "many.duckdb")
    print(f"{few:.0f} MB for {FEW:,} profiles, {many:.0f} MB for {MANY:,}")  # noqa: T201 - with -s
    assert many - few < 150  # DuckDB may keep 192 MB; the profiles of the nox session are 250 MB of text
