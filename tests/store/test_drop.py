"""drop_table: a fetched table and all that is known of it, in one transaction."""

from __future__ import annotations

import asyncio

import duckdb
import pytest

from mixpanel_async import Store, StoreError, TableNotFoundError
from mixpanel_async.decode.event import RejectedLine
from mixpanel_async.duck import dropping
from mixpanel_async.duck.connection import Database
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, GivenProfiles, QueryRules
from tests.cancellation.stepping import run_and_cancel
from tests.duck.conftest import Shelf, event
from tests.slices import few
from tests.system.conftest import (
    Gated,
    client_of,  # noqa: F401 - a fixture
)
from tests.system.test_turns import five_of_six, until_free

from .conftest import others_can_write, process_that_holds

OURS = ("selections", "chunks", "out_of_range", "copies", "unchecked", "rejected", "pages", "syncs")


def known(path):
    """The names that our tables know, each with the tables that do, and the other tables of the file."""
    with duckdb.connect(str(path)) as connection:
        names = {
            (name, ours)
            for ours in OURS
            for (name,) in connection.execute(f"SELECT table_name FROM _mixpanel_{ours}").fetchall()
        }
        tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    return names, tables - {f"_mixpanel_{ours}" for ours in (*OURS, "version")}


@pytest.fixture
def two(path):
    """Two tables of events, each with rows, rejected lines, a row out of range and a chunk that failed."""
    database = Database(path)
    lease = database.lease()
    lease.open()
    for name in ("events", "others"):
        shelf = Shelf(database, name).prepare()
        late = event("2024-01-09", insert_id="i")
        shelf.store(
            ("2024-01-01", "2024-01-02"),
            [event("2024-01-02"), event("2024-02-01"), late],
            rejected=[RejectedLine(3, "why", b"x")],
        )
        shelf.store(("2024-01-09", "2024-01-09"), [late])
        shelf.begun(("2024-01-05", "2024-01-05"), rejected=[RejectedLine(1, "why", b"y")])
        shelf.sql(f"INSERT INTO _mixpanel_rejected BY NAME SELECT lower('{name}') AS table_name, DATE '2024-01-05' AS from_date, DATE '2024-01-05' AS to_date, 1 AS line_number, 'why' AS reason, 'y'::BLOB AS line, true AS chunk_failed")  # fmt: skip
        shelf.cursor.close()
        shelf.table.finish()
    lease.close()
    database.close()
    return path


@pytest.fixture
async def gated_fake(gated):
    async with FakeMixpanel(gated, today="2026-06-01", limits=None) as server:
        yield server


@pytest.fixture
def gated():
    source = Gated()
    yield source
    source.gate.set()


async def test_all_that_belongs_to_a_table_goes_and_nothing_else(two):
    names, tables = known(two)
    assert {ours for name, ours in names if name == "events"} >= {"selections", "chunks", "rejected", "out_of_range", "copies"}  # fmt: skip
    assert await Store(two).drop_table("EVENTS") is None
    assert known(two) == ({pair for pair in names if pair[0] == "others"}, tables - {"events"})
    assert (await Store(two).coverage("others")).rows == 3
    with pytest.raises(TableNotFoundError, match="There is no table 'events' in this database: nothing to drop"):
        await Store(two).drop_table("events")


async def test_profiles_go_with_the_pages_that_are_kept(client_of, path):  # noqa: F811
    people = [{"$distinct_id": f"p{n}", "$properties": {}} for n in range(30)]
    rules = QueryRules(page_size=10)
    async with FakeMixpanel(profiles=GivenProfiles(people), limits=None, query_rules=rules) as server:
        client = client_of(server)
        await client.fetch_profiles()
        server.faults.add(Fault.status(500), page=2)
        assert (await client.fetch_profiles(parallel=True)).has_failures
        names, _ = known(path)
        assert names == {("profiles", "selections"), ("profiles", "syncs"), ("_mixpanel_profiles_profiles", "selections"), ("_mixpanel_profiles_profiles", "pages")}  # fmt: skip
        await client.store.drop_table("profiles")
        assert known(path) == (set(), set())
        with pytest.raises(TableNotFoundError):
            await client.store.drop_table("profiles")


async def test_pages_of_a_first_download_that_broke_off_go(client_of, path):  # noqa: F811
    people = [{"$distinct_id": f"p{n}", "$properties": {}} for n in range(30)]
    rules = QueryRules(page_size=10)
    async with FakeMixpanel(profiles=GivenProfiles(people), limits=None, query_rules=rules) as server:
        client = client_of(server)
        server.faults.add(Fault.status(500), page=2)
        assert (await client.fetch_profiles(parallel=True)).has_failures
        assert known(path)[1] == {"_mixpanel_profiles_profiles"}
        await client.store.drop_table("profiles")
    assert known(path) == (set(), set())


async def test_a_lookup_goes(client_of, path):  # noqa: F811
    async with FakeMixpanel(GeneratedEvents(per_day=5), today="2026-06-01", limits=None) as server:
        client = client_of(server)
        await client.lookups.event_names(save="names")
        await client.store.drop_table("names")
    assert known(path) == (set(), set())


async def test_what_is_not_ours_is_refused(two):
    with duckdb.connect(str(two)) as connection:
        connection.execute("CREATE TABLE theirs AS SELECT 1 AS a; CREATE VIEW seen AS SELECT 1 AS a")
        connection.execute("DROP TABLE others; CREATE TABLE others AS SELECT 1 AS a")
    before = known(two)
    for name in ("theirs", "seen"):
        with pytest.raises(StoreError, match=f"'{name}' was not made by this library: drop it yourself"):
            await Store(two).drop_table(name)
    with pytest.raises(StoreError, match=r"has the columns \['a'\]"):
        await Store(two).drop_table("others")
    with pytest.raises(ValueError, match="name="):
        await Store(two).drop_table("_mixpanel_chunks")
    with pytest.raises(TableNotFoundError):
        await Store(two).drop_table("missing")
    assert known(two) == before


async def test_views_that_read_it_are_named(two):
    with duckdb.connect(str(two)) as connection:
        connection.execute("CREATE SCHEMA reports; CREATE VIEW a AS SELECT event_name FROM events")
        connection.execute("CREATE VIEW reports.b AS FROM main.a; CREATE VIEW c AS FROM others")
        connection.execute("CREATE TABLE gone (a INT); CREATE VIEW broken AS FROM gone; DROP TABLE gone")
    before = known(two)
    with pytest.raises(StoreError) as refused:
        await Store(two).drop_table("events")
    assert 'read by "main"."a", "reports"."b": drop these views first' in str(refused.value)
    assert known(two) == before
    with duckdb.connect(str(two)) as connection:
        connection.execute("DROP VIEW reports.b; DROP VIEW a")
    await Store(two).drop_table("events")


async def test_a_view_that_create_view_made_is_dropped(two):
    store = Store(two)
    await store.create_view("typed", properties={"a": "INT"})
    with duckdb.connect(str(two)) as connection:
        connection.execute("CREATE VIEW seen AS SELECT a FROM typed")
    with pytest.raises(StoreError, match=r"'typed' is read by \"main\"\.\"seen\": drop these views first"):
        await store.drop_table("typed")
    with duckdb.connect(str(two)) as connection:
        connection.execute("DROP VIEW seen")
    before = known(two)
    await store.drop_table("TYPED")
    assert [table.name for table in await store.tables()] == ["events", "others"]
    assert known(two) == before
    await store.drop_table("events")  # no view reads it any more


async def test_an_error_leaves_all_as_it_was(two, monkeypatch):
    before = known(two)

    def fail(*_):
        raise duckdb.IOException("No space left on device")

    monkeypatch.setattr(dropping, "_forget_all", fail)
    with pytest.raises(StoreError, match="'events': No space left"):
        await Store(two).drop_table("events")
    assert known(two) == before


async def test_a_missing_file_is_not_created(path):
    with pytest.raises(StoreError, match="There is no database"):
        await Store(path).drop_table("events")
    assert list(path.parent.iterdir()) == []


async def test_a_connection_is_written_and_stays_open(two):
    with duckdb.connect(str(two)) as connection:
        await Store(connection).drop_table("events")
        assert connection.execute("SELECT count(*) FROM others").fetchall() == [(3,)]
        await Store(two).drop_table("others")  # shares that connection's database
        assert connection.execute("SELECT count(*) FROM _mixpanel_chunks").fetchall() == [(0,)]
    with duckdb.connect(str(two), read_only=True) as connection, pytest.raises(StoreError, match="is read-only"):
        await Store(connection).drop_table("events")


async def test_another_process_is_waited_for(two):
    with process_that_holds(two):
        dropping_it = asyncio.ensure_future(Store(two).drop_table("events"))
        await asyncio.sleep(0.05)
        assert not dropping_it.done()
    await dropping_it
    assert others_can_write(two)


async def test_a_call_that_fetches_into_it_is_waited_for(gated_fake, client_of, path, gated):  # noqa: F811
    client = client_of(gated_fake)
    async with five_of_six(client, gated) as call:
        dropping_it = asyncio.ensure_future(client.store.drop_table("EVENTS"))
        (await until_free(path)).close()
        gated.gate.set()
        done, _ = await asyncio.wait({call, dropping_it}, return_when=asyncio.FIRST_COMPLETED)
        assert done == {call}
        assert not (await call).has_failures
        await dropping_it
    assert known(path) == (set(), set())


async def test_a_fetch_of_another_process_ends_with_an_error(gated_fake, client_of, path, gated):  # noqa: F811
    async with five_of_six(client_of(gated_fake), gated) as call:
        await Store(path).drop_table("events")  # as another process does: this client knows nothing of it
        gated.gate.set()
        with pytest.raises(StoreError, match="was dropped or replaced while it was fetched"):
            await call
    assert known(path) == (set(), set())


@pytest.mark.parametrize("of_client", [False, True])
async def test_a_cancel_at_any_step_drops_all_or_nothing(two, client_of, of_client):  # noqa: F811
    before = known(two)
    copy = two.read_bytes()
    async with FakeMixpanel(limits=None) as server:
        client = client_of(server, database=two)
        store = client.store if of_client else Store(two)
        steps, _ = await run_and_cancel(store.drop_table("events"), set())
        for step in few(range(1, steps + 1), 10):
            two.write_bytes(copy)
            _, task = await run_and_cancel(store.drop_table("events"), {step})
            assert task.cancelled() or task.result() is None
            names, tables = known(two)
            assert (names, tables) == before or "events" not in {*tables, *(name for name, _ in names)}
