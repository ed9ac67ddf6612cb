"""A table is of one project: a call with the credentials of another requests nothing and changes nothing."""

from __future__ import annotations

import asyncio

import duckdb
import pytest

from mixpanel_async import ExportError, ProjectSecret, SelectionMismatchError, ServiceAccount, StoreError
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GeneratedProfiles, Project, QueryRules
from tests.system.conftest import Gated, expected, stored

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
    "no more than a name": lambda client: client.fetch_events(**DATES),
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


async def test_zeros_before_the_number_of_a_project_do_not_count(path, of_project):
    await of_project("01001").fetch_events(**DATES)
    assert project_of(path, "events") == "1001"
    await of_project(1001).sync_events(to_date="2026-05-04")


async def test_another_project_has_its_own_table_in_the_same_file(fake, path, of_project):
    await of_project(1001).fetch_events(**DATES)
    await of_project(1002).fetch_events("others", **DATES)
    for project, table in ((MINE, "events"), (OTHER, "others")):
        assert stored(path, table) == expected(fake, *DATES.values(), project=project)
        assert project_of(path, table) == str(project.id)


def forget_projects(path):
    """As an earlier version left the file, which recorded none."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE _mixpanel_selections DROP project; UPDATE _mixpanel_version SET version = 5")


@pytest.mark.parametrize("call", ["append", "sync", "profiles", "profiles appended", "profiles synced", "lookup"])
async def test_a_table_whose_project_is_not_known_is_that_of_the_next_call_that_writes(path, of_project, call):
    await fill(of_project(1001))
    forget_projects(path)
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


@pytest.mark.parametrize("call", ["resume", "profiles"])
@pytest.mark.parametrize("fault", [Fault.status(500), Fault.status(403)])
async def test_a_call_that_wrote_nothing_does_not_take_a_table_whose_project_is_not_known(
    fake, path, of_project, call, fault
):
    await fill(of_project(1001))
    forget_projects(path)
    fake.faults.add(fault, endpoint="export")
    fake.faults.add(fault, endpoint="engage")
    with pytest.raises(ExportError):
        await CALLS[call](of_project(1002))
    fake.faults.clear()
    await of_project(1002).fetch_events(resume=True, **DATES)  # nothing is missing
    await CALLS[call](of_project(1001))


async def test_a_download_of_profiles_is_that_of_who_kept_a_page(fake, path, of_project, of_secret):
    """Begun with a secret, gone on with by one project: not by another."""
    fake.faults.add(Fault.status(500), page=1)
    with pytest.raises(ExportError):
        await of_secret.fetch_profiles()
    fake.faults.clear()
    fake.faults.add(Fault.status(500), page=2)
    with pytest.raises(ExportError):
        await of_project(1001).fetch_profiles(resume=True)
    with pytest.raises(
        SelectionMismatchError, match=r"of project 1001, .* of project 1002: start again without resume"
    ):
        await of_project(1002).fetch_profiles(resume=True)
    fake.faults.clear()
    await of_project(1002).fetch_profiles()
    assert project_of(path, "profiles") == "1002"


@pytest.mark.parametrize("call", ["profiles", "lookup"])
async def test_of_a_table_that_somebody_dropped_no_project_stays(path, of_project, call):
    await fill(of_project(1001))
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE profiles; DROP TABLE event_names")
    await CALLS[call](of_project(1002))
    assert project_of(path, "profiles" if call == "profiles" else "event_names") == "1002"


async def test_a_table_that_another_project_made_meanwhile_on_the_same_connection_stays_its(fake, client_of):
    account = fake.project.service_account
    held = Gated(GeneratedEvents(per_day=20, seed=1), last="2026-05-02")
    slow = Project(1003, events=held)
    async with FakeMixpanel(projects=[slow, OTHER], today="2026-06-01", limits=None) as server:
        with duckdb.connect() as connection:
            one, two = (
                client_of(
                    server, credentials=ServiceAccount(account.username, account.secret, project), database=connection
                )
                for project in (1003, 1002)
            )
            committed = asyncio.Event()
            days = {"from_date": "2026-05-01", "to_date": "2026-05-02", "parallel": True, "chunk_days": 1}

            async def tell(_):
                committed.set()

            fetching = asyncio.create_task(one.fetch_events(**days, on_batch_complete=tell))
            await committed.wait()
            await two.store.drop_table("events")
            await two.fetch_events(**days)
            before = connection.execute("FROM events ORDER BY ALL").fetchall()
            held.gate.set()
            with pytest.raises(StoreError, match="was dropped or replaced while it was fetched"):
                await fetching
            assert connection.execute("FROM events ORDER BY ALL").fetchall() == before
            for client in (one, two):
                await client.close()


async def test_a_secret_leaves_the_project_that_is_known(fake, path, of_project, of_secret):
    fake.faults.add(Fault.status(500), page=1)
    with pytest.raises(ExportError):
        await of_project(1001).fetch_profiles()
    fake.faults.clear()
    await of_secret.fetch_profiles(resume=True)
    assert project_of(path, "profiles") == "1001"
    await of_secret.sync_profiles(full_every_days=0)
    assert project_of(path, "profiles") == "1001"
