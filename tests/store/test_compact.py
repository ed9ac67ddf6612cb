"""compact: a file copied and swapped, with all that is in it, or left as it was."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading

import duckdb
import pytest

from mixpanel_async import CompactResult, DatabaseLockedError, Store, StoreError
from mixpanel_async.duck import compaction
from mixpanel_async.duck.listing import list_catalog
from mixpanel_async.testing import FakeMixpanel
from tests.cancellation.stepping import run_and_cancel
from tests.slices import few
from tests.system.conftest import LAST, Gated, client_of, expected, stored  # noqa: F401 - a fixture
from tests.system.test_turns import five_of_six, until_free

from .conftest import DAYS, ROWS_A_DAY, last_year, others_can_write, process_that_holds, run_and_kill

ROWS = DAYS * ROWS_A_DAY

THEIRS = """
CREATE SCHEMA other; CREATE SEQUENCE numbers START 5; COMMENT ON SEQUENCE numbers IS 'a sequence';
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE other.people (
    id INTEGER PRIMARY KEY DEFAULT nextval('numbers'), name VARCHAR CHECK (name <> ''), feels main.mood,
    twice INTEGER GENERATED ALWAYS AS (id * 2), deep STRUCT(a INTEGER, b VARCHAR[])
);
INSERT INTO other.people (name, feels, deep) VALUES ('a', 'good', {a: 1, b: ['x']}), ('b', NULL, NULL);
CREATE TABLE other.pets (owner INTEGER REFERENCES other.people (id));
INSERT INTO other.pets VALUES (5);
CREATE INDEX by_name ON other.people (name); COMMENT ON INDEX other.by_name IS 'an index';
COMMENT ON TABLE other.people IS 'a table'; COMMENT ON COLUMN other.people.name IS 'a column';
CREATE VIEW typed AS SELECT event_time, properties->>'$.n' AS n FROM events; COMMENT ON VIEW typed IS 'a view';
CREATE VIEW other.over_typed AS SELECT count(*) AS rows FROM main.typed;
CREATE MACRO twice(a, b := 2) AS a * b; CREATE MACRO few_of(t, n) AS TABLE SELECT * FROM query_table(t) LIMIT n;
"""


def contents(path):
    """All that is in the file, and the rows of the tables."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{path}' AS file (READ_ONLY)")
        listing = list_catalog(connection, "file")
        tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'file'")
        rows = {name: connection.execute(f"SELECT * FROM file.{'.'.join(name)} ORDER BY ALL").fetchall() for name in tables.fetchall()}  # fmt: skip
    return listing, rows


def beside(path):
    return sorted(each.name for each in path.parent.iterdir() if each != path)


def leave_space(path):
    """Leave some MB free in the middle of the file: DuckDB gives back only what is at its end."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE filler AS SELECT random() AS a FROM range(1000000); CHECKPOINT")
        connection.execute(
            "CREATE TABLE kept AS SELECT random() AS a FROM range(100000); CHECKPOINT; DROP TABLE filler"
        )


async def test_it_gives_space_back_and_keeps_all_that_is_there(larger):
    with duckdb.connect(str(larger)) as connection:
        connection.execute(THEIRS)
    leave_space(larger)
    larger.chmod(0o640)
    before, size = contents(larger), larger.stat().st_size
    assert len(before[1]["other", "people"]) == 2
    result = await Store(larger).compact()
    assert result == CompactResult(size, larger.stat().st_size)
    assert result.bytes_after < result.bytes_before / 2
    assert re.fullmatch(r"Compacted from [0-9.]+ MB to [0-9.]+ MB", str(result))
    assert result.to_dict() == {"bytes_before": size, "bytes_after": larger.stat().st_size}
    assert contents(larger) == before
    assert beside(larger) == []
    assert larger.stat().st_mode & 0o777 == 0o640
    with duckdb.connect(str(larger)) as connection:
        version = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'mixpanel'"
        assert connection.execute(version).fetchall() == [("v1.5.0+",)]
        assert connection.execute("SELECT nextval('numbers'), twice(4), (SELECT rows FROM other.over_typed)").fetchall() == [(7, 8, ROWS)]  # fmt: skip
        assert connection.execute("SELECT count(*) FROM few_of('events', 3)").fetchall() == [(3,)]
        storage = "SELECT DISTINCT compression FROM pragma_storage_info('events') WHERE column_name = 'properties' AND segment_type = 'JSON'"  # fmt: skip
        assert ("ZSTD",) in connection.execute(storage).fetchall()
        with pytest.raises(duckdb.ConstraintException):
            connection.execute("INSERT INTO other.people (id, name) VALUES (5, 'a')")
    assert (await Store(larger).coverage()).rows == ROWS


async def test_last_years_duckdb_opens_it(larger):
    await Store(larger).compact()
    assert last_year(str(larger), "-c", "SELECT count(*) FROM events") == str(ROWS)


async def test_a_newer_format_stays(larger, tmp_path):
    newer = tmp_path / "newer.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{larger}' AS old; ATTACH '{newer}' AS new (STORAGE_VERSION 'latest')")
        connection.execute("COPY FROM DATABASE old TO new")
    version = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'newer'"
    with duckdb.connect(str(newer)) as connection:
        before = connection.execute(version).fetchall()
    await Store(newer).compact()
    with duckdb.connect(str(newer)) as connection:
        assert connection.execute(version).fetchall() == before


async def test_a_write_ahead_log_is_taken_along(larger):
    with duckdb.connect(str(larger)) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("INSERT INTO events FROM events LIMIT 1")
    assert beside(larger) == [f"{larger.name}.wal"]
    await Store(larger).compact()
    assert beside(larger) == []
    assert (await Store(larger).coverage()).rows == ROWS + 1


async def test_a_link_stays_a_link(larger, tmp_path):
    link = tmp_path / "link.duckdb"
    link.symlink_to(larger)
    await Store(link).compact()
    assert link.is_symlink()
    assert (await Store(larger).coverage()).rows == ROWS


class Watched:
    """A connection, and what is called after each of its statements."""

    def __init__(self, connection, after):
        self.connection, self.after = connection, after

    def execute(self, statement, *values):
        result = self.connection.execute(statement, *values)
        self.after(self.connection, statement)
        return result

    def __getattr__(self, name):
        return getattr(self.connection, name)


# Refused


async def test_what_would_be_lost_is_named(larger, monkeypatch):
    with duckdb.connect(str(larger)) as connection:
        connection.execute("CREATE VIEW mine AS SELECT 1 AS a")
    listed = compaction.list_catalog

    def without(cursor, catalog):
        found = listed(cursor, catalog)
        if catalog == compaction.NEW:
            found = type(found)({each: count for each, count in found.items() if "mine" not in each[1]})
        return found

    monkeypatch.setattr(compaction, "list_catalog", without)
    before, inode = contents(larger), larger.stat().st_ino
    with pytest.raises(
        StoreError, match=r"a copy would not have main\.mine \(views\), main\.mine\.a \(columns\) as it is"
    ):
        await Store(larger).compact()
    assert (contents(larger), larger.stat().st_ino, beside(larger)) == (before, inode, [])


async def test_a_row_that_is_missing_is_found(larger, monkeypatch):
    connect = compaction.connect

    def lose(connection, statement):
        if statement.startswith("COPY FROM"):
            connection.execute("DELETE FROM mixpanel_new.main.events WHERE rowid = 7")

    monkeypatch.setattr(compaction, "connect", lambda *given, **options: Watched(connect(*given, **options), lose))
    with pytest.raises(StoreError, match=r"a copy would not have main\.events \(rows\) as it is\. It is as before"):
        await Store(larger).compact()
    assert (await Store(larger).coverage()).rows == ROWS


async def test_only_a_file_of_ours_is_compacted(larger, tmp_path, client_of):  # noqa: F811
    theirs = tmp_path / "theirs.duckdb"
    with duckdb.connect(str(theirs)) as connection:
        connection.execute("CREATE TABLE a AS SELECT 1 AS a")
    with pytest.raises(StoreError, match="has no tables of this library"):
        await Store(theirs).compact()
    with pytest.raises(StoreError, match="There is no database"):
        await Store(tmp_path / "missing").compact()
    with (
        duckdb.connect(str(larger)) as connection,
        pytest.raises(StoreError, match="it needs a path, not a connection"),
    ):
        await Store(connection).compact()
    async with FakeMixpanel(limits=None) as server:
        with pytest.raises(StoreError, match="or a database in memory"):
            await client_of(server, database=":memory:").store.compact()


async def test_a_newer_version_is_refused(larger):
    with duckdb.connect(str(larger)) as connection:
        connection.execute("UPDATE _mixpanel_version SET version = 99")
    with pytest.raises(StoreError, match="written by a newer mixpanel-async"):
        await Store(larger).compact()


async def test_a_full_disk_leaves_the_file(disk, larger):
    small = disk / "small.duckdb"
    shutil.copy(larger, small)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - small.stat().st_size // 2)))
    before = small.read_bytes()
    with pytest.raises(StoreError, match=rf"^{small} cannot be compacted: .*No space left.* It is as before\.$"):
        await Store(small).compact()
    assert small.read_bytes() == before
    assert beside(small) == ["ballast"]
    ballast.unlink()
    await Store(small).compact()


# Who else has it


async def test_others_are_waited_for(larger):
    with process_that_holds(larger, ", read_only=True") as process:
        with pytest.raises(DatabaseLockedError, match=rf"PID {process.pid}"):
            await Store(larger, lock_timeout=0).compact()
        compacting = asyncio.ensure_future(Store(larger).compact())
        await asyncio.sleep(0.05)
        assert not compacting.done()
    await compacting
    with duckdb.connect(str(larger)) as connection:
        with pytest.raises(DatabaseLockedError, match=r"open in this process .*: close that connection, because its"):
            await Store(larger, lock_timeout=0).compact()
        assert connection.execute("SELECT count(*) FROM events").fetchall() == [(ROWS,)]
    assert others_can_write(larger)


async def test_nobody_can_open_it_meanwhile(larger, monkeypatch):
    found, connect = [], compaction.connect

    def look(_, statement):
        if statement.startswith(("ATTACH", "COPY FROM", "DETACH")):
            found.append((statement.split("'")[0].strip(), others_can_write(larger)))

    monkeypatch.setattr(compaction, "connect", lambda *given, **options: Watched(connect(*given, **options), look))
    monkeypatch.setattr(compaction.time, "sleep", lambda _: found.append(("swapped", others_can_write(larger))))
    await Store(larger).compact()
    assert found == [
        ("ATTACH", False), ("ATTACH", False), ("COPY FROM DATABASE mixpanel_old TO mixpanel_new", False),
        ("swapped", False), ("DETACH mixpanel_old", False), ("DETACH mixpanel_new", True),
    ]  # fmt: skip


async def test_readings_of_this_process_wait(larger, monkeypatch):
    loop, refused = asyncio.get_running_loop(), []
    store = Store(larger, lock_timeout=0)

    def sleep(_):
        with pytest.raises(DatabaseLockedError, match="open in this process"):
            asyncio.run_coroutine_threadsafe(store.coverage(), loop).result(30)
        refused.append(True)

    monkeypatch.setattr(compaction.time, "sleep", sleep)
    await Store(larger).compact()
    assert refused == [True]
    assert not (await asyncio.gather(store.coverage(), return_exceptions=True))[0].gaps


@pytest.fixture
def gated():
    source = Gated()
    yield source
    source.gate.set()


async def test_it_runs_while_the_client_fetches(client_of, path, gated):  # noqa: F811
    async with FakeMixpanel(gated, today="2026-06-01", limits=None) as server:
        client = client_of(server)
        async with five_of_six(client, gated) as call:
            (await until_free(path)).close()
            inode = path.stat().st_ino
            await client.store.compact()
            assert path.stat().st_ino != inode
            assert not call.done()
            gated.gate.set()
            assert not (await call).has_failures
        assert stored(path) == expected(server, "2026-01-05", LAST)


async def test_it_runs_while_chunks_are_written(client_of, path):  # noqa: F811
    async with FakeMixpanel(Gated().source, today="2026-06-01", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(from_date="2026-01-01", to_date="2026-01-01")
        call = asyncio.ensure_future(
            client.fetch_events(from_date="2026-01-02", to_date="2026-01-06", append=True, chunk_days=1, parallel=True)
        )
        while not call.done():
            await client.store.compact()
        assert not (await call).has_failures
        assert stored(path) == expected(server, "2026-01-01", "2026-01-06")


# Ends


@pytest.mark.parametrize("of_client", [False, True])
async def test_a_cancel_at_any_step_leaves_one_whole_file(filled, client_of, of_client):  # noqa: F811
    before = contents(filled)
    async with FakeMixpanel(limits=None) as server:
        client = client_of(server, database=filled)
        store = client.store if of_client else Store(filled)
        steps, _ = await run_and_cancel(store.compact(), set())
        for step in few(range(1, steps + 1), 10):
            _, task = await run_and_cancel(store.compact(), {step})
            assert task.cancelled() or task.result().bytes_after
            assert contents(filled) == before
            assert beside(filled) == []
            assert others_can_write(filled)


async def test_a_cancel_interrupts_it(larger, monkeypatch):
    inode, began = larger.stat().st_ino, threading.Event()

    def endless(cursor, catalog):
        began.set()
        cursor.execute("SELECT count(*) FROM range(1000000000) AS a, range(1000000000) AS b").fetchall()

    monkeypatch.setattr(compaction, "list_catalog", endless)
    compacting = asyncio.ensure_future(Store(larger).compact())
    await asyncio.to_thread(began.wait, 30)
    compacting.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await compacting
    assert (larger.stat().st_ino, beside(larger)) == (inode, [])
    assert others_can_write(larger)


@pytest.mark.parametrize(
    "moment",
    [("written", 1), ("written", 300_000), ("mode", 1), ("replace", 1), ("replaced", 1), ("fsync", 1)],
)
async def test_a_kill_leaves_one_whole_file(larger, tmp_path, moment):
    with duckdb.connect(str(larger)) as connection:
        connection.execute(THEIRS)
    before, inode = contents(larger), larger.stat().st_ino
    mine = tmp_path / f".{larger.name}.mixpanel-async-compacting-mine1234"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    assert run_and_kill(larger, "compact", "-", *moment)
    assert (larger.stat().st_ino != inode) == (moment[0] in ("replaced", "fsync"))
    assert contents(larger) == before
    assert len(beside(larger)) == 2
    await Store(larger).compact()
    assert contents(larger) == before
    assert beside(larger) == [mine.name]
