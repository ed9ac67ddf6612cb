"""The rows of each day: of the table and of the journal, which must agree, also where rows are out of range."""

from __future__ import annotations

import datetime as dt
import random

import pytest

from mixpanel_async.coverage import RejectedChunk
from mixpanel_async.duck.coverage import read_coverage, read_held
from mixpanel_async.duck.schema import Schema
from mixpanel_async.errors import StoreError, TableNotFoundError
from mixpanel_async.selections import EventSelection
from tests.slices import few

from .conftest import FETCHED_AT, Shelf, bad_line, event

WEEK = ("2024-01-01", "2024-01-07")
NEXT = ("2024-01-08", "2024-01-14")


def coverage_of(shelf, name="events"):
    return read_coverage(shelf.cursor, shelf.database.schema, name=name)


def rows_of(coverage):
    return {day.date: day.rows for day in coverage.days}


def check_sums(shelf):
    """The days of a chunk have the journal's rows, and all days together all rows of the table."""
    coverage, rows = coverage_of(shelf), shelf.sql("SELECT count(*) FROM events")[0][0]
    days = rows_of(coverage)
    for chunk in coverage.chunks:
        assert sum(n for date, n in days.items() if chunk.from_date <= date <= chunk.to_date) == chunk.rows
    assert [(chunk.from_date, chunk.to_date, chunk.rows) for chunk in coverage.chunks] == shelf.journal()
    assert coverage.rows == sum(days.values()) == rows
    assert min(days.values(), default=0) >= 0
    return coverage


def test_a_chunk_of_several_days_is_counted_day_by_day(shelf):
    shelf.store(WEEK, [event("2024-01-02"), event("2024-01-02T23:59:59"), event("2024-01-07")])
    shelf.store(("2024-01-10", "2024-01-10"), [event("2024-01-10", insert_id="i")] * 3)
    coverage = check_sums(shelf)
    assert rows_of(coverage) == {f"2024-01-0{day}": {2: 2, 7: 1}.get(day, 0) for day in range(1, 8)} | {"2024-01-10": 1}
    assert coverage.gaps == (("2024-01-08", "2024-01-09"),)
    assert [day.duplicates for day in coverage.days] == [0] * 7 + [2]
    assert {day.fetched_at for day in coverage.days} == {FETCHED_AT}
    assert {day.is_complete for day in coverage.days} == {True}


def test_a_day_that_may_still_grow_is_not_complete(shelf):
    shelf.store(WEEK, [event("2024-01-06"), event("2024-01-07")], complete="2024-01-06")
    assert [day.date for day in check_sums(shelf).days if not day.is_complete] == ["2024-01-07"]


def test_rejected_lines_are_those_of_a_chunk(shelf):
    shelf.store(WEEK, [event("2024-01-02")], rejected=[bad_line(2, b"bad"), bad_line(3, b"bad")])
    shelf.store(("2024-01-08", "2024-01-08"), [event("2024-01-08")], rejected=[bad_line(2, b"bad")])
    shelf.store(("2024-01-09", "2024-01-10"), rejected=[bad_line(1, b"bad")])  # fails: no line is an event
    coverage = check_sums(shelf)
    assert [chunk.rejected_rows for chunk in coverage.chunks] == [2, 1]
    assert [day.rejected_rows for day in coverage.days] == [None] * 7 + [1]
    assert coverage.rejected_chunks == (RejectedChunk("2024-01-09", "2024-01-10", 1),)


def test_a_row_out_of_range_makes_no_day_look_held(shelf):
    shelf.store(("2024-01-02", "2024-01-03"), [event("2024-01-01T23:00"), event("2024-01-05"), event("2024-01-03")])
    coverage = check_sums(shelf)
    assert rows_of(coverage) == {"2024-01-02": 1, "2024-01-03": 2}


def test_a_row_out_of_range_does_not_count_on_the_held_day_that_has_its_time(shelf):
    shelf.store(WEEK, [event("2024-01-08")] * 2 + [event("2024-01-07")])
    shelf.store(NEXT, [event("2024-01-08"), event("2023-01-01"), event("2024-01-07T12:00")])
    coverage = check_sums(shelf)
    days = rows_of(coverage)
    assert (days["2024-01-07"], days["2024-01-08"]) == (3, 3)


@pytest.mark.parametrize("seed", few(range(20), 3))
def test_the_sums_agree_whatever_is_out_of_range(shelf, seed):
    """Equal rows, copies in several chunks, rows on dates that nothing holds; chunks replaced and split."""
    chance = random.Random(seed)
    start = dt.date(2024, 1, 1)

    def rows_for(first):
        times = [first + dt.timedelta(days=chance.randint(-4, 8), hours=chance.choice([0, 23])) for _ in range(12)]
        return [event(f"{time}", insert_id=chance.choice([None, "i", "j"])) for time in times]

    for _ in range(6):
        plan = [(0, 2), (3, 3), (5, 8)] if chance.random() < 0.5 else [(0, 3), (4, 4), (5, 5)]
        chunks = [tuple(f"{start + dt.timedelta(days=day)}" for day in days) for days in chance.sample(plan, 2)]
        replaced = [
            (str(row.first), str(row.last))
            for row in shelf.table.journal()
            if row.is_atomic and any(first <= str(row.last) and str(row.first) <= last for first, last in chunks)
        ]
        if replaced:  # a plan takes an atomic chunk whole
            chunks = replaced
        shelf.align(*chunks)
        for chunk in chunks:
            shelf.store(chunk, rows_for(dt.datetime.fromisoformat(chunk[0])))
        check_sums(shelf)
        shelf.table.finish()
        check_sums(shelf)


def test_names_are_those_of_the_dates(shelf):
    shelf.store(WEEK, [event("2024-01-02", name="a"), event("2024-01-03", name="b"), event("2024-01-31", name="late")])
    shelf.store(NEXT, [event("2024-01-08", name="c")])

    def names(first=None, last=None):
        ends = tuple(day and dt.date.fromisoformat(day) for day in (first, last))
        held = read_held(shelf.cursor, shelf.database.schema, name="events", ends=ends, project=None)
        assert (held.selection, len(held.days)) == (EventSelection(), 14)
        return set(held.names)

    assert names() == {"a", "b", "c", "late"}
    assert names("2024-01-03") == {"b", "c", "late"}
    assert names(None, "2024-01-03") == {"a", "b"}
    assert names("2024-01-07", "2024-01-07") == {"late"}


def test_a_name_is_as_good_in_capitals(shelf):
    shelf.store(WEEK, [event("2024-01-02")])
    assert (coverage_of(shelf, "EVENTS").rows, coverage_of(shelf, "EVENTS").table) == (1, "EVENTS")


def test_tables_of_one_database_are_told_apart(database, shelf):
    shelf.store(WEEK, [event("2024-01-02")])
    other = Shelf(database, "other").prepare()
    other.store(NEXT, [event("2024-01-01")] * 2)
    other.cursor.close()
    assert coverage_of(shelf).rows == 1
    assert rows_of(coverage_of(shelf, "other"))["2024-01-08"] == 2


@pytest.mark.parametrize(
    ("statement", "kind", "message"),
    [
        ("DROP TABLE events", TableNotFoundError, "There is no table 'events' in this database"),
        ("DELETE FROM _mixpanel_selections", StoreError, "Table 'events' was not made by this library"),
        ("DROP TABLE _mixpanel_version; DROP TABLE _mixpanel_selections", StoreError, "was not made by this library"),
        ("UPDATE _mixpanel_selections SET type = 'profiles'", StoreError, "'events' holds profiles, not events"),
        ("DROP TABLE events; CREATE TABLE events (a INT)", StoreError, r"has the columns \['a'\]"),
        (
            "UPDATE _mixpanel_version SET version = 3",
            StoreError,
            "have version 3.*The next fetch or sync migrates them",
        ),
        ("UPDATE _mixpanel_version SET version = 9", StoreError, "Upgrade it with pip"),
    ],
)
def test_what_is_not_ours_to_read_is_an_error(shelf, statement, kind, message):
    shelf.cursor.execute(statement)
    with pytest.raises(kind, match=message) as raised:
        coverage_of(shelf)
    assert isinstance(raised.value, kind)


def test_a_database_that_is_not_ours_has_no_such_table(shelf):
    shelf.cursor.execute("CREATE SCHEMA empty")
    with pytest.raises(TableNotFoundError, match="There is no table 'events'"):
        read_coverage(shelf.cursor, Schema("memory", "empty"), name="events")
