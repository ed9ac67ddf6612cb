"""A fetch of profiles that is cancelled at any step, or killed: the old table is whole, and a resume completes it."""

from __future__ import annotations

import asyncio
import signal
import sys

import duckdb
import pytest

from mixpanel_async.testing import Fault, GivenProfiles
from tests.cancellation.stepping import run_and_cancel
from tests.slices import few

from .conftest import ours, people, stored, truth


async def cancelled_at(client, steps, **call):
    """Run a fetch and cancel it at these steps; gives how many steps it took, and whether it was cancelled."""
    taken, task = await run_and_cancel(client.fetch_profiles(parallel=True, max_workers=2, **call), steps)
    if not task.cancelled():
        assert not task.result().has_failures
    return taken, task.cancelled()


async def test_a_cancel_at_any_step(fake, client_of, path):
    old, new = GivenProfiles(people(25)), GivenProfiles(people(25, changed=True))
    client = client_of(fake)
    fake.profiles = old
    before = truth(fake)
    await client.fetch_profiles()
    taken, _ = await cancelled_at(client, set())
    every = range(1, taken + 1)
    chosen = [{n} for n in every] + [{n, n + 1} for n in every]
    ended = 0
    for steps in few(chosen, 8, seed=5):
        fake.profiles = new
        _, cancelled = await cancelled_at(client, steps)
        ended += cancelled
        after = stored(path)
        assert after in (before, truth(fake)), f"a cancel at {steps}"
        assert cancelled or after == truth(fake)
        await client.fetch_profiles(resume=True)
        assert stored(path) == truth(fake), f"a resume after {steps}"
        assert ours(path) == {"profiles"}
        fake.profiles = old
        await client.fetch_profiles(parallel=True)
    assert ended, "no cancel came before the end"


CHILD = """
import asyncio, sys
from mixpanel_async import MixpanelClient, ServiceAccount

async def main(url, user, secret, project, path):
    async with MixpanelClient(ServiceAccount(user, secret, project), base_url=url, database=path) as client:
        await client.fetch_profiles(parallel=True, on_batch_complete=lambda page: print(page.page_index, flush=True))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("pages", [0, 1, 3, 8])
async def test_a_kill_leaves_the_old_table_and_what_a_resume_goes_on_from(fake, client_of, path, pages):
    await client_of(fake).fetch_profiles()
    before = stored(path)
    fake.profiles = GivenProfiles(people(296, changed=True))
    for page in range(pages, 30):
        fake.faults.add(Fault.stall(after_bytes=20), page=page)
    account = fake.project.service_account
    arguments = [fake.url, account.username, account.secret, str(fake.project.id), str(path)]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, *arguments, stdout=asyncio.subprocess.PIPE
    )
    for _ in range(pages):
        await child.stdout.readline()
    if not pages:
        await fake.until(lambda: fake.open_queries == 1)
    child.send_signal(signal.SIGKILL)
    await child.wait()
    await fake.until(lambda: fake.open_queries == 0)
    fake.faults.clear()
    fake.forget_requests()
    assert stored(path) == before

    result = await client_of(fake).fetch_profiles(parallel=True, resume=True)

    assert stored(path) == truth(fake)
    assert result.total_rows == 296
    assert len(fake.requests) == 30 - pages
    assert ours(path) == {"profiles"}


async def test_a_kill_and_no_resume_leave_no_debris(fake, client_of, path):
    fake.profiles = GivenProfiles(people(296))
    client = client_of(fake)
    fake.faults.add(Fault.status(500), page=7)
    for _ in range(3):
        await client.fetch_profiles(parallel=True)
        assert ours(path) == {"_mixpanel_profiles_profiles"}
        with duckdb.connect(str(path)) as connection:
            assert connection.execute("SELECT count(*) FROM _mixpanel_profiles_profiles").fetchone() == (286,)
            assert connection.execute(
                "SELECT count(*), count(DISTINCT table_name) FROM _mixpanel_pages"
            ).fetchone() == (29, 1)
    fake.faults.clear()
    await client.fetch_profiles(parallel=True)
    assert ours(path) == {"profiles"}
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT count(*) FROM _mixpanel_pages").fetchone() == (0,)
        assert connection.execute("SELECT table_name FROM _mixpanel_selections").fetchall() == [("profiles",)]


async def test_a_full_database_is_an_error_and_the_table_stays(fake, client_of, path):
    connection = duckdb.connect(str(path))
    client = client_of(fake, database=connection)
    await client.fetch_profiles()
    before = stored(connection)
    fake.profiles = GivenProfiles(people(40, changed=True))

    async def lock(progress):
        if progress.page_index == 0:  # another writer's table of the same name: the commit cannot be
            connection.execute("ALTER TABLE profiles RENAME TO away; CREATE VIEW profiles AS FROM away")

    with pytest.raises(Exception, match="profiles"):
        await client.fetch_profiles(on_batch_complete=lock)
    assert stored(connection, "away") == before
    connection.close()
