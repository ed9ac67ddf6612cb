"""How current a table of profiles is: written with its rows, and forgotten with them."""

from __future__ import annotations

import datetime as dt

import pytest

from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.duck.held_profiles import SyncTimes, read_held
from mixpanel_async.duck.lookup_tables import LookupTable
from mixpanel_async.duck.profiles_table import ProfilesTable
from mixpanel_async.errors import StoreError
from mixpanel_async.selections import EventSelection, ProfileSelection

from .test_profiles_table import kept, profiles

SELECTION = ProfileSelection(where="true")
DAYS = [dt.datetime(2026, 3, day, 1, 2, 3, 456789, dt.UTC) for day in range(1, 8)]


def download(database, mode, day, *ids, selection=SELECTION):
    """Download these profiles, begun on that day."""
    table = ProfilesTable(database, "People", selection, mode)
    table.begin(DAYS[day])
    table.keep(kept(0, len(ids)), profiles(*ids))
    table.publish()
    table.finish()


def times(database):
    held = read_held(database, "PEOPLE")
    assert held.selection == SELECTION
    return held.times


def sql(database, *statements):
    with database.cursor() as cursor:
        cursor.execute(f"USE {database.schema}")
        return [cursor.execute(each).fetchall() for each in statements][-1]


def test_no_table_is_none(database):
    assert read_held(database, "people") is None


def test_a_download_that_replaces_the_table_counts_from_when_it_began(database):
    for day in (2, 4):
        download(database, "replace", day, "a", "b")
        assert times(database) == SyncTimes(DAYS[day], DAYS[day])


def test_a_sync_moves_one_time_and_an_append_none(database):
    download(database, "replace", 0, "a", "b")
    download(database, "append", 1, "b", "c", selection=ProfileSelection(where="false"))
    assert times(database) == SyncTimes(DAYS[0], DAYS[0])
    download(database, "sync", 2, "c", "d", "e")
    assert times(database) == SyncTimes(DAYS[0], DAYS[2])
    download(database, "sync", 3)
    assert times(database) == SyncTimes(DAYS[0], DAYS[3])
    assert sql(database, "SELECT table_name, rows FROM _mixpanel_syncs") == [("people", 5)]


def test_a_download_that_goes_on_began_when_it_began(database):
    table = ProfilesTable(database, "people", SELECTION, "replace")
    table.begin(DAYS[0])
    table.keep(kept(0, 1), profiles("a"))
    table.finish()
    again = ProfilesTable(database, "people", SELECTION, "replace")
    again.resume()
    again.publish()
    assert times(database) == SyncTimes(DAYS[0], DAYS[0])


def test_a_sync_that_was_broken_off_is_not_resumed(database):
    download(database, "replace", 0, "a")
    table = ProfilesTable(database, "people", SELECTION, "sync")
    table.begin(DAYS[1])
    table.keep(kept(0, 1), profiles("b"))  # and a kill
    for mode in ("replace", "append", "sync"):
        assert ProfilesTable(database, "people", SELECTION, mode).resume() is None
    assert times(database) == SyncTimes(DAYS[0], DAYS[0])


CREATE = "CREATE TABLE people (distinct_id VARCHAR, last_seen TIMESTAMP, properties JSON)"


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM people WHERE distinct_id = 'a'",
        "INSERT INTO people VALUES ('mine', NULL, '{}')",
        f"DROP TABLE people; {CREATE}",
        f"DROP TABLE people; {CREATE}; INSERT INTO people VALUES ('mine', NULL, '{{}}')",
    ],
)
def test_the_times_of_a_table_that_somebody_changed_are_unknown_until_it_is_replaced(database, change):
    download(database, "replace", 0, "a", "b")
    sql(database, change)
    assert times(database) is None
    download(database, "append", 1, "c")
    assert times(database) is None
    download(database, "replace", 2, "a")
    assert times(database) == SyncTimes(DAYS[2], DAYS[2])


@pytest.mark.parametrize("other", ["events", "a lookup"])
def test_another_table_of_its_name_forgets_the_times(database, other):
    download(database, "replace", 0, "a")
    sql(database, "DROP TABLE people")
    if other == "events":
        table = EventsTable(database, "people")
        table.check(EventSelection(), append=False, resume=False)
        table.prepare(EventSelection(), [])
    else:
        LookupTable(database, "people", "event_names").replace([], event_name=None, selection="{}", fetched_at=DAYS[0])
    assert sql(database, "FROM _mixpanel_syncs") == []
    with pytest.raises(StoreError, match="holds event"):
        read_held(database, "people")


def test_a_selection_that_cannot_be_read_is_an_error(database):
    download(database, "replace", 0, "a")
    sql(database, """UPDATE _mixpanel_selections SET selection = '{"later": 1}'""")
    with pytest.raises(StoreError, match="cannot be read"):
        read_held(database, "people")
