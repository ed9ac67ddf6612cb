"""A table is of one project: a call with the credentials of another requests nothing and changes nothing."""

from __future__ import annotations

import duckdb
import pytest

from mixpanel_async import ExportError, ProjectSecret, SelectionMismatchError, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GeneratedProfiles, Project, QueryRules
from tests.system.conftest import expected, stored

MINE, OTHER = (Project(number, events=GeneratedEvents(per_day=20, seed=number)) for number in (1001, 1002))
DATES = {"from_date": "2026-05-01", "to_date": "2026-05-03"}


@pytest.fixture
async def fake():
    profiles = GeneratedProfiles(count=30)
    async with FakeMixpanel(projects=[MINE, OTHER], profiles=profiles, today="2026-06-01", limits=None) as server:
        server.query_rules = QueryRules(page_size=10)
        yield server


@pytest.fixture
def of_project(fake, client_of):
    """Make a client with the service account of a project."""

    def make(project_id):
        account = fake.project.service_account
        return client_of(fake, credentials=ServiceAccount(account.username, account.secret, project_id))

    return make


@pytest.fixture
def of_secret(fake, client_of):
    return client_of(fake, credentials=ProjectSecret(MINE.api_secrets[0]))


def in_file(path):
    """All rows of all tables."""
    with duckdb.connect(str(path), read_only=True) as connection:
        names = [name for (name,) in connection.execute("SHOW TABLES").fetchall()]
        return {name: sorted(connection.execute(f"FROM {name}").fetchall(), key=repr) for name in names}


def project_of(path, table):
    with duckdb.connect(str(path), read_only=True) as connection:
        query = "SELECT project FROM _mixpanel_selections WHERE table_name = ?"
        return connection.execute(query, [table]).fetchall()[0][0]


async def fill(client):
    """Fetch a table of each kind."""
    await client.fetch_events(**DATES)
    await client.fetch_profiles()
    await client.lookups.event_names(save=True)


CALLS = {
    "append": lambda client: client.fetch_events(append=True, **DATES),
    "resume": lambda client: client.fetch_events(resume=True, from_date="2026-05-01", to_date="2026-05-09"),
    "sync": lambda client: client.sync_events(),
    "sync of an hour": lambda client: client.sync_events(late="merge", to_date="today"),
    "plan": lambda client: client.plan_events(resume=True, **DATES),
    "plan of a sync": lambda client: client.plan_events(sync=True),
    "verify": lambda client: client.verify_events(),
    "profiles": lambda client: client.fetch_profiles(parallel=True),
    "profiles appended": lambda client: client.fetch_profiles(append=True, distinct_id="somebody"),
    "profiles synced": lambda client: client.sync_profiles(),
    "lookup": lambda client: client.lookups.event_names(save=True),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
async def test_credentials_of_another_project_are_refused_before_any_request(fake, path, of_project, call):
    await fill(of_project(1001))
    before, requests = in_file(path), len(fake.requests)
    with pytest.raises(SelectionMismatchError, match=r"is of project 1001, and .* of project 1002: pass another table"):
        await call(of_project(1002))
    assert len(fake.requests) == requests
    assert in_file(path) == before
    await call(of_project("01001"))


async def test_another_project_has_its_own_table_in_the_same_file(fake, path, of_project):
    await of_project(1001).fetch_events(**DATES)
    await of_project(1002).fetch_events("others", **DATES)
    for project, table in ((MINE, "events"), (OTHER, "others")):
        assert stored(path, table) == expected(fake, *DATES.values(), project=project)
        assert project_of(path, table) == str(project.id)


@pytest.mark.parametrize("call", ["append", "sync", "profiles", "profiles appended", "profiles synced", "lookup"])
async def test_a_table_whose_project_is_not_known_is_that_of_the_next_call_that_writes(path, of_project, call):
    """Of an earlier version, which recorded none."""
    await fill(of_project(1001))
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE _mixpanel_selections DROP project; UPDATE _mixpanel_version SET version = 5")
    await CALLS[call](of_project(1001))
    with pytest.raises(SelectionMismatchError, match="of project 1001"):
        await CALLS[call](of_project(1002))


async def test_a_project_secret_names_no_project_and_none_is_checked(path, of_project, of_secret):
    await of_secret.fetch_events(**DATES)
    assert project_of(path, "events") is None
    await of_project(1001).plan_events(sync=True)
    assert project_of(path, "events") is None
    await of_project(1001).sync_events(to_date="2026-05-04")
    assert project_of(path, "events") == "1001"
    await of_secret.sync_events(to_date="2026-05-05")
    assert project_of(path, "events") == "1001"


async def test_a_broken_off_download_of_profiles_is_not_resumed_for_another_project(fake, path, of_project):
    fake.faults.add(Fault.status(500), page=1)
    with pytest.raises(ExportError):
        await of_project(1001).fetch_profiles()
    before, requests = in_file(path), len(fake.requests)
    with pytest.raises(SelectionMismatchError, match=r"download for 'profiles' .* of project 1001, .* of project 1002"):
        await of_project(1002).fetch_profiles(resume=True)
    assert (in_file(path), len(fake.requests)) == (before, requests)
    fake.faults.clear()
    assert (await of_project(1001).fetch_profiles(resume=True)).rows == 30
