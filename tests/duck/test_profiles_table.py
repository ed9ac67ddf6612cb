"""A table of profiles: whatever statement fails, the pages kept and the table are as before or as after."""

from __future__ import annotations

import duckdb
import pytest

from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.profiles_table import KeptPage, ProfilesTable
from mixpanel_async.engage.page import Page, Profile, profiles_batch, read_page
from mixpanel_async.errors import StoreError
from mixpanel_async.selections import ProfileSelection

SELECTION = ProfileSelection()


class Failing:
    """A database of which the statement of this number, counted from 0, fails; `None` for none."""

    def __init__(self, of, number=None):
        self._of, self._number, self.count = of, number, 0

    def __getattr__(self, name):
        return getattr(self._of, name)

    def cursor(self):
        return Cursor(self._of.cursor(), self)

    def counted(self):
        self.count += 1
        if self.count - 1 == self._number:
            raise duckdb.IOException("No space left on device")


class Cursor:
    def __init__(self, of, failing):
        self._of, self._failing = of, failing

    def __getattr__(self, name):
        return getattr(self._of, name)

    def execute(self, *statement):
        self._failing.counted()
        return self._of.execute(*statement)


def profiles(*ids, text="{}"):
    return profiles_batch(Page(None, None, 10, [Profile(it, None, text.encode()) for it in ids]))


def kept(page, rows):
    return KeptPage(0, page, rows, "session", 3, 2)


def opened(database, name, *, append=False, mode=None):
    return ProfilesTable(database, name, SELECTION, mode or ("append" if append else "replace"))


def with_pages(database, *, append=False, mode=None, text='{"new":1}'):
    """A table whose pages are in, one of its profiles on both of them."""
    table = opened(database, "People", append=append, mode=mode)
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


@pytest.mark.parametrize("mode", ["replace", "append", "sync"])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_statement_that_fails_leaves_all_as_it_was(database, step, mode):
    first = with_pages(database, text='{"old":1}')
    first.publish()
    first.finish()
    number = 0
    while True:
        table = with_pages(database, mode=mode)
        before = state(database)
        failing = Failing(database, number)
        table._database = failing
        if failed := fails(step, table):
            assert "Free some space" in str(failed)
            assert state(database) == before
            assert (before["People"][0][0], before["People"][0][2]) == ("a", '{"old":1}')
        else:
            assert failing.count == number > 2
            assert state(database) != before
            failing._number = None
            table.finish()
            return
        failing._number = None
        table.finish()
        number += 1


@pytest.mark.parametrize("append", [False, True])
def test_pages_become_the_table_and_nothing_else_is_left(database, append):
    first = with_pages(database, text='{"old":1}')
    assert first.publish() == 3
    first.finish()
    second = opened(database, "people", append=append)
    second.check()
    second.begin()
    second.keep(kept(0, 1), profiles("b", text='{"new":1}'))
    assert second.publish() == 1
    second.finish()

    shown = state(database)
    kept_old = [("a", None, '{"old":1}'), ("c", None, '{"old":1}')] if append else []
    name = "People" if append else "people"
    assert sorted(shown[name]) == sorted([("b", None, '{"new":1}'), *kept_old])
    assert shown["_mixpanel_pages"] == []
    assert shown["_mixpanel_selections"] == [("people", "profiles", SELECTION.to_json())]
    assert not any(table.startswith("_mixpanel_profiles") for table in shown)


def test_resume_returns_the_kept_pages(database):
    with_pages(database).finish()
    again = opened(database, "PEOPLE")
    began, pages = again.resume()
    assert began > 1_700_000_000
    assert pages == [kept(0, 2), kept(1, 2)]
    again.finish()
    fresh = opened(database, "others")
    assert fresh.resume() is None
    fresh.begin()  # and a kill
    assert opened(database, "others").resume() is None
    fresh.finish()


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
    first.finish()
    assert state(database) == before

    assert second.publish() == 2
    second.finish()


def test_one_that_ends_leaves_what_another_has_just_begun(database):
    first = opened(database, "people")
    first.begin()
    second = opened(database, "people")
    second.begin()
    first.finish()
    second.keep(kept(0, 2), profiles("x", "y"))
    assert second.publish() == 2
    second.finish()


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
        first.finish()
        second = opened(database, "people", append=append)
        second.check()
        second.begin()
        second.keep(kept(0, 1), profiles("A", text='{"new":1}'))
        assert second.publish() == 1
        second.finish()
        rows = connection.execute("SELECT encode(distinct_id), properties FROM people").fetchall()
        assert sorted(rows) == ([(b"A", '{"new":1}'), (b"a", '{"old":1}')] if append else [(b"A", '{"new":1}')])


ALIKE = [
    "Zoë",
    "zoë",
    "ZOË",
    "Zoe\u0308",
    "Zoe",
    "",
    " ",
    "\ufeff",
    "a",
    "a ",
    "a\0",
    "a\0b",
    "ß",
    "ss",
    "ﬁ",
    "fi",
    "null",
    "NULL",
]


@pytest.mark.parametrize("append", [False, True])
def test_ids_that_look_alike_are_other_profiles(database, append):
    first = opened(database, "people")
    first.begin()
    first.keep(kept(0, len(ALIKE)), profiles(*ALIKE, text='{"old":1}'))
    assert first.publish() == len(ALIKE)
    first.finish()
    again = opened(database, "people", append=append)
    again.begin()
    again.keep(kept(0, 3), profiles(*ALIKE[::2], text='{"old":2}'))
    again.keep(kept(1, 3), profiles(*ALIKE[::2], "new", text='{"new":1}'))
    assert again.publish() == len(ALIKE[::2]) + 1
    again.finish()
    new, old = [*ALIKE[::2], "new"], ALIKE[1::2] if append else []
    rows = [(row[0], row[2]) for row in state(database)["people"]]
    assert sorted(rows) == sorted([(it, '{"new":1}') for it in new] + [(it, '{"old":1}') for it in old])


def test_an_id_that_is_a_number_is_the_same_as_its_text(database):
    """Mixpanel's docs show a number, and its ids are texts."""
    ids = ["12", '"12"', "1.50", '"1.50"', "1.5", "true", '"true"']
    results = ",".join(f'{{"$distinct_id":{it},"$properties":{{"n":{n}}}}}' for n, it in enumerate(ids))
    table = opened(database, "people")
    table.begin()
    table.keep(kept(0, len(ids)), profiles_batch(read_page(f'{{"results":[{results}]}}'.encode(), 0)))
    assert table.publish() == 4
    table.finish()
    rows = [(row[0], row[2]) for row in state(database)["people"]]
    assert sorted(rows) == [("1.5", '{"n":4}'), ("1.50", '{"n":3}'), ("12", '{"n":1}'), ("true", '{"n":6}')]


@pytest.mark.parametrize("append", [False, True])
def test_of_100_000_profiles_on_two_pages_each_is_stored_once(database, append):
    if append:
        table = opened(database, "people")
        table.begin()
        table.keep(kept(0, 3), profiles("other", "0", "99999", text='{"page":9}'))
        table.publish()
        table.finish()
    table = opened(database, "people", append=append)
    table.begin()
    for page in range(2):
        for start in range(0, 100_000, 10_000):
            table.keep(
                kept(page * 10 + start // 10_000, 10_000),
                profiles(*map(str, range(start, start + 10_000)), text=f'{{"page":{page}}}'),
            )
    assert table.publish() == 100_000
    table.finish()
    with database.cursor() as cursor:
        query = f"SELECT properties, count(*), count(DISTINCT distinct_id) FROM {database.schema.table('people')} GROUP BY 1"
        rows = sorted(cursor.execute(query).fetchall())
    assert rows == [('{"page":1}', 100_000, 100_000), *([('{"page":9}', 1, 1)] if append else [])]


def test_whether_a_page_has_new_profiles(database):
    table = opened(database, "people")
    table.begin()
    assert table.has_new(profiles("a"))
    table.keep(kept(0, 2), profiles("a", "b", ""))
    assert not table.has_new(profiles("b", "a", "a", ""))
    assert table.has_new(profiles("a", "A"))
    assert not table.has_new(profiles())
    table.finish()


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE people AS SELECT 42 AS precious",
        "CREATE TABLE people (distinct_id VARCHAR, last_seen TIMESTAMP, properties JSON)",
    ],
)
@pytest.mark.parametrize("append", [False, True])
def test_a_table_that_somebody_made_meanwhile_is_left_alone(database, append, made):
    if append:
        first = with_pages(database)
        first.publish()
        first.finish()
    table = opened(database, "people", append=append)
    table.check()
    table.begin()
    table.keep(kept(0, 1), profiles("b"))
    with database.cursor() as cursor:
        cursor.execute(f"USE {database.schema}")
        cursor.execute("DROP TABLE IF EXISTS people; DELETE FROM _mixpanel_selections WHERE table_name = 'people'")
        cursor.execute(made)
        with pytest.raises(StoreError, match="was not made by this library"):
            table.publish()
        assert cursor.execute("SELECT count(*) FROM _mixpanel_pages").fetchall() == [(1,)]
        assert cursor.execute("SELECT count(*) FROM people").fetchall() == [(int("precious" in made),)]
    table.finish()
