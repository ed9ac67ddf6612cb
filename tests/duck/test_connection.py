"""What is open, for how long, and who else has it: real files."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys

import duckdb
import pytest

from mixpanel_async.duck import connection, files
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.files import as_literal
from mixpanel_async.errors import ConfigurationError, DatabaseLockedError, StoreError

from .conftest import Shelf, event

WEEK = ("2024-01-01", "2024-01-07")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "it's a mixpanel.duckdb"


def fill(database, name="events"):
    """Write one row within one lease."""
    lease = database.lease()
    lease.open()
    try:
        shelf = Shelf(database, name).prepare(resume=True)
        shelf.store(WEEK, [event()])
        shelf.cursor.close()
    finally:
        lease.close()


# A file


def test_a_file_is_made_filled_and_free_between_leases(path):
    database = Database(path)
    assert not path.exists()
    fill(database)
    with duckdb.connect(path) as plain:
        assert plain.execute("SELECT event_name FROM events").fetchall() == [("a",)]
        plain.execute("CREATE TABLE mine (x INT)")
    fill(Database(str(path)), "others")
    with duckdb.connect(path, read_only=True) as plain:
        tables = {row[0] for row in plain.execute("SHOW TABLES").fetchall()}
        assert {name for name in tables if not name.startswith("_mixpanel_")} == {"events", "others", "mine"}
    database.close()


def test_no_stray_file_is_left(path):
    fill(Database(path))
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_it_is_open_until_the_last_lease_is_closed(path):
    database = Database(path)
    first, second = database.lease(), database.lease()
    first.open()
    second.open()
    first.close()
    first.close()
    with database.cursor() as cursor:
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    second.close()
    with pytest.raises(StoreError, match="The database is closed"):
        database.cursor()
    with duckdb.connect(path):
        pass


def test_a_lease_that_was_never_open_gives_nothing_back(path):
    database = Database(path)
    open_one, other = database.lease(), database.lease()
    open_one.open()
    other.close()
    database.cursor().close()
    open_one.close()


def test_a_kill_while_the_file_is_made_leaves_no_half_file(path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_attach", killed)
    with pytest.raises(KeyboardInterrupt):
        Database(path).lease().open()
    monkeypatch.undo()
    assert not path.exists()
    fill(Database(path))


CREATING = "mixpanel-async-creating-abcd1234"
LONG_AGO = (0, 0)


@pytest.mark.parametrize(
    ("ending", "files"),
    [
        ("snapshot", ["{name}"]),
        ("versions", []),
        ("20250101", ["data.parquet"]),
        ("abcd1234", ["{name}"]),
        (CREATING, ["{name}", "notes.txt"]),
        (CREATING, ["{name}/x"]),
        (f"{CREATING}5", ["{name}"]),
    ],
)
def test_what_is_not_surely_ours_stays_beside_the_database(path, ending, files):
    directory = path.with_name(f".{path.name}.{ending}")
    files = [each.format(name=path.name) for each in files]
    directory.mkdir()
    for each in files:
        (directory / each).parent.mkdir(exist_ok=True)
        (directory / each).write_text("theirs")
    os.utime(directory, LONG_AGO)

    fill(Database(path))

    assert sorted(str(each.relative_to(directory)) for each in directory.rglob("*") if each.is_file()) == sorted(files)


def test_what_a_killed_process_left_is_removed_once_it_is_old(path, tmp_path_factory):
    old, new, link = (path.with_name(f".{path.name}.{CREATING[:-1]}{end}") for end in "123")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for directory in (old, new, elsewhere):
        directory.mkdir(exist_ok=True)
        (directory / path.name).write_bytes(b"half a database")
    (old / f"{path.name}.wal").touch()
    link.symlink_to(elsewhere)
    for directory in (old, elsewhere):
        os.utime(directory, LONG_AGO)

    fill(Database(path))

    assert not old.exists()
    assert new.exists()
    assert (elsewhere / path.name).exists()


def test_a_file_that_another_made_meanwhile_is_not_replaced(path, monkeypatch):
    with duckdb.connect(path) as other:
        other.execute("CREATE TABLE theirs (x INT)")
    with duckdb.connect() as connection:
        files.create_file(connection, path)
    fill(Database(path))
    with duckdb.connect(path) as plain:
        assert ("theirs",) in plain.execute("SHOW TABLES").fetchall()


def test_a_file_system_without_hard_links_will_do(path, monkeypatch):
    def refused(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    fill(Database(path))
    assert [each.name for each in path.parent.iterdir()] == [path.name]


# Who else has it


HOLDER = """
import duckdb, sys
with duckdb.connect(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_that_another_process_holds_names_that_process(path):
    fill(Database(path))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        database = Database(path)
        lease = database.lease()
        with pytest.raises(DatabaseLockedError) as locked:
            lease.open()
        lease.close()
        holder.stdin.close()
    assert re.search(
        rf"{re.escape(str(path))} is held by .*\(PID {holder.pid}\): close it there first", str(locked.value)
    )
    fill(database)


def test_two_clients_of_one_process_do_not_open_a_file_twice(path):
    fill(Database(path))
    holder, other = Database(path), Database(path)
    lease = holder.lease()
    lease.open()
    with pytest.raises(DatabaseLockedError, match=rf"open in this process \(PID {os.getpid()}\)"):
        other.lease().open()
    lease.close()
    fill(other)


def test_a_connection_of_this_process_stays_open_and_is_used(path):
    """As one that a notebook keeps."""
    with duckdb.connect(path) as own:
        own.execute("SET threads = 1; CREATE TABLE mine (x INT); BEGIN; INSERT INTO mine VALUES (1)")
        database = Database(path)
        fill(database)
        assert own.execute("SELECT current_setting('threads')").fetchall() == [(1,)]
        own.execute("COMMIT")
        assert own.execute("SELECT event_name FROM events").fetchall() == [("a",)]
        fill(database, "more")
        assert own.execute("SELECT count(*) FROM more").fetchall() == [(1,)]
    fill(database, "others")  # attached, as usual
    with duckdb.connect(path, read_only=True) as own:
        found = own.execute("SELECT count(*) FROM events, more, others, mine").fetchall()
    assert found == [(1,)]


def test_a_connection_that_a_result_keeps_alive_is_used(path):
    relation = duckdb.connect(path).sql("SELECT 1 AS one")
    fill(Database(path))
    assert relation.fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"read_only": True}, "with read_only or config: close that connection"),
        ({"config": {"threads": 1}}, "with read_only or config: close that connection"),
        (None, "attached to another connection .* DETACH it there"),
    ],
)
def test_a_connection_of_this_process_that_cannot_be_used_says_so(path, given, message):
    fill(Database(path))
    with duckdb.connect() if given is None else duckdb.connect(path, **given) as own:
        if given is None:
            own.execute(f"ATTACH {as_literal(str(path))} AS theirs")
        with pytest.raises(DatabaseLockedError, match=message):
            Database(path).lease().open()
    fill(Database(path))


def test_a_file_with_two_names_is_one_file(path, tmp_path):
    database, second = Database(path), tmp_path / "second.duckdb"
    fill(database)
    os.link(path, second)
    lease = database.lease()
    lease.open()
    with pytest.raises(DatabaseLockedError, match=r"under this name or another"):
        Database(second).lease().open()
    lease.close()
    fill(Database(second), "others")


# What is no database


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text\n" * 2000,
        b"SQLite format 3\0" + bytes(4096),
        bytes(4096),
        bytes(8192),
        bytes(12_288),
        b"PAR1" + bytes(5000),
    ],
    ids=["empty", "text", "sqlite", "half made 1", "half made 2", "half made 3", "parquet"],
)
def test_what_is_no_database_is_not_touched(path, content):
    path.write_bytes(content)
    with pytest.raises(
        StoreError, match="is not a DuckDB database: choose another path, or move that file away"
    ) as refused:
        Database(path).lease().open()
    assert str(path) in str(refused.value)
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_directory_and_a_missing_directory(tmp_path):
    with pytest.raises(ConfigurationError, match=f"{re.escape(str(tmp_path))} is a directory: pass a path in it"):
        Database(tmp_path)
    with pytest.raises(StoreError, match=r"There is no directory .*missing: make it, or choose another database path"):
        Database(tmp_path / "missing" / "x.duckdb").lease().open()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_lease_holds_nothing(path):
    path.write_bytes(b"text" * 2000)
    database = Database(path)
    lease = database.lease()
    with pytest.raises(StoreError):
        lease.open()
    lease.close()
    path.unlink()
    fill(database)
    with duckdb.connect(path):
        pass


def test_a_file_whose_journal_cannot_be_read_is_let_go_of(path):
    fill(Database(path))
    with duckdb.connect(path) as plain:
        plain.execute("ALTER TABLE _mixpanel_chunks RENAME rows TO count")
    database = Database(path)
    with pytest.raises(StoreError, match="rows"):
        database.lease().open()
    with duckdb.connect(path) as plain:  # as who mends it does, while the client is still there
        plain.execute("ALTER TABLE _mixpanel_chunks RENAME count TO rows")
    fill(database, "others")
    with duckdb.connect(path, read_only=True) as plain:
        assert plain.execute("SELECT count(*) FROM others").fetchall() == [(1,)]


def test_nothing_is_downloaded_and_no_variable_is_a_table(path, monkeypatch):
    def no_net(*_, **__):
        raise AssertionError("the net was asked")

    monkeypatch.setattr(socket.socket, "connect", no_net)
    database = Database(path)
    lease = database.lease()
    lease.open()
    events = [1]
    with database.cursor() as cursor:
        settings = dict(
            cursor.execute("SELECT name, value FROM duckdb_settings() WHERE name LIKE 'auto%extensions'").fetchall()
        )
        assert settings == {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        with pytest.raises(duckdb.CatalogException):
            cursor.execute("SELECT * FROM events")
    assert events
    lease.close()


# In memory, and a caller's own


def test_a_database_in_memory_lives_between_leases_until_it_is_closed():
    database = Database(":memory:")
    fill(database)
    lease = database.lease()
    lease.open()
    with database.cursor() as cursor:
        assert cursor.execute("SELECT count(*) FROM memory.main.events").fetchall() == [(1,)]
    lease.close()
    database.close()
    with pytest.raises(StoreError, match="closed"):
        database.cursor()


def test_the_memory_limit_is_raised_before_long_rows_are_parsed(path, monkeypatch):
    monkeypatch.setattr(connection, "MEMORY_LIMIT", "16MB")
    database = Database(path)
    database.acquire()
    shelf = Shelf(database).prepare()
    long = [event(time="1704153600.5", text=f'"{"x" * (4 << 20)}"') for _ in range(4)]
    assert shelf.store(WEEK, long).rows == 4  # its own parser needs more than 16 MB for them
    shelf.cursor.close()
    database.release()


@pytest.mark.parametrize(("made_by", "version"), [("us", "v1.5.0+"), ("v1.4.0", "v1.4.0+"), ("latest", None)])
def test_a_new_file_opens_in_duckdb_1_5_and_any_other_keeps_its_format(path, made_by, version):
    if made_by != "us":
        duckdb.connect(str(path), config={"storage_compatibility_version": made_by}).close()
    before = storage_version(path) if path.exists() else version
    fill(Database(path))
    assert storage_version(path) == before == (version or before)


def storage_version(path):
    with duckdb.connect(str(path)) as connection:
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()[0][0]
    return tags["storage_version"]


def test_two_databases_in_memory_are_two():
    one, two = Database(":memory:"), Database(":memory:")
    fill(one)
    fill(two)
    one.close()
    two.close()


@pytest.mark.parametrize("target", [":memory:", "file"])
def test_a_callers_connection_stays_the_callers(path, target):
    with duckdb.connect(path if target == "file" else target) as own:
        own.execute("SET threads = 1")
        reading = own.execute("SELECT * FROM range(100000)")
        assert reading.fetchmany(2) == [(0,), (1,)]
        database = Database(own)
        fill(database)
        assert reading.fetchmany(2) == [(2,), (3,)]
        database.close()
        assert own.execute("SELECT event_name FROM events").fetchall() == [("a",)]
        assert own.execute("SELECT current_setting('threads')").fetchall() == [(1,)]


def test_tables_stand_in_the_default_schema_whatever_a_callers_connection_uses():
    with duckdb.connect(":memory:") as own:
        own.execute("CREATE SCHEMA mine; USE mine")
        database = Database(own)
        fill(database)
        database.close()
        assert own.execute("SELECT event_name FROM memory.main.events").fetchall() == [("a",)]


def test_a_callers_default_order_changes_nothing():
    with duckdb.connect(":memory:") as own:
        own.execute("SET default_order = 'DESC'")
        database = Database(own)
        database.acquire()
        shelf = Shelf(database).prepare()
        days = [("2024-01-01", "2024-01-01"), ("2024-01-02", "2024-01-02")]
        for day, _ in days:
            shelf.store((day, day), [event(day, insert_id="i", n=1), event(day, insert_id="i", n=2)])
        assert shelf.rows("properties->>'n'") == ["1", "1"]
        assert [str(row.first) for row in shelf.table.journal()] == ["2024-01-01", "2024-01-02"]
        shelf.cursor.close()
        database.release()
        database.close()


def test_a_callers_read_only_connection_is_refused_before_anything_is_requested(path):
    fill(Database(path))
    with duckdb.connect(path, read_only=True) as own:
        database = Database(own)
        with pytest.raises(StoreError, match="read-only: pass a connection that can write"):
            database.lease().open()
        database.close()


def row_groups(path):
    with duckdb.connect(path, read_only=True) as connection:
        query = "SELECT count(DISTINCT row_group_id) FROM pragma_storage_info('events')"
        return connection.execute(query).fetchall()[0][0]


@pytest.mark.parametrize(("rows", "groups"), [(200, 1), (3000, 10)])
def test_row_groups_are_merged_only_if_all_chunks_are_small(path, rows, groups):
    """Ten days, each written by itself: small ones would take four times the space, larger ones would be written again
    and again.
    """
    database = Database(path)
    for day in range(1, 11):
        lease = database.lease()
        lease.open()
        shelf = Shelf(database).prepare(resume=True)
        date = f"2024-01-{day:02}"
        shelf.store((date, date), [event(date, insert_id=str(row)) for row in range(rows)])
        shelf.cursor.close()
        lease.close()
    assert row_groups(path) == groups
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchall() == [(10 * rows,)]


PRINTED = """
import sys, duckdb
from mixpanel_async.duck.connection import Database
SETTING = "SELECT current_setting('enable_progress_bar')"
database = Database(sys.argv[1])
for theirs in (None, duckdb.connect(sys.argv[1]) if len(sys.argv) > 2 else None):
    database.acquire()
    ours = {each.execute(SETTING).fetchall()[0] for each in (database._connection, database.cursor())}
    print(ours, theirs and theirs.execute(SETTING).fetchall())
    database.release()
"""


@pytest.mark.parametrize(("more", "theirs"), [((), "None"), (("joined",), "[(True,)]")])
def test_no_statement_of_ours_prints_a_progress_bar(path, more, theirs):
    """DuckDB does so in a notebook, and in a program that has no file."""
    fill(Database(path))
    command = [sys.executable, "-c", PRINTED, str(path), *more]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert set(shown.split("\n")) <= {"{(False,)} None", f"{{(False,)}} {theirs}", ""}
    assert f"{{(False,)}} {theirs}" in shown
