"""The undo file: a checkpoint that a kill cut short is undone, and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys

import duckdb
import pytest

from mixpanel_async.duck.checkpoints import HEADERS, checkpoint, undo_checkpoint
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.files import CATALOG
from tests.store.conftest import process_that_holds

BLOCK = 256 << 10
PAGE = 4096


class KilledError(Exception):
    pass


class CutShort:
    """A connection that is killed when it should checkpoint."""

    def __init__(self, connection):
        self._connection = connection

    def execute(self, statement, parameters=None):
        if statement.startswith("CHECKPOINT"):
            raise KilledError
        return self._connection.execute(statement, parameters)


def undo_of(path):
    return path.with_name(f".{path.name}.mixpanel-async-undo")


def rows(path):
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute("FROM numbers ORDER BY ALL").fetchall()


def attached(path):
    connection = duckdb.connect(":memory:", config={"checkpoint_threshold": "1TB"})
    connection.execute(f"ATTACH '{path}' AS {CATALOG}")
    return connection


@pytest.fixture
def cut_short(path):
    """A file with rows in its blocks and in its log, whose checkpoint was about to begin, as a kill leaves it."""
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT range AS n FROM range(5000)")
    with attached(path) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute(f"INSERT INTO {CATALOG}.numbers SELECT range FROM range(5000, 5100)")
        with pytest.raises(KilledError):
            checkpoint(CutShort(connection), CATALOG, path)
    return path


def tear(path):
    """As a write of the first block that ended after its first page: a new checksum, and the rest of before."""
    with path.open("r+b") as file:
        file.seek(HEADERS)
        file.write(os.urandom(8))


def test_a_torn_block_is_put_back(cut_short):
    tear(cut_short)
    with pytest.raises(duckdb.Error, match="Corrupt database file"):
        rows(cut_short)
    undo_checkpoint(cut_short)
    assert rows(cut_short) == [(n,) for n in range(5100)]
    assert not undo_of(cut_short).exists()


def test_what_opens_a_file_undoes_first(cut_short):
    tear(cut_short)
    database = Database(cut_short)
    database.acquire()
    database.close()
    assert rows(cut_short) == [(n,) for n in range(5100)]
    assert not undo_of(cut_short).exists()


def test_a_checkpoint_that_came_to_its_end_stays(cut_short):
    with attached(cut_short) as connection:
        connection.execute(f"CHECKPOINT {CATALOG}")
    before = cut_short.read_bytes()
    undo_checkpoint(cut_short)
    assert cut_short.read_bytes() == before
    assert not undo_of(cut_short).exists()


def test_another_file_of_that_name_stays(cut_short, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(cut_short.read_bytes()[:-PAGE] + bytes(PAGE))
    other.replace(cut_short)
    tear(cut_short)
    before = cut_short.read_bytes()
    undo_checkpoint(cut_short)
    assert cut_short.read_bytes() == before
    assert not undo_of(cut_short).exists()


@pytest.mark.parametrize("size", [0, 10, 200, BLOCK])
def test_an_undo_file_that_is_not_whole_is_none(cut_short, size):
    os.truncate(undo_of(cut_short), size)
    before = cut_short.read_bytes()
    undo_checkpoint(cut_short)
    assert cut_short.read_bytes() == before
    assert not undo_of(cut_short).exists()


def test_a_file_that_another_process_has_open_is_left_alone(cut_short):
    saved, before = undo_of(cut_short).read_bytes(), cut_short.read_bytes()
    with process_that_holds(cut_short):
        undo_checkpoint(cut_short)
        assert undo_of(cut_short).read_bytes() == saved
        assert cut_short.read_bytes() == before


def test_a_file_that_is_open_here_stays_locked(cut_short):
    """To open it once more and close that would give up the lock."""
    saved = undo_of(cut_short).read_bytes()
    with duckdb.connect(cut_short):
        undo_checkpoint(cut_short)
        opening = f"import duckdb; duckdb.connect({str(cut_short)!r}, read_only=True)"
        ended = subprocess.run([sys.executable, "-c", opening], capture_output=True, text=True, check=False)
        assert "Could not set lock" in ended.stderr
    assert undo_of(cut_short).read_bytes() == saved


def test_a_link_leads_to_the_same_undo_file(cut_short, tmp_path):
    link = tmp_path / "link.duckdb"
    link.symlink_to(cut_short)
    tear(cut_short)
    undo_checkpoint(link)
    assert rows(cut_short) == [(n,) for n in range(5100)]


def test_a_full_disk_leaves_no_undo_file_and_no_checkpoint(disk):
    path = disk / "small.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT range AS n FROM range(5000)")
    with attached(path) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute(f"INSERT INTO {CATALOG}.numbers VALUES (5000)")
        (disk / "full").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize - 2 * PAGE))
        with pytest.raises(OSError, match="No space left"):
            checkpoint(connection, CATALOG, path)
        assert not undo_of(path).exists()
        (disk / "full").unlink()
        checkpoint(connection, CATALOG, path)
    assert rows(path) == [(n,) for n in range(5001)]


def test_without_a_log_there_is_nothing_to_do(path):
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE numbers AS SELECT 1 AS n")
    with attached(path) as connection:
        checkpoint(CutShort(connection), CATALOG, path)
    assert not undo_of(path).exists()


def test_a_database_of_ours_checkpoints_when_it_is_closed_and_leaves_one_file(path, tmp_path):
    database = Database(path)
    database.acquire()
    with database.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {CATALOG}.numbers AS SELECT range AS n FROM range(100)")
    database.close()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert rows(path) == [(n,) for n in range(100)]
