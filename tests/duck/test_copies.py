"""Rows of one key in several chunks: the table shows the newest, and loses none when chunks are fetched again."""

from __future__ import annotations

import datetime as dt
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpanel_async.api.limits import Budget
from mixpanel_async.dates import ONE_DAY
from mixpanel_async.duck import out_of_range
from mixpanel_async.duck.connection import Database
from mixpanel_async.export.plan import Chunking, plan_chunks
from mixpanel_async.records import ChunkRecord
from tests.slices import whole

from .conftest import FETCHED_AT, Shelf, event

MONDAY, TUESDAY, WEDNESDAY = [(f"2024-01-0{day}", f"2024-01-0{day}") for day in (1, 2, 3)]
MIDNIGHT = "2024-01-02"


def copy(processed, *, moment=MIDNIGHT, insert_id="i", **more):
    return event(moment, insert_id=insert_id, mp_processing_time_ms=processed, **more)


def fetched(shelf, chunks, *, deduplicate=True, order=None):
    """As `fetch_events` does: every chunk is begun before the first is committed."""
    shelf.align(*chunks, deduplicate=deduplicate)
    loaders = {
        dates: shelf.begun(dates, rows, deduplicate=deduplicate) for dates, rows in chunks.items() if rows is not None
    }
    for dates in order or loaders:
        loaders[dates].commit(ChunkRecord(dates, 100, 0, FETCHED_AT))


def dropped(shelf):
    counts = shelf.table.finish()
    assert_counts(shelf)
    assert shelf.sql("FROM _mixpanel_unchecked") == []
    return {str(day): count for day, count in counts.items()}


def assert_counts(shelf):
    """The journal agrees with the table, and no row is outside of it."""
    counted = [
        (first, last, out_of_range.count_rows(shelf.cursor, shelf.database.schema, shelf.name, (first, last)))
        for first, last, _ in shelf.journal()
    ]
    assert counted == shelf.journal()
    assert sum(rows for *_, rows in counted) == len(shelf.rows())


def processed(shelf):
    return sorted(map(int, shelf.rows("properties->>'mp_processing_time_ms'")))


@pytest.mark.parametrize("order", list(permutations([MONDAY, TUESDAY, WEDNESDAY])))
@pytest.mark.parametrize("newest", [MONDAY, TUESDAY, WEDNESDAY])
def test_the_newest_of_all_chunks_is_shown_in_any_order_of_commits(shelf, order, newest):
    chunks = {dates: [copy(9 if dates == newest else 5)] for dates in (MONDAY, TUESDAY, WEDNESDAY)}
    fetched(shelf, chunks, order=order)
    others = {dates[0]: 1 for dates in chunks if dates != newest}
    assert dropped(shelf) == others
    assert processed(shelf) == [9]
    assert shelf.journal("rows, duplicates") == [(*dates, *((1, 0) if dates == newest else (0, 1))) for dates in chunks]
    assert dropped(shelf) == {}


@pytest.mark.parametrize("order", list(permutations([MONDAY, TUESDAY])))
def test_of_copies_that_were_processed_at_the_same_time_the_one_within_its_dates_is_shown(shelf, order):
    for _ in range(2):
        fetched(shelf, {MONDAY: [copy(5, n=1)], TUESDAY: [copy(5, n=2)]}, order=order)
        dropped(shelf)
        assert shelf.rows("properties->>'n'") == ["2"]


def test_rows_without_a_key_or_with_another_are_all_shown(shelf):
    rows = [event(MIDNIGHT), copy(1, insert_id=""), copy(1, insert_id="j")]
    fetched(
        shelf, {MONDAY: rows, TUESDAY: [*rows[:2], copy(1, insert_id="k"), copy(2, insert_id="j", distinct_id="e")]}
    )
    assert dropped(shelf) == {}
    assert len(shelf.rows()) == 7


@pytest.mark.parametrize("newest", [MONDAY, TUESDAY])
@pytest.mark.parametrize("again", [MONDAY, TUESDAY])
def test_a_key_that_one_chunk_does_not_have_any_more_is_shown_from_the_other(shelf, newest, again):
    chunks = {dates: [copy(9 if dates == newest else 5)] for dates in (MONDAY, TUESDAY)}
    fetched(shelf, chunks)
    dropped(shelf)
    fetched(shelf, {again: []})
    dropped(shelf)
    assert processed(shelf) == [5 if again == newest else 9]
    assert [rows for *_, rows in shelf.journal()] == [int(dates != again) for dates in (MONDAY, TUESDAY)]


@pytest.mark.parametrize("again", [MONDAY, WEDNESDAY])
def test_so_is_one_that_both_chunks_had_out_of_range(shelf, again):
    fetched(shelf, {MONDAY: [copy(5)], WEDNESDAY: [copy(9)]})
    dropped(shelf)
    fetched(shelf, {again: []})
    dropped(shelf)
    assert processed(shelf) == [9 if again == MONDAY else 5]


def test_a_chunk_that_is_fetched_again_later_may_have_the_newest(shelf):
    fetched(shelf, {MONDAY: [copy(5)], TUESDAY: [copy(9)]})
    dropped(shelf)
    fetched(shelf, {MONDAY: [copy(11)]})
    assert dropped(shelf) == {TUESDAY[0]: 1}
    fetched(shelf, {TUESDAY: [copy(12)]})
    assert dropped(shelf) == {MONDAY[0]: 1}
    assert processed(shelf) == [12]


@pytest.mark.parametrize("order", list(permutations([MONDAY, TUESDAY, WEDNESDAY])))
def test_open_chunks_never_delete_the_same_of_equal_rows(shelf, order):
    """Monday and Wednesday also have Tuesday's row; without a key, all of them stay."""
    for copies in (1, 2, 1, 3):
        fetched(shelf, {dates: [event(MIDNIGHT)] * copies for dates in order}, order=order)
        assert dropped(shelf) == {}
        assert shelf.journal() == [(*dates, copies) for dates in (MONDAY, TUESDAY, WEDNESDAY)]


def test_a_chunk_that_fails_keeps_its_copies(shelf):
    fetched(shelf, {MONDAY: [copy(5)], TUESDAY: [copy(9)]})
    dropped(shelf)
    before = shelf.journal("rows, duplicates"), shelf.sql("FROM _mixpanel_copies")
    fetched(shelf, {MONDAY: None, TUESDAY: None})
    dropped(shelf)
    assert (shelf.journal("rows, duplicates"), shelf.sql("FROM _mixpanel_copies")) == before


def test_what_a_call_that_was_killed_left_is_dropped_by_the_next(shelf):
    fetched(shelf, {MONDAY: [copy(5)], TUESDAY: [copy(9)]})
    assert processed(shelf) == [5, 9]
    fetched(shelf, {})
    assert processed(shelf) == [9]
    assert dropped(shelf) == {}


def test_a_chunk_stays_atomic_though_its_row_out_of_range_is_a_copy(shelf):
    fetched(shelf, {("2023-12-30", "2024-01-01"): [copy(5)], TUESDAY: [copy(9)]})
    dropped(shelf)
    assert [row.is_atomic for row in shelf.table.journal()] == [True, False]


def test_without_deduplication_all_are_shown(shelf):
    fetched(shelf, {MONDAY: [copy(5)], TUESDAY: [copy(9)]}, deduplicate=False)
    assert dropped(shelf) == {}
    assert processed(shelf) == [5, 9]


def test_copies_go_with_their_table(shelf):
    fetched(shelf, {MONDAY: [copy(5)], TUESDAY: [copy(9)]})
    dropped(shelf)
    shelf.sql("DROP TABLE events")
    Shelf(shelf.database).prepare()
    assert shelf.sql("FROM _mixpanel_copies") == []


FIRST = dt.date(2024, 1, 1)
ROWS = st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 1), st.integers(0, 9)), max_size=4)
FETCHES = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 3), st.lists(ROWS, min_size=6, max_size=6),
              st.randoms(), st.booleans()),
    min_size=1, max_size=5,
)  # fmt: skip


@given(FETCHES)
@settings(deadline=None, max_examples=whole(300, 25))
def test_each_key_is_shown_once_and_as_the_newest_of_all_chunks(fetches):
    """Each day also has a row of its own that shows that the chunk is atomic."""
    database, truth = Database(":memory:"), {}
    database.lease().open()
    shelf = Shelf(database).prepare()
    for start, length, size, days, random, is_killed in fetches:
        dates = FIRST + start * ONE_DAY, FIRST + min(start + length, 5) * ONE_DAY
        plan = plan_chunks(dates, Chunking(size, max_workers=2), shelf.table.journal(), Budget(60, 60))
        chunks = {}
        for first, last in plan:
            chunks[first, last] = rows = []
            day = dt.date.fromisoformat(first)
            while day <= dt.date.fromisoformat(last):
                given_rows = days[(day - FIRST).days]
                truth[day] = [(day + shift * ONE_DAY, key, when) for shift, key, when in given_rows]
                rows += [copy(when, moment=str(moment), insert_id=f"i{key}") for moment, key, when in truth[day]]
                rows.append(event(str(day - ONE_DAY), name="edge"))
                day += ONE_DAY
        fetched(shelf, chunks, order=random.sample(plan, len(plan)))
        if is_killed:
            continue
        dropped(shelf)
        newest = {}
        for moment, key, when in (row for rows in truth.values() for row in rows):
            newest[str(moment), f"i{key}"] = max(when, newest.get((str(moment), f"i{key}"), 0))
        shown = shelf.sql(
            "SELECT event_time::DATE::VARCHAR, insert_id, (properties->>'mp_processing_time_ms')::INT FROM events "
            "WHERE event_name = 'a'"
        )
        assert sorted(shown) == sorted((*key, when) for key, when in newest.items())
        assert shelf.sql("SELECT count(*) FROM events WHERE event_name = 'edge'") == [(len(truth),)]
    shelf.cursor.close()
    database.close()


def test_duplicates_are_never_counted_below_zero(shelf):
    """They are not split with their chunk, because their dates are not known."""
    first, rest, friday = ("2024-01-01", "2024-01-03"), ("2024-01-04", "2024-01-10"), "2024-01-08"
    fetched(shelf, {first: [copy(9, moment=friday)], rest: [copy(5, moment=friday), event("2024-01-09")]})
    dropped(shelf)
    fetched(shelf, {("2024-01-04", "2024-01-05"): []})
    dropped(shelf)
    fetched(shelf, {first: []})
    dropped(shelf)
    assert shelf.sql("SELECT rows, duplicates FROM _mixpanel_chunks ORDER BY from_date") == [(0, 0), (0, 0), (2, 0)]
