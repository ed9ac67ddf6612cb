"""The pytest fixtures of the library, used as in a user's tests."""

from __future__ import annotations

import urllib.error
import urllib.request

import aiohttp
import pytest

from mixpanel_async.testing import Fault

pytest_plugins = ["pytester"]


def export(fake, day="2026-02-01"):
    """Export a day with a client that blocks."""
    url = f"{fake.url}/api/2.0/export?project_id={fake.project.id}&from_date={day}&to_date={day}"
    request = urllib.request.Request(url, headers={"Authorization": fake.project.service_account.authorization()})
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read().split(b"\n")[:-1]


@pytest.mark.parametrize("test", [1, 2])
def test_each_test_has_a_fake_of_its_own(fake_mixpanel, test):
    assert fake_mixpanel.requests == []
    assert export(fake_mixpanel) == list(fake_mixpanel.truth_lines("2026-02-01", "2026-02-01"))
    fake_mixpanel.faults.add(Fault.status(503))
    with pytest.raises(urllib.error.HTTPError) as caught:
        export(fake_mixpanel)
    caught.value.close()


async def test_with_a_client_that_awaits(fake_mixpanel):
    async with aiohttp.ClientSession() as session, session.get(fake_mixpanel.url) as response:
        assert response.status == 404
    await fake_mixpanel.until(lambda: fake_mixpanel.requests[-1].finished)


async def test_with_a_client_that_blocks_the_loop(fake_mixpanel):
    assert len(export(fake_mixpanel)) == 100


A_USERS_TESTS = """
import urllib.request

import anyio
import pytest

from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

@pytest.fixture(scope="session")
def make_fake_mixpanel():
    return lambda: FakeMixpanel(GeneratedEvents(per_day=7), today="2026-02-02", limits=None)

def export(fake):
    url = f"{fake.url}/api/2.0/export?project_id={fake.project.id}&from_date=2026-02-01&to_date=2026-02-01"
    request = urllib.request.Request(url, headers={"Authorization": fake.project.service_account.authorization()})
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read().split(b"\\n")[:-1]

@pytest.mark.parametrize("number", [1, 2])
def test_the_shared_one_stays(shared_fake_mixpanel, number):
    assert len(export(shared_fake_mixpanel)) == 7
    assert len(shared_fake_mixpanel.requests) == number

@pytest.mark.anyio
async def test_on_any_loop(shared_fake_mixpanel, fake_mixpanel):
    assert fake_mixpanel.requests == []
    for fake in (shared_fake_mixpanel, fake_mixpanel):
        assert len(await anyio.to_thread.run_sync(export, fake)) == 7
        await anyio.to_thread.run_sync(fake.wait_until, lambda: fake.open == 0)
"""


def test_shared_with_events_of_the_users_and_on_anyios_loops(pytester):
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n")
    pytester.makepyfile(A_USERS_TESTS)
    ended = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-v")
    ended.assert_outcomes(passed=4)
    assert "test_on_any_loop[trio] PASSED" in ended.stdout.str()


def test_a_run_without_the_fixtures_does_not_import_the_library(pytester):
    pytester.makeini("[pytest]\n")  # its directory may be inside this repository
    pytester.makepyfile("""
import sys

def test_it():
    assert "_mixpanel_async_pytest" in sys.modules
    assert not [name for name in sys.modules if name.split(".")[0] in {"mixpanel_async", "duckdb", "aiohttp"}]
""")
    ended = pytester.runpytest_subprocess("-W", "error", "-p", "no:asyncio")
    ended.assert_outcomes(passed=1)
    assert ended.stderr.str() == ""
