"""A table of profiles: whatever statement fails, the pages kept and the table are as before or as after."""

from __future__ import annotations

import duckdb
import pytest

from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.profiles_table import KeptPage, ProfilesTable
from mixpanel_async.engage.page import Page, Profile, profiles_batch
from mixpanel_async.errors import StoreError
from mixpanel_async.selections import ProfileSelection

SELECTION = ProfileSelection()


class Failing:
    """A cursor whose statement of this number, counted from 0, fails; `None` for none."""

    def __init__(self, cursor, number=None):
        self._cursor, self._number, self.count = cursor, number, 0

    def execute(self, *statement):
        self.count += 1
        if self.count - 1 == self._number:
            raise duckdb.IOException("No space left on device")
        return self._cursor.execute(*statement)

    def close(self):
        self._cursor.close()


def profiles(*ids, text="{}"):
    return profiles_batch(Page(None, None, 10, [Profile(it, None, text.encode()) for it in ids]))


def kept(page, rows):
    return KeptPage(0, page, rows, "session", 3, 2)


def opened(database, name, *, append=False):
    table = ProfilesTable(database, name, SELECTION, append=append)
    table.open()
    return table


def with_pages(database, *, append=False, text='{"new":1}'):
    """A table whose pages are in, one of its profiles on both of them."""
    table = opened(database, "People", append=append)
    table.begin()
    table.keep(kept(0, 2), profiles("a", "b", text=text))
    table.keep(kept(1, 2), profiles("b", "c", text=text))
    return table


def state(database):
    """All that another connection sees."""
    with database.cursor() as cursor:
        cursor.execute(f"USE {database.schema}")
        tables = [name for (name,) in cursor.execute("SHOW TABLES").fetchall()]
        shown = {name: cursor.execute(f'FROM "{name}" ORDER BY ALL').fetchall() for name in tables}
    shown["_mixpanel_selections"] = [row[:3] for row in shown["_mixpanel_selections"]]  # without the time
    shown["_mixpanel_pages"] = [row[:-1] for row in shown["_mixpanel_pages"]]
    return shown


def fails(step, table):
    """The error that a step raises, if it does."""
    try:
        step(table)
    except StoreError as error:
        return error
    return None


STEPS = {
    "begin": lambda table: table.begin(),
    "keep": lambda table: table.keep(kept(2, 1), profiles("d")),
    "publish": lambda table: table.publish(),
}


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_statement_that_fails_leaves_all_as_it_was(database, step, append):
    first = with_pages(database, text='{"old":1}')
    first.publish()
    first.close()
    number = 0
    while True:
        table = with_pages(database, append=append)
        before = state(database)
        table._cursor = failing = Failing(table._cursor, number)
        if failed := fails(step, table):
            assert "Free some space" in str(failed)
            assert state(database) == before
            assert (before["People"][0][0], before["People"][0][2]) == ("a", '{"old":1}')
        else:
            assert failing.count == number > 2
            assert state(database) != before
            table.close()
            return
        failing._number = None
        table.close()
        number += 1


@pytest.mark.parametrize("append", [False, True])
def test_pages_become_the_table_and_nothing_else_is_left(database, append):
    first = with_pages(database, text='{"old":1}')
    assert first.publish() == 3
    first.close()
    second = opened(database, "people", append=append)
    second.check()
    second.begin()
    second.keep(kept(0, 1), profiles("b", text='{"new":1}'))
    assert second.publish() == 1
    second.close()

    shown = state(database)
    kept_old = [("a", None, '{"old":1}'), ("c", None, '{"old":1}')] if append else []
    name = "People" if append else "people"
    assert sorted(shown[name]) == sorted([("b", None, '{"new":1}'), *kept_old])
    assert shown["_mixpanel_pages"] == []
    assert shown["_mixpanel_selections"] == [("people", "profiles", SELECTION.to_json())]
    assert not any(table.startswith("_mixpanel_profiles") for table in shown)


def test_resume_returns_the_kept_pages(database):
    with_pages(database).close()
    again = opened(database, "PEOPLE")
    began, pages = again.resume()
    assert began > 1_700_000_000
    assert pages == [kept(0, 2), kept(1, 2)]
    again.close()
    fresh = opened(database, "others")
    assert fresh.resume() is None
    fresh.begin()  # and a kill
    assert opened(database, "others").resume() is None
    fresh.close()


@pytest.mark.parametrize("append", [False, True])
def test_two_downloads_of_one_table_are_never_mixed(database, append):
    with_pages(database).publish()
    first = with_pages(database, append=append)
    second = opened(database, "people", append=append)
    second.begin()
    second.keep(kept(0, 2), profiles("x", "y"))
    before = state(database)

    for step in (lambda table: table.keep(kept(2, 1), profiles("d")), lambda table: table.publish()):
        assert "another client fetches into it" in str(fails(step, first))
    first.close()
    assert state(database) == before

    assert second.publish() == 2
    second.close()


def test_one_that_ends_leaves_what_another_has_just_begun(database):
    first = opened(database, "people")
    first.begin()
    second = opened(database, "people")
    second.begin()
    first.close()
    second.keep(kept(0, 2), profiles("x", "y"))
    assert second.publish() == 2
    second.close()


@pytest.mark.parametrize("append", [False, True])
def test_distinct_ids_are_compared_as_bytes_whatever_the_caller_has_set(append):
    with duckdb.connect() as connection:
        connection.execute("SET GLOBAL default_collation = 'NOCASE'")
        database = Database(connection)
        database.lease().open()
        first = opened(database, "people")
        first.begin()
        first.keep(kept(0, 3), profiles("a", "A", "a", text='{"old":1}'))
        assert first.publish() == 2
        first.close()
        second = opened(database, "people", append=append)
        second.check()
        second.begin()
        second.keep(kept(0, 1), profiles("A", text='{"new":1}'))
        assert second.publish() == 1
        second.close()
        rows = connection.execute("SELECT encode(distinct_id), properties FROM people").fetchall()
        assert sorted(rows) == ([(b"A", '{"new":1}'), (b"a", '{"old":1}')] if append else [(b"A", '{"new":1}')])
