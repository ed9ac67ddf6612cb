"""Names and shapes of the tables."""

from __future__ import annotations

import duckdb
import pytest

from mixpanel_async.duck.schema import Schema, check_columns, check_table_name, quoted, table_exists
from mixpanel_async.duck.versions import prepare_our_tables
from mixpanel_async.errors import StoreError

NASTY = [
    "", " ", "a b", " events", "events ", "events\n", "1events", "a-b", "a.b", "main.events", 'a"b', "a'b", "a;b", "a\0b", "a\nb",
    'events"; DROP TABLE x; --', "ev\u00e9nts", "\u0435vents", "event\u0661", "\ud800", "$events", "a" * 64, "_mixpanel_chunks", "_MixPanel_x",
    "_mixpanel_", None, 5, b"events",
]  # fmt: skip


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_names_that_are_refused(name):
    with pytest.raises(
        ValueError, match=r"cannot be a table's name: use letters|are the library's own: choose another"
    ):
        check_table_name(name)


@pytest.mark.parametrize(
    "name", ["events", "Events", "_", "_x1", "a" * 63, "mixpanel_x", "_mixpanel", "select", "table"]
)
def test_names_that_are_allowed(name):
    assert check_table_name(name) == name
    with duckdb.connect() as connection:
        table = Schema("memory", "main").table(name)
        connection.execute(f"CREATE TABLE {table} (x INT)")
        assert table_exists(connection, Schema("memory", "main"), name.upper())


@pytest.mark.parametrize(
    "name", [name for name in NASTY if isinstance(name, str) and name and name != "\ud800"], ids=ascii
)
def test_any_name_is_safe_when_it_is_quoted(name):
    if "\0" in name and duckdb.__version__.startswith("1."):
        pytest.skip("DuckDB 1.5 reads no statement with a NUL in it")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE x (y INT)")
        connection.execute(f"CREATE TABLE {quoted(name)} (y INT)")
        assert {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()} == {
            "x",
            name,
        }


def test_qualified_names():
    assert Schema("a", 'b"c').table("d") == '"a"."b""c"."d"'
    assert str(Schema("a", "b")) == '"a"."b"'


def test_the_journal_is_made_once_and_keeps_its_shape():
    with duckdb.connect() as connection:
        schema = Schema("memory", "main")
        prepare_our_tables(connection, schema)
        connection.execute("INSERT INTO _mixpanel_selections VALUES ('t', 'events', '{}', now(), NULL)")
        prepare_our_tables(connection, schema)
        assert connection.execute("SELECT count(*) FROM _mixpanel_selections").fetchall() == [(1,)]
        columns = {
            name: [row[0] for row in connection.execute(f"DESCRIBE _mixpanel_{name}").fetchall()]
            for name in ("version", "selections", "chunks", "out_of_range", "rejected")
        }
    assert columns == {
        "version": ["version"],
        "selections": ["table_name", "type", "selection", "created_at", "project"],
        "chunks": [
            "table_name",
            "from_date",
            "to_date",
            "final",
            "rows",
            "duplicates",
            "rejected",
            "bytes",
            "retries",
            "fetched_at",
            "merged_at",
        ],
        "out_of_range": ["table_name", "day", "event_time", "digest"],
        "rejected": ["table_name", "from_date", "to_date", "line_number", "reason", "line", "chunk_failed"],
    }


def test_two_that_write_one_chunk_at_the_same_time_collide():
    with duckdb.connect() as connection:
        prepare_our_tables(connection, Schema("memory", "main"))
        row = "INSERT INTO _mixpanel_chunks VALUES ('t', '2024-01-01', '2024-01-07', true, 1, 0, 0, 1, 0, now(), NULL)"
        one, two = connection.cursor(), connection.cursor()
        for each in (one, two):
            each.execute("BEGIN")
            each.execute(row)
        one.execute("COMMIT")
        with pytest.raises(duckdb.Error, match=r"(?i)primary key"):
            two.execute("COMMIT")
        one.close()
        two.close()


def test_a_table_of_another_shape_is_refused_by_its_columns():
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE events (event_name VARCHAR, x INT)")
        with pytest.raises(
            StoreError, match=r"has the columns \['event_name', 'x'\], and events need \['event_name', 'event_time'"
        ):
            check_columns(connection, "events", "events")
