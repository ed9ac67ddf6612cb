"""Syncs of profiles: the table is the server's truth as far as visits tell it, and wholly after a full download."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
import sys
from dataclasses import replace
from zoneinfo import ZoneInfo

import duckdb
import pytest

from mixpanel_async import AuthenticationError, ExportError, SelectionMismatchError, StoreError
from mixpanel_async.duck.held_profiles import HeldProfiles, SyncTimes
from mixpanel_async.engage.sync import SLACK, ProfileSync, plan
from mixpanel_async.selections import ProfileSelection
from mixpanel_async.testing import Catalog, Cohort, Fault, GivenProfiles
from tests.cancellation.stepping import run_and_cancel
from tests.slices import few

from .conftest import ours, people, requested, stored, truth

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
START = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


class Clock:
    """The time by which syncs are planned."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def advance(self, by):
        self.now += by


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("mixpanel_async.clock.utc_now", clock)
    return clock


def visit(fake, moment, *names, zone=dt.UTC, **properties):
    """These people are seen at that moment, and change."""
    seen = moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")
    for name in names:
        fake.profiles.set(name, {"$last_seen": seen, "seen": True, **properties})


def filters(fake):
    """The filter of each download."""
    return [made.params.get("where") for made in fake.requests if not made.page]


def times(path, table="profiles"):
    with duckdb.connect(str(path)) as connection:
        query = "SELECT full_at, synced_at FROM _mixpanel_syncs WHERE table_name = ?"
        return [time.replace(tzinfo=dt.UTC) for time in connection.execute(query, [table]).fetchone()]


async def test_all_profiles_first_and_then_those_that_were_seen(fake, client_of, path, clock):
    client = client_of(fake)
    heard = []
    first = await client.sync_profiles(on_batch_complete=heard.append)
    assert (first.total_rows, first.successful_pages, len(heard)) == (76, 8, 8)
    assert stored(path) == truth(fake)

    clock.advance(DAY)
    visit(fake, clock.now - HOUR, "顧客-3", "顧客-44", "new")
    fake.forget_requests()
    second = await client.sync_profiles()

    assert (second.total_rows, second.successful_pages, second.failed_page_indices) == (3, 1, ())
    assert requested(fake) == [(0, 200)]
    assert filters(fake) == ['properties["$last_seen"] >= "2026-03-01T10:00:00"']
    assert stored(path) == truth(fake)
    assert times(path) == [START, START + DAY]
    assert ours(path) == {"profiles"}

    clock.advance(2 * DAY)
    visit(fake, clock.now - 40 * HOUR, "顧客-3", "later", again=True)
    third = await client.sync_profiles()
    assert third.total_rows == 4  # 顧客-44 and `new` once more: they were seen shortly before the last sync
    assert stored(path) == truth(fake)


async def test_nothing_new_is_a_success_and_the_time_moves(fake, client_of, path, clock):
    client = client_of(fake)
    await client.sync_profiles()
    fake.forget_requests()
    for day in (1, 2):
        clock.advance(DAY)
        result = await client.sync_profiles()
        assert (result.total_rows, result.has_failures, result.warnings) == (0, False, ())
        assert times(path) == [START, START + day * DAY]
    assert len(fake.requests) == 2
    assert stored(path) == truth(fake)


async def test_what_no_visit_tells_comes_right_with_the_full_download(fake, client_of, path, clock):
    client = client_of(fake)
    await client.sync_profiles()
    before = stored(path)
    clock.advance(DAY)
    fake.profiles.delete("顧客-7")
    fake.profiles.set("顧客-8", {"$last_seen": "2026-01-09T00:00:00", "changed": True})
    fake.profiles.set("imported", {"n": 1})
    for _ in range(6):
        result = await client.sync_profiles()
        assert (result.total_rows, stored(path)) == (0, before)
        clock.advance(DAY)
    fake.forget_requests()

    result = await client.sync_profiles()

    assert filters(fake) == [None]
    assert result.total_rows == 76
    assert stored(path) == truth(fake) != before
    assert times(path) == [clock.now, clock.now]
    clock.advance(DAY)
    await client.sync_profiles()
    assert len(filters(fake)) == 2
    assert filters(fake)[1]


@pytest.mark.parametrize(
    ("every", "age", "is_full"),
    [
        (0, HOUR, True),
        (1, DAY - SLACK, True),
        (1, DAY - SLACK - dt.timedelta(microseconds=1), False),
        (7, 6 * DAY, False),
        (7, 7 * DAY, True),
        (7, 400 * DAY, True),
        (10**30, 400 * DAY, False),
        (7, -dt.timedelta(microseconds=1), True),  # the clock was ahead
    ],
)
def test_when_a_full_download_is_due(every, age, is_full):
    sync = ProfileSync("profiles", ProfileSelection(), every, 5)
    synced = START if age < dt.timedelta() else START + age
    table = HeldProfiles(ProfileSelection(), SyncTimes(START, synced))
    assert (plan(sync, table, START + age).seen_since is None) is is_full
    assert plan(sync, replace(table, times=None), START + age).seen_since is None
    assert plan(sync, None, START + age).seen_since is None


def test_a_clock_that_was_ahead_at_the_last_sync(fake):
    sync = ProfileSync("profiles", ProfileSelection(), 7, 5)
    table = HeldProfiles(ProfileSelection(), SyncTimes(START, START + 400 * DAY))
    assert plan(sync, table, START + DAY).seen_since is None


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "US/Samoa", "Etc/GMT+12", "UTC"])
async def test_in_every_zone_a_visit_right_after_a_sync_is_seen(fake, client_of, path, clock, zone):
    """If the machine's clock is right, and if it has Kiritimati's time for UTC."""
    for wrong_by in (dt.timedelta(), 14 * HOUR - dt.timedelta(seconds=2)):
        client = client_of(fake)
        clock.now = START + wrong_by
        await client.sync_profiles(full_every_days=0)
        visit(fake, START + dt.timedelta(seconds=1), "顧客-3", "new", zone=ZoneInfo(zone), wrong=str(wrong_by))
        fake.forget_requests()
        clock.advance(3 * DAY)
        await client.sync_profiles()
        assert stored(path) == truth(fake)
        assert filters(fake)[0] is not None


async def test_a_table_with_a_filter_keeps_it(fake, client_of, path, clock):
    where = 'properties["n"] < 30 or properties["n"] == 70'
    client = client_of(fake)
    first = await client.sync_profiles(where=where, output_properties=["n", "seen"])
    assert first.total_rows == 31
    clock.advance(DAY)
    visit(fake, clock.now, "new", n=70)
    visit(fake, clock.now, "顧客-3", n=3, big=2**70)
    visit(fake, clock.now, "顧客-4", n=44)
    visit(fake, clock.now, "other", n=50)
    fake.forget_requests()

    second = await client.sync_profiles()

    assert filters(fake) == [f'({where}) and properties["$last_seen"] >= "2026-03-01T10:00:00"']
    assert second.total_rows == 2
    rows = rows_of(path)
    assert rows["顧客-3"] == {"$last_seen": "2026-03-03T12:00:00", "seen": True, "n": 3}
    assert rows["顧客-4"]["n"] == 4  # it no longer matches, which only the full download tells
    assert len(rows) == 32
    assert "other" not in rows
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT count(last_seen) FROM profiles").fetchone() == (25,)
    assert (await client.sync_profiles(where=where, output_properties=["seen", "n"])).total_rows == 2

    clock.advance(7 * DAY)
    await client.sync_profiles()
    parameters = {"where": where, "output_properties": ["n", "seen", "$last_seen"]}
    assert rows_of(path) == {it["$distinct_id"]: it["$properties"] for it in fake.truth_profiles(**parameters)}
    assert "顧客-4" not in rows_of(path)


def rows_of(path, table="profiles"):
    with duckdb.connect(str(path)) as connection:
        return {
            it: json.loads(text)
            for it, text in connection.execute(f"SELECT distinct_id, properties FROM {table}").fetchall()
        }


async def test_groups(fake, client_of, path, clock):
    group = GivenProfiles([{"$distinct_id": "Acme", "$properties": {"seats": 3}}])
    fake._data.groups["84"] = group
    await client_of(fake).sync_profiles("groups", group_id=84)
    clock.advance(DAY)
    group.set("Acme", {"seats": 4, "$last_seen": "2026-03-03T11:00:00"})
    group.set("Unseen", {"seats": 1})

    assert (await client_of(fake).sync_profiles("groups")).total_rows == 1

    assert {name: it["seats"] for name, it in rows_of(path, "groups").items()} == {"Acme": 4}
    assert {made.params["data_group_id"] for made in fake.requests} == {"84"}


@pytest.mark.parametrize("seed", few(range(40), 2))
async def test_any_order_of_visits_changes_failures_and_days(fake, client_of, path, clock, seed):
    rng, client = random.Random(seed), client_of(fake)
    zone = ZoneInfo(rng.choice(["Pacific/Kiritimati", "US/Samoa", "Etc/GMT+12", "Asia/Kolkata", "UTC"]))
    names = [f"顧客-{n}" for n in range(76)] + [f"new-{n}" for n in range(10)]
    behind: set[str] = set()  # they changed without a visit since the last full download
    await client.sync_profiles()
    for step in range(20):
        clock.advance(rng.choice([HOUR, 5 * HOUR, DAY, DAY, 3 * DAY]))
        for name in rng.sample(names, rng.choice([0, 1, 3, 25])):
            if rng.random() < 0.8:
                visit(fake, clock.now - rng.random() * HOUR, name, zone=zone, step=step)
                behind.discard(name)
            else:
                fake.profiles.set(name, {"step": step})
                behind.add(name)
        before, at = rows_of(path), times(path)
        fake.faults.clear()
        fake.faults.add(Fault.status(500), page=rng.choice([1, 2, 100]), times=3)

        result = await client.sync_profiles(full_every_days=5)

        rows = rows_of(path)
        if result.has_failures:
            assert (rows, times(path)) == (before, at)
            continue
        if times(path)[0] == clock.now:
            behind.clear()
        truth_now = {it["$distinct_id"]: it["$properties"] for it in fake.truth_profiles()}
        assert {name: it for name, it in rows.items() if name not in behind} == {
            name: it for name, it in truth_now.items() if name not in behind
        }
        assert times(path)[1] == clock.now


# A table that was there before


@pytest.mark.parametrize("parallel", [True, False])
async def test_a_table_that_fetch_profiles_filled(fake, client_of, path, clock, parallel):
    client = client_of(fake)
    await client.fetch_profiles(parallel=parallel)
    assert times(path) == [START, START]
    clock.advance(2 * DAY)
    visit(fake, clock.now - HOUR, "顧客-3")
    await client.fetch_profiles(append=True, where='properties["n"] == 5')
    assert times(path) == [START, START]
    fake.forget_requests()
    assert (await client.sync_profiles()).total_rows == 1
    assert filters(fake) == ['properties["$last_seen"] >= "2026-03-01T10:00:00"']
    assert stored(path) == truth(fake)
    clock.advance(DAY)
    await client.fetch_profiles(parallel=parallel)
    assert times(path) == [clock.now, clock.now]


async def test_a_download_that_is_resumed_counts_from_its_beginning(fake, client_of, path, clock):
    client = client_of(fake)
    fake.faults.add(Fault.status(500), page=3, times=3)
    assert (await client.fetch_profiles(parallel=True)).has_failures
    clock.advance(2 * DAY)
    visit(fake, clock.now - 47 * HOUR, "顧客-33")  # its session does not have this
    assert not (await client.fetch_profiles(parallel=True, resume=True)).has_failures
    assert times(path) == [START, START]
    clock.advance(DAY)
    assert (await client.sync_profiles()).total_rows == 1
    assert stored(path) == truth(fake)


async def test_a_file_of_an_older_version_is_downloaded_in_full(fake, client_of, path, clock):
    client = client_of(fake)
    await client.fetch_profiles(where='properties["n"] < 40')
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE _mixpanel_syncs; UPDATE _mixpanel_version SET version = 4")
    clock.advance(DAY)
    fake.profiles.delete("顧客-7")
    fake.forget_requests()

    assert (await client.sync_profiles()).total_rows == 39

    assert filters(fake) == ['properties["n"] < 40']
    assert times(path) == [clock.now, clock.now]


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM profiles WHERE distinct_id = '顧客-5'",
        "CREATE OR REPLACE TABLE profiles AS FROM profiles LIMIT 20",
        "DROP TABLE profiles",
    ],
)
async def test_a_table_that_somebody_changed_is_downloaded_in_full(fake, client_of, path, clock, change):
    client = client_of(fake)
    await client.sync_profiles()
    with duckdb.connect(str(path)) as connection:
        connection.execute(change)
    clock.advance(DAY)
    assert (await client.sync_profiles()).total_rows == 76
    assert stored(path) == truth(fake)


# What is refused


COHORT = Catalog(cohorts=(Cohort(7, "Seven", members=("顧客-1",)),))
BEHAVIORS = [{"window": "7d", "name": "bought", "event_selectors": [{"event": "Purchase"}]}]


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        ({"cohort_id": 7}, "fetched with cohort_id.*use fetch_profiles"),
        ({"behaviors": BEHAVIORS, "where": 'behaviors["bought"] == 0'}, "fetched with behaviors.*use fetch_profiles"),
        ({"distinct_id": "顧客-1"}, "fetched with distinct_ids.*use fetch_profiles"),
    ],
)
@pytest.mark.parametrize("every", [0, 7])
async def test_selections_that_a_sync_cannot_keep_up_to_date(fake, client_of, path, clock, selection, says, every):
    fake.catalog = COHORT
    client = client_of(fake)
    await client.fetch_profiles(**selection)
    fake.forget_requests()
    with pytest.raises(SelectionMismatchError, match=says):
        await client.sync_profiles(full_every_days=every)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("first", "then", "says"),
    [
        ({}, {"where": "true"}, "where=None, and this call has 'true'"),
        ({"where": "true"}, {"where": "false"}, "where='true', and this call has 'false'"),
        ({"output_properties": ["n"]}, {"output_properties": ["m"]}, "output_properties=.*'n'.*'m'"),
        ({"output_properties": ["n"]}, {"output_properties": ["n", "m"]}, "leave it out"),
        ({}, {"group_id": 84}, "group_id=None, and this call has '84'"),
    ],
)
@pytest.mark.parametrize("every", [0, 7])
async def test_another_selection_than_the_tables(fake, client_of, path, clock, first, then, says, every):
    client = client_of(fake)
    await client.sync_profiles(**first)
    fake.forget_requests()
    with pytest.raises(SelectionMismatchError, match=says):
        await client.sync_profiles(**then, full_every_days=every)
    assert fake.requests == []
    assert (await client.sync_profiles(**first)).total_rows == 0


async def test_tables_that_hold_something_else(fake, client_of, path, clock):
    client = client_of(fake)
    await client.fetch_events("some_events", from_date="2026-01-01", to_date="2026-01-01")
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    fake.forget_requests()
    for name, says in [("some_events", "holds events"), ("mine", "not made by this library")]:
        with pytest.raises(StoreError, match=says):
            await client.sync_profiles(name)
    assert fake.requests == []


@pytest.mark.parametrize("every", [-1, True, False, 1.0, "7", None])
async def test_bad_days_send_nothing(fake, client_of, path, every):
    with pytest.raises(ValueError, match=r"full_every_days must be a whole number of days, 0 \(always\) or more, not"):
        await client_of(fake).sync_profiles(full_every_days=every)
    assert fake.requests == []
    assert not path.exists()


# What goes wrong


async def seen_by_25(fake, client, clock):
    """A synced table, and 25 people that were seen since, which are three pages."""
    await client.sync_profiles()
    clock.advance(DAY)
    visit(fake, clock.now - HOUR, *(f"顧客-{n}" for n in range(20)), *(f"new-{n}" for n in range(5)))
    fake.forget_requests()


async def test_pages_that_fail_leave_table_and_time_and_the_next_sync_mends_it(fake, client_of, path, clock, caplog):
    client = client_of(fake)
    await seen_by_25(fake, client, clock)
    before = stored(path)
    fake.faults.add(Fault.status(500), page=1, times=3)

    result = await client.sync_profiles()

    assert (result.total_rows, result.successful_pages, result.failed_page_indices) == (0, 2, (1,))
    assert "The other pages go on; the next sync fetches all of them again." in caplog.text
    assert (stored(path), times(path)) == (before, [START, START])
    assert ours(path) == {"profiles"}
    clock.advance(3 * DAY)
    result = await client.sync_profiles()
    assert (result.total_rows, result.failed_page_indices) == (25, ())
    assert filters(fake) == ['properties["$last_seen"] >= "2026-03-01T10:00:00"'] * 2
    assert stored(path) == truth(fake)


async def test_a_full_download_that_fails_leaves_table_and_time_and_the_next_sync_is_full(fake, client_of, path, clock):
    client = client_of(fake)
    await seen_by_25(fake, client, clock)
    before = stored(path)
    clock.advance(7 * DAY)
    fake.faults.add(Fault.auth_expired(400), page=4, times=1)
    with pytest.raises(AuthenticationError) as error:
        await client.sync_profiles()
    assert not hasattr(error.value, "__notes__")
    fake.faults.add(Fault.status(500), page=4, times=3)
    assert (await client.sync_profiles()).failed_page_indices == (4,)
    assert (stored(path), times(path)) == (before, [START, START])
    assert (await client.sync_profiles()).total_rows == 81
    assert filters(fake) == [None] * 3
    assert stored(path) == truth(fake)
    assert ours(path) == {"profiles"}


@pytest.mark.parametrize(
    ("fault", "page", "kind"),
    [(Fault.status(500), 0, ExportError), (Fault.auth_expired(400), 1, AuthenticationError)],
)
async def test_an_error_that_ends_a_sync_leaves_table_and_time(fake, client_of, path, clock, fault, page, kind):
    client = client_of(fake)
    await seen_by_25(fake, client, clock)
    before = stored(path)
    fake.faults.add(fault, page=page, times=3)
    with pytest.raises(kind) as error:
        await client.sync_profiles()
    assert not hasattr(error.value, "__notes__")
    assert (stored(path), times(path)) == (before, [START, START])
    assert ours(path) == {"profiles"}
    fake.faults.clear()
    await client.sync_profiles()
    assert stored(path) == truth(fake)


async def test_a_session_that_expires_begins_again_and_counts_from_then(fake, client_of, path, clock):
    client = client_of(fake)
    await seen_by_25(fake, client, clock)
    fake.faults.add(Fault.session_expired(), page=1, times=1)
    result = await client.sync_profiles()
    assert result.total_rows == 25
    assert sum(page == 0 for page, _ in requested(fake)) == 2
    assert stored(path) == truth(fake)


async def test_a_cancel_at_any_step(fake, client_of, path, clock):
    client = client_of(fake)
    await seen_by_25(fake, client, clock)
    before, synced = stored(path), [START, clock.now]
    taken, _ = await run_and_cancel(client.sync_profiles(max_workers=2), set())
    assert times(path) == synced
    ended = 0
    for step in few(range(1, taken + 1), 8, seed=6):
        fake.profiles = GivenProfiles(people(76))
        await client.fetch_profiles(parallel=True)
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"UPDATE _mixpanel_syncs SET full_at = '{START:%F %T}', synced_at = '{START:%F %T}'")
        visit(fake, clock.now - HOUR, *(f"顧客-{n}" for n in range(20)), *(f"new-{n}" for n in range(5)))
        _, task = await run_and_cancel(client.sync_profiles(max_workers=2), {step})
        ended += task.cancelled()
        assert (stored(path), times(path)) in ((before, [START, START]), (truth(fake), synced)), f"a cancel at {step}"
        await client.sync_profiles()
        assert (stored(path), times(path)) == (truth(fake), synced)
        assert ours(path) == {"profiles"}
    assert ended, "no cancel came before the end"


CHILD = """
import asyncio, datetime, sys, threading
from mixpanel_async import MixpanelClient, ServiceAccount, clock
from mixpanel_async.duck import profiles_table
from mixpanel_async.duck.profiles_table import ProfilesTable

def stop():
    print("here", flush=True)
    threading.Event().wait()

def stop_after(where, name):
    real = getattr(where, name)
    def wrapped(*arguments):
        real(*arguments)
        stop()
    setattr(where, name, wrapped)

MOMENTS = {
    "before the first page": (ProfilesTable, "begin"),
    "after one page": (ProfilesTable, "keep"),
    "in the transaction": (profiles_table, sys.argv[7]),
    "after the commit": (ProfilesTable, "publish"),
}

async def main(url, user, secret, project, path, moment, record, now):
    clock.utc_now = lambda: datetime.datetime.fromisoformat(now)
    if moment == "after all pages":
        ProfilesTable.publish = lambda table: stop()
    else:
        stop_after(*MOMENTS[moment])
    async with MixpanelClient(ServiceAccount(user, secret, project), base_url=url, database=path) as client:
        await client.sync_profiles()

asyncio.run(main(*sys.argv[1:]))
"""
MOMENTS = ["before the first page", "after one page", "after all pages", "in the transaction", "after the commit"]


async def child_of(program, fake, path, *more):
    account = fake.project.service_account
    arguments = [fake.url, account.username, account.secret, str(fake.project.id), str(path), *more]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", program, *arguments, stdin=pipe, stdout=pipe)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("is_full", [True, False])
async def test_a_kill_at_any_moment(fake, client_of, path, clock, moment, is_full):
    await seen_by_25(fake, client_of(fake), clock)
    before = stored(path)
    if is_full:
        clock.advance(7 * DAY)
        fake.profiles.delete("顧客-7")
    child = await child_of(
        CHILD, fake, path, moment, "record_full" if is_full else "record_merge", clock.now.isoformat()
    )
    assert await child.stdout.readline() == b"here\n"
    child.kill()
    await child.wait()
    await fake.until(lambda: fake.open_queries == 0)

    if moment == "after the commit":
        assert stored(path) == truth(fake)
        assert times(path) == [clock.now if is_full else START, clock.now]
    else:
        assert (stored(path), times(path)) == (before, [START, START])
    fake.forget_requests()
    visit(fake, clock.now, "later")
    clock.advance(HOUR)
    assert not (await client_of(fake).sync_profiles()).has_failures
    assert stored(path) == truth(fake)
    assert ours(path) == {"profiles"}


# Two at once


async def test_two_syncs_of_one_client_wait_for_each_other(fake, client_of, path, clock):
    client = client_of(fake)
    first, second = await asyncio.gather(client.sync_profiles(), client.sync_profiles("PROFILES"))
    assert [first.total_rows, second.total_rows] == [76, 0]
    assert filters(fake)[0] is None
    assert filters(fake)[1] is not None
    assert stored(path) == truth(fake)


TWO = """
import asyncio, datetime, sys
from mixpanel_async import MixpanelClient, ServiceAccount, StoreError, clock
from mixpanel_async.engage import fetch

async def main(url, user, secret, project, path, now):
    clock.utc_now = lambda: datetime.datetime.fromisoformat(now)
    real = fetch.PageFetcher._fetch_batch
    async def wait(pages, key):
        if key.page == 1:
            print("here", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
        return await real(pages, key)
    fetch.PageFetcher._fetch_batch = wait
    async with MixpanelClient(ServiceAccount(user, secret, project), base_url=url, database=path) as client:
        try:
            await client.sync_profiles()
        except StoreError as error:
            print(error, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("is_full", [True, False])
async def test_of_two_processes_the_one_that_began_last_goes_on(fake, client_of, path, clock, is_full):
    client = client_of(fake)
    await seen_by_25(fake, client, clock)
    clock.advance(is_full * 7 * DAY)
    child = await child_of(TWO, fake, path, clock.now.isoformat())
    assert await child.stdout.readline() == b"here\n"
    clock.advance(HOUR)

    result = await client.sync_profiles()

    output, _ = await child.communicate(b"go on\n")
    assert b"another client fetches into it" in output
    assert child.returncode == 0
    assert result.total_rows == (81 if is_full else 25)
    assert stored(path) == truth(fake)
    assert times(path) == [clock.now if is_full else START, clock.now]
    assert ours(path) == {"profiles"}
