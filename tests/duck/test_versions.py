"""The library's own tables have a version: older ones are migrated, newer ones refused."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading

import duckdb
import pytest

from mixpanel_async.duck import versions
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.schema import Schema
from mixpanel_async.duck.versions import VERSION, prepare_our_tables
from mixpanel_async.errors import StoreError
from tests.system.conftest import client_of, fake  # noqa: F401 - fixtures

MAIN = Schema("memory", "main")
VERSION_1 = [
    """CREATE TABLE _mixpanel_selections (table_name VARCHAR PRIMARY KEY, type VARCHAR NOT NULL, selection JSON NOT NULL,
        created_at TIMESTAMPTZ NOT NULL)""",
    """CREATE TABLE _mixpanel_chunks (table_name VARCHAR NOT NULL, from_date DATE NOT NULL, to_date DATE NOT NULL,
        final BOOLEAN NOT NULL, rows BIGINT NOT NULL, duplicates BIGINT NOT NULL, rejected BIGINT NOT NULL,
        bytes BIGINT NOT NULL, retries INTEGER NOT NULL, fetched_at TIMESTAMPTZ NOT NULL,
        PRIMARY KEY (table_name, from_date))""",
    """CREATE TABLE _mixpanel_strays (table_name VARCHAR NOT NULL, day DATE NOT NULL, event_time TIMESTAMP NOT NULL,
        digest VARCHAR NOT NULL)""",
    """CREATE TABLE _mixpanel_rejected (table_name VARCHAR NOT NULL, from_date DATE NOT NULL, to_date DATE NOT NULL,
        line_number BIGINT NOT NULL, reason VARCHAR NOT NULL, line BLOB NOT NULL)""",
    """CREATE TABLE _mixpanel_pages (table_name VARCHAR NOT NULL, part INTEGER NOT NULL, page INTEGER NOT NULL,
        rows BIGINT NOT NULL, session_id VARCHAR, total BIGINT, page_size BIGINT NOT NULL,
        fetched_at TIMESTAMPTZ NOT NULL, PRIMARY KEY (table_name, part, page))""",
]
"""What the releases before versions made."""


def tables(cursor):
    found = cursor.execute("SELECT table_name FROM information_schema.tables").fetchall()
    return {name for (name,) in found}


def all_rows(cursor):
    return {name: rows_of(cursor, name) for name in sorted(tables(cursor))}


def rows_of(cursor, name):
    """All rows of a table, times with and without a zone as microseconds since 1970."""
    columns = [
        f"epoch_us({column})" if kind.startswith("TIMESTAMP") else column
        for column, kind, *_ in cursor.execute(f"DESCRIBE {name}").fetchall()
    ]
    return cursor.execute(f"SELECT {', '.join(columns)} FROM {name} ORDER BY ALL").fetchall()


def as_version_1(path):
    """Turn a database of today into one of version 1."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE _mixpanel_version")
        connection.execute("ALTER TABLE _mixpanel_out_of_range RENAME TO _mixpanel_strays")
        connection.execute("ALTER TABLE _mixpanel_rejected DROP COLUMN chunk_failed")


@pytest.fixture
def cursor():
    with duckdb.connect() as connection:
        yield connection


def test_new_tables_have_todays_version(cursor):
    prepare_our_tables(cursor, MAIN)
    assert cursor.execute("FROM _mixpanel_version").fetchall() == [(VERSION,)]
    before = all_rows(cursor)
    prepare_our_tables(cursor, MAIN)
    assert all_rows(cursor) == before


@pytest.mark.parametrize("missing", [0, 1, 2, 4])
def test_an_older_version_is_migrated_with_its_rows(cursor, missing):
    """An early file of version 1 lacks the tables that came later."""
    for statement in VERSION_1[: len(VERSION_1) - missing]:
        cursor.execute(statement)
    if missing < 3:
        cursor.execute("INSERT INTO _mixpanel_strays VALUES ('events', '2026-01-01', '2026-01-02 03:04:05', 'digest')")
    cursor.execute("INSERT INTO _mixpanel_selections VALUES ('events', 'events', '{}', now())")
    before = all_rows(cursor)

    prepare_our_tables(cursor, MAIN)

    after = all_rows(cursor)
    assert after.pop("_mixpanel_version") == [(VERSION,)]
    before["_mixpanel_selections"] = [(*row, None) for row in before["_mixpanel_selections"]]  # of no known project
    if missing < 3:
        before["_mixpanel_out_of_range"] = before.pop("_mixpanel_strays")
    assert {name: after[name] for name in before} == before
    with duckdb.connect() as other:
        prepare_our_tables(other, MAIN)
        assert tables(cursor) == tables(other)


def test_version_2_gets_the_tables_for_copies_and_a_column(cursor):
    prepare_our_tables(cursor, MAIN)
    now = tables(cursor)
    cursor.execute(
        "DROP TABLE _mixpanel_copies; DROP TABLE _mixpanel_unchecked; UPDATE _mixpanel_version SET version = 2"
    )
    cursor.execute("INSERT INTO _mixpanel_out_of_range VALUES ('events', '2026-01-01', '2026-01-02', 'digest')")
    cursor.execute("ALTER TABLE _mixpanel_rejected DROP COLUMN chunk_failed")
    cursor.execute("INSERT INTO _mixpanel_rejected VALUES ('events', '2026-01-01', '2026-01-02', 1, 'why', 'line')")
    prepare_our_tables(cursor, MAIN)
    assert tables(cursor) == now
    assert cursor.execute("SELECT line_number, chunk_failed FROM _mixpanel_rejected").fetchall() == [(1, False)]
    assert cursor.execute("FROM _mixpanel_version").fetchall() == [(VERSION,)]
    assert cursor.execute("SELECT digest FROM _mixpanel_out_of_range").fetchall() == [("digest",)]


def test_version_4_gets_the_table_for_syncs(cursor):
    prepare_our_tables(cursor, MAIN)
    now = tables(cursor)
    cursor.execute("DROP TABLE _mixpanel_syncs; UPDATE _mixpanel_version SET version = 4")
    cursor.execute("ALTER TABLE _mixpanel_selections DROP COLUMN project")
    cursor.execute("INSERT INTO _mixpanel_selections VALUES ('profiles', 'profiles', '{}', '2026-01-01')")
    prepare_our_tables(cursor, MAIN)
    assert tables(cursor) == now
    assert cursor.execute("FROM _mixpanel_syncs").fetchall() == []
    assert cursor.execute("SELECT table_name FROM _mixpanel_selections").fetchall() == [("profiles",)]
    assert cursor.execute("FROM _mixpanel_version").fetchall() == [(VERSION,)]


def test_tables_of_version_5_are_of_no_known_project(cursor):
    prepare_our_tables(cursor, MAIN)
    cursor.execute("ALTER TABLE _mixpanel_selections DROP COLUMN project; UPDATE _mixpanel_version SET version = 5")
    cursor.execute("INSERT INTO _mixpanel_selections VALUES ('events', 'events', '{}', '2026-01-01')")
    prepare_our_tables(cursor, MAIN)
    assert cursor.execute("SELECT table_name, project FROM _mixpanel_selections").fetchall() == [("events", None)]
    assert cursor.execute("FROM _mixpanel_version").fetchall() == [(VERSION,)]


def test_a_column_that_is_there_is_not_added_again_to_a_table_with_somebodys_index(cursor):
    """DuckDB 1.5 refuses to alter such a table, also to leave it as it is."""
    prepare_our_tables(cursor, MAIN)
    cursor.execute("ALTER TABLE _mixpanel_selections DROP COLUMN project; UPDATE _mixpanel_version SET version = 5")
    cursor.execute("CREATE INDEX mine ON _mixpanel_rejected (line_number)")
    prepare_our_tables(cursor, MAIN)
    assert cursor.execute("FROM _mixpanel_version").fetchall() == [(VERSION,)]


def test_times_of_version_3_are_the_same_without_a_zone(cursor):
    cursor.execute("SET TimeZone = 'America/Los_Angeles'")
    for statement in VERSION_1:
        cursor.execute(statement)
    cursor.execute("CREATE TABLE Notes (id BIGINT, date TIMESTAMPTZ, fetched_at TIMESTAMPTZ)")
    cursor.execute("CREATE TABLE somebodys (moment TIMESTAMPTZ)")
    cursor.execute("INSERT INTO Notes VALUES (1, '2026-03-08 09:59:59.123456+00', NULL)")
    cursor.execute("INSERT INTO _mixpanel_selections VALUES ('notes', 'annotations', '{}', '2026-03-08 10:00:00+00')")

    prepare_our_tables(cursor, MAIN)

    date = dt.datetime.fromisoformat("2026-03-08 09:59:59.123456")
    assert cursor.execute("FROM Notes").fetchall() == [(1, date, None)]
    assert cursor.execute("SELECT created_at::VARCHAR FROM _mixpanel_selections").fetchall() == [
        ("2026-03-08 10:00:00",)
    ]
    zones = "SELECT table_name FROM information_schema.columns WHERE data_type = 'TIMESTAMP WITH TIME ZONE'"
    assert cursor.execute(zones).fetchall() == [("somebodys",)]


def test_the_migration_changes_our_own_columns_only_and_none_that_an_index_needs(cursor):
    for statement in VERSION_1:
        cursor.execute(statement)
    cursor.execute("CREATE TABLE cohorts (id BIGINT, mine TIMESTAMPTZ, fetched_at TIMESTAMPTZ)")
    cursor.execute("CREATE TABLE notes (id BIGINT, date TIMESTAMPTZ); CREATE INDEX theirs ON notes (id)")
    cursor.execute(
        "CREATE VIEW seen AS SELECT id, date FROM notes; ALTER TABLE _mixpanel_chunks ADD COLUMN x TIMESTAMPTZ"
    )
    for name, kind in (("cohorts", "cohorts"), ("notes", "annotations"), ("seen", "annotations"), ("events", "events")):
        cursor.execute("INSERT INTO _mixpanel_selections VALUES (?, ?, '{}', now())", [name, kind])
    cursor.execute("CREATE TABLE events (date TIMESTAMPTZ)")

    prepare_our_tables(cursor, MAIN)

    zones = "SELECT table_name, column_name FROM duckdb_columns() WHERE data_type = 'TIMESTAMP WITH TIME ZONE' AND NOT internal ORDER BY ALL"
    assert cursor.execute(zones).fetchall() == [
        ("_mixpanel_chunks", "x"), ("cohorts", "mine"), ("events", "date"), ("notes", "date"), ("seen", "date"),
    ]  # fmt: skip


def test_a_migration_that_fails_leaves_the_old_tables(cursor, monkeypatch):
    for statement in VERSION_1:
        cursor.execute(statement)
    before = all_rows(cursor)
    monkeypatch.setattr(versions, "_TABLES", (*versions._TABLES, "SELECT error('the machine stops')"))
    with pytest.raises(duckdb.Error, match="the machine stops"):
        prepare_our_tables(cursor, MAIN)
    assert all_rows(cursor) == before
    monkeypatch.undo()
    prepare_our_tables(cursor, MAIN)
    assert "_mixpanel_out_of_range" in tables(cursor)


def test_the_next_version_will_find_the_table_of_this_one(cursor, monkeypatch):
    prepare_our_tables(cursor, MAIN)
    monkeypatch.setattr(versions, "VERSION", VERSION + 1)
    prepare_our_tables(cursor, MAIN)
    assert cursor.execute("FROM _mixpanel_version").fetchall() == [(VERSION + 1,)]


def test_a_newer_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "events.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE _mixpanel_version (version INTEGER NOT NULL)")
        connection.execute(f"INSERT INTO _mixpanel_version VALUES ({VERSION + 1})")
    with pytest.raises(StoreError, match=f"have version {VERSION + 1}.*knows {VERSION}.*pip install --upgrade"):
        Database(path).lease().open()
    with duckdb.connect(str(path)) as connection:
        assert all_rows(connection) == {"_mixpanel_version": [(VERSION + 1,)]}


def test_clients_of_one_connection_create_the_tables_once():
    with duckdb.connect() as connection:
        together, failed = threading.Barrier(4), []

        def open_it():
            together.wait()
            try:
                Database(connection).lease().open()
            except Exception as error:  # noqa: BLE001 - whatever it is
                failed.append(error)

        threads = [threading.Thread(target=open_it) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert connection.execute("FROM _mixpanel_version").fetchall() == [(VERSION,)]


async def test_a_file_of_the_older_version_goes_on_where_it_was(fake, client_of, path):  # noqa: F811
    january = {"from_date": "2026-01-01", "parallel": True, "chunk_days": 1}
    await client_of(fake).fetch_events(to_date="2026-01-03", events=["b", "Page View"], **january)
    await asyncio.to_thread(as_version_1, path)
    fake.forget_requests()

    result = await client_of(fake).fetch_events(to_date="2026-01-04", events=["Page View", "b"], resume=True, **january)

    assert (result.successful_batches, [made.from_date for made in fake.requests]) == (1, ["2026-01-04"])


@pytest.mark.parametrize("odd", ["DELETE FROM _mixpanel_version", "UPDATE _mixpanel_version SET version = 0"])
def test_an_odd_version_gets_all_that_is_missing(cursor, odd):
    prepare_our_tables(cursor, MAIN)
    cursor.execute(f"ALTER TABLE _mixpanel_rejected DROP COLUMN chunk_failed; {odd}")
    prepare_our_tables(cursor, MAIN)
    assert "chunk_failed" in [row[0] for row in cursor.execute("DESCRIBE _mixpanel_rejected").fetchall()]
