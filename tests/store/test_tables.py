"""Store.tables: what was fetched, and the views that read it."""

from __future__ import annotations

import datetime as dt
import json

import duckdb
import pytest

from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount, Store, StoreError, TableInfo
from mixpanel_async.duck.connection import Database
from mixpanel_async.selections import EventSelection
from mixpanel_async.tables import Tables
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents
from tests.duck.conftest import FETCHED_AT, Shelf, event

from .conftest import ROWS, is_free


async def test_a_table_of_events(filled):
    (table,) = await Store(filled).tables()
    assert (table.name, table.type, table.rows) == ("events", "events", ROWS)
    assert (table.first_date, table.last_date, table.fetched_at) == ("2024-01-01", "2024-01-07", FETCHED_AT)
    assert table.selection == {}
    assert 0 < table.bytes <= filled.stat().st_size
    assert is_free(filled)


async def test_the_size_is_that_of_its_blocks_in_the_file(filled):
    with duckdb.connect(str(filled)) as connection:
        connection.execute(
            "INSERT INTO events SELECT 'b', TIMESTAMP '2024-01-03', 'd', NULL, json_object('id', uuid()) FROM range(50000)"
        )
        connection.execute("CHECKPOINT")
        segments = connection.execute(
            "SELECT block_id, additional_block_ids FROM pragma_storage_info('events')"
        ).fetchall()
    blocks = {block for first, others in segments for block in (first, *others)} - {-1}  # -1: it needs no block
    (table,) = await Store(filled).tables()
    assert table.rows == ROWS + 50_000
    assert -1 in {first for first, _ in segments}
    assert table.bytes == len(blocks) * (256 << 10)
    assert 50_000 * 20 < table.bytes < filled.stat().st_size  # a uuid of 36 characters, compressed


async def test_selections_and_names_are_as_given(path):
    database = Database(path)
    database.acquire()
    selection = EventSelection.of(["Signed up", "Bought"], 'properties["$os"] == "<b>"')
    for name, chosen in (("Some_Events", selection), ("empty", EventSelection.of(limit=5))):
        shelf = Shelf(database, name, chosen).prepare()
        if name != "empty":
            shelf.store(("2024-01-01", "2024-01-02"), [event("2024-01-02")])
            shelf.store(("2024-02-01", "2024-02-01"), [event("2024-02-01")])
        shelf.cursor.close()
    database.release()
    database.close()
    some, empty = await Store(path).tables()
    assert some.name == "Some_Events"
    assert some.selection == {"events": ["Bought", "Signed up"], "where": 'properties["$os"] == "<b>"'}
    assert (some.first_date, some.last_date, some.rows) == ("2024-01-01", "2024-02-01", 2)
    assert empty == TableInfo("empty", "events", {"limit": 5}, 0, None, None, None, 0)


async def test_profiles_and_lookups_have_their_own_time(tmp_path):
    async with FakeMixpanel(GeneratedEvents(per_day=20), today="2026-02-10", limits=None) as fake:
        account = fake.project.service_account
        credentials = ServiceAccount(account.username, account.secret, fake.project.id)
        limits = RateLimits(queries_per_hour=1000)
        began = dt.datetime.now(dt.UTC)
        async with MixpanelClient(
            credentials, database=tmp_path / "a.duckdb", base_url=fake.url, limits=limits
        ) as client:
            result = await client.fetch_profiles(where='properties["a"] != 1')
            await client.fetch_profiles("people", parallel=True)
            names = await client.lookups.event_names(save=True)
            found = {table.name: table for table in await client.store.tables()}
        assert list(found) == ["event_names", "people", "profiles"]
        assert [table.type for table in found.values()] == ["event_names", "profiles", "profiles"]
        assert (found["profiles"].rows, found["event_names"].rows) == (result.rows, len(names))
        assert found["profiles"].selection == {"where": 'properties["a"] != 1'}
        for table in found.values():
            assert (table.first_date, table.last_date) == (None, None)
            assert began <= table.fetched_at <= dt.datetime.now(dt.UTC)
    assert await Store(tmp_path / "a.duckdb").tables() == tuple(found.values())


async def test_views_of_ours_are_listed_and_what_is_others_is_not(filled):
    with duckdb.connect(str(filled)) as connection:
        connection.execute(
            "CREATE TABLE mine AS SELECT 1 AS a; CREATE VIEW of_mine AS FROM mine; CREATE VIEW nothing AS SELECT 1;"
            "CREATE VIEW signups AS SELECT properties->>'a' AS a FROM events; CREATE VIEW \"by way\" AS FROM signups;"
            "CREATE SCHEMA s; CREATE TABLE s.events AS SELECT 1 AS a; CREATE VIEW elsewhere AS FROM s.events;"
            "CREATE TABLE gone AS SELECT 1 AS a; CREATE VIEW broken AS FROM gone; DROP TABLE gone"
        )
    tables = await Store(filled).tables()
    assert [(table.name, table.type) for table in tables] == [
        ("events", "events"),
        ("by way", "view"),
        ("signups", "view"),
    ]
    assert tables[1] == TableInfo("by way", "view", {}, None, None, None, None, None)


@pytest.mark.parametrize("of_client", [False, True])
async def test_a_client_finds_the_same(filled, of_client):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE VIEW signups AS SELECT event_name FROM events")
        expected = await Store(connection).tables()
    async with MixpanelClient(ServiceAccount("user", "secret", project_id=1), database=filled) as client:
        assert await (client.store if of_client else Store(filled)).tables() == expected
    assert len(expected) == 2


async def test_a_database_in_memory_has_no_bytes():
    async with MixpanelClient(ServiceAccount("user", "secret", project_id=1), database=":memory:") as client:
        assert await client.store.tables() == ()
        assert str(await client.store.tables()) == "There are no tables of this library yet."
        assert "no tables of this library" in (await client.store.tables())._repr_html_()


async def test_a_database_of_others_has_none_and_an_older_one_is_refused(tmp_path, filled):
    with duckdb.connect(str(tmp_path / "others.duckdb")) as connection:
        connection.execute("CREATE TABLE events AS SELECT 1 AS a")
    assert await Store(tmp_path / "others.duckdb").tables() == ()
    with duckdb.connect(str(filled)) as connection:
        connection.execute("UPDATE _mixpanel_version SET version = 3")
    with pytest.raises(StoreError, match="have version 3"):
        await Store(filled).tables()
    assert (await Store(filled).query("SELECT count(*) FROM events")).fetchall() == [(ROWS,)]  # rows can be read


def info(name="events", **fields):
    given = {
        "type": "events",
        "selection": {},
        "rows": 1234567,
        "first_date": "2024-01-01",
        "last_date": "2024-12-31",
        "fetched_at": FETCHED_AT,
        "bytes": 29 << 20,
    }
    return TableInfo(name, **given | fields)


def test_it_prints_as_a_table():
    view = TableInfo("signups", "view", {}, None, None, None, None, None)
    chosen = {"events": ["Signed up", "a"], "where": '"a"\nin properties["$os"] and true'}
    some = info("some", selection=chosen, bytes=1 << 18)
    assert str(Tables([info(), some, view])) == (
        "table    type         rows  first date  last date   fetched at (UTC)     size  selection\n"
        "events   events  1,234,567  2024-01-01  2024-12-31  2024-02-01 00:00  30.4 MB  all\n"
        'some     events  1,234,567  2024-01-01  2024-12-31  2024-02-01 00:00   262 kB  events: Signed up, a; where: "a"\\nin pr…\n'
        "signups  view"
    )
    assert str(Tables([view])) == "table    type\nsignups  view"


def test_a_notebook_shows_twenty():
    shown = Tables([info(f"t{number}", selection={"where": "<b> $a and $b"}) for number in range(30)])._repr_html_()
    assert (shown.count("<tr>"), shown.count("<td ")) == (21, 160)
    assert "and 10 more" in shown
    assert "&lt;b&gt; $a and $b" in shown
    assert "mathjax_ignore" in shown


def test_a_table_is_json():
    assert json.loads(json.dumps(info(selection={"events": ["a"]}).to_dict())) == {
        "name": "events",
        "type": "events",
        "selection": {"events": ["a"]},
        "rows": 1234567,
        "first_date": "2024-01-01",
        "last_date": "2024-12-31",
        "fetched_at": "2024-02-01T00:00:00+00:00",
        "bytes": 29 << 20,
    }
