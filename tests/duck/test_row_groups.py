"""Chunks of ten thousand rows are written straight to their place: the row groups suit the chunks that a file has."""

from __future__ import annotations

import shutil
from contextlib import closing, contextmanager

import pytest

from mixpanel_async.duck.checkpoints import log_of, size_of
from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.row_groups import LEAST, USUAL, size_for
from tests.duck.conftest import Shelf, event

ROWS = 9_000
DAYS = [(f"2024-01-0{day}",) * 2 for day in (1, 2, 3)]


def day_of(date):
    return [event(date, name=f"{date} {number}", padding=f'"{"x" * 100}"') for number in range(ROWS)]


@contextmanager
def opened(database):
    with closing(database.lease()) as lease:
        lease.open()
        shelf = Shelf(database).prepare(resume=True)
        yield shelf
        shelf.cursor.close()


def store(database, dates):
    """Store a chunk, as a fetch of its own; return how many bytes of the log it took."""
    with opened(database) as shelf:
        shelf.store(dates, day_of(dates[0]))
        return size_of(log_of(database.path))


def rows_in(database):
    with opened(database) as shelf:
        return shelf.cursor.execute("SELECT count(*), count(DISTINCT event_name) FROM events").fetchall()[0]


@pytest.mark.parametrize(
    ("rows", "size"),
    [(0, USUAL), (8_191, USUAL), (8_192, LEAST), (11_000, LEAST), (20_000, 14_336), (33_000, USUAL), (1e6, USUAL)],
)
def test_a_group_is_at_least_a_quarter_shorter_than_a_chunk(rows, size):
    assert size_for(rows) == size


def test_the_next_chunks_of_a_file_do_not_go_through_the_log(tmp_path):
    database = Database(tmp_path / "events.duckdb")
    through_the_log = store(database, DAYS[0])
    assert through_the_log > ROWS * 100
    assert store(database, DAYS[1]) < through_the_log / 3
    database.close()
    another = Database(tmp_path / "events.duckdb")
    assert store(another, DAYS[2]) < through_the_log / 3
    assert rows_in(another) == (3 * ROWS, 3 * ROWS)
    another.close()


def test_a_log_that_a_kill_left_is_not_moved_into_the_file_by_its_opening(tmp_path):
    database = Database(tmp_path / "events.duckdb")
    with opened(database) as shelf:
        shelf.store(DAYS[0], day_of(DAYS[0][0]))
        (tmp_path / "killed").mkdir()
        for name in ("events.duckdb", "events.duckdb.wal"):
            shutil.copy(tmp_path / name, tmp_path / "killed")
    database.close()
    left = Database(tmp_path / "killed" / "events.duckdb")
    log = tmp_path / "killed" / "events.duckdb.wal"
    size = log.stat().st_size
    with opened(left) as shelf:
        assert log.stat().st_size == size
        assert shelf.cursor.execute("SELECT count(*) FROM events").fetchall() == [(ROWS,)]
    assert store(left, DAYS[1]) < size / 3
    assert rows_in(left) == (2 * ROWS, 2 * ROWS)
    left.close()
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {"events.duckdb"}
