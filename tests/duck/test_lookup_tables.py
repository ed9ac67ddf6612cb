"""Tables of lookups: replaced whole or not at all, and nobody else's."""

from __future__ import annotations

import datetime as dt
from dataclasses import fields
from decimal import Decimal

import pytest

from mixpanel_async import catalog
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.duck.lookup_tables import COLUMNS, LookupTable
from mixpanel_async.duck.schema import stored_time
from mixpanel_async.errors import StoreError
from mixpanel_async.selections import EventSelection

AT = dt.datetime(2026, 2, 10, 12, tzinfo=dt.UTC)
LATER = AT + dt.timedelta(days=1)
CREATED = dt.datetime(2019, 3, 19, 23, 49, 51)  # noqa: DTZ001 - as Mixpanel has it
ONE = (1, "One", 5, CREATED, True, "first", None)
TWO = (2, "Zwö\u2028", 0, CREATED, False, None, "8453995111420155989")


@pytest.fixture
def sql(database):
    with database.cursor() as cursor:
        cursor.execute(f"USE {database.schema}")
        yield lambda query, *values: cursor.execute(query, values).fetchall()


@pytest.fixture
def replace(database):
    def replace(rows, kind="cohorts", name=None, event_name=None, selection="{}", at=AT):
        table = LookupTable(database, name or kind, kind)
        table.replace(rows, event_name=event_name, selection=selection, fetched_at=at)

    return replace


def described(sql):
    return sql("SELECT table_name, type, selection FROM _mixpanel_selections ORDER BY ALL")


@pytest.mark.parametrize(
    ("kind", "of"),
    [
        ("top_properties", catalog.TopProperty),
        ("cohorts", catalog.Cohort),
        ("lexicon_schemas", catalog.LexiconSchema),
        ("annotations", catalog.Annotation),
    ],
)
def test_columns_are_the_fields(kind, of):
    assert list(COLUMNS[kind]) == [field.name for field in fields(of)]


def test_rows_are_stored_as_they_are_and_replaced(replace, sql):
    replace([ONE, TWO], selection='{"a":1}')
    assert sql("SELECT * FROM cohorts ORDER BY id") == [(*ONE, stored_time(AT)), (*TWO, stored_time(AT))]
    assert described(sql) == [("cohorts", "cohorts", '{"a":1}')]

    replace([TWO], at=LATER)
    assert sql("SELECT * FROM cohorts") == [(*TWO, stored_time(LATER))]
    replace([])
    assert sql("SELECT * FROM cohorts") == []
    assert described(sql) == [("cohorts", "cohorts", "{}")]


def test_what_is_nested_is_json_with_its_numbers(replace, sql):
    note = (7, AT, "launch", catalog.AnnotationUser(1, "Ada"), (catalog.AnnotationTag(3, "release"),))
    replace([note, (8, AT, "", None, ())], kind="annotations")
    assert sql('SELECT "user", tags, "user"->>\'$.first_name\' FROM annotations ORDER BY id') == [
        ('{"id":1,"first_name":"Ada","last_name":null}', '[{"id":3,"name":"release"}]', "Ada"),
        (None, "[]", None),
    ]
    properties = {"n": {"maximum": 12345678901234567890123, "multipleOf": Decimal("1e400")}}
    replace([("event", "a", None, properties, {})], kind="lexicon_schemas")
    [(stored,)] = sql("SELECT properties FROM lexicon_schemas")
    assert stored == '{"n":{"maximum":12345678901234567890123,"multipleOf":1E+400}}'


def test_top_properties_of_other_events_stay(replace, sql):
    def save(event, *rows):
        replace([(event, *row) for row in rows], kind="top_properties", event_name=event)

    save("a", ("x", 1), ("y", None))
    save("b", ("x", 2))
    save("a", ("z", 3))
    assert sql("SELECT event_name, name, count FROM top_properties ORDER BY ALL") == [("a", "z", 3), ("b", "x", 2)]


def refused(replace, sql, says, name="mine", **options):
    before = sql(f"SELECT * FROM {name}"), described(sql)
    with pytest.raises(StoreError, match=says):
        replace([ONE], name=name, **options)
    assert (sql(f"SELECT * FROM {name}"), described(sql)) == before


def test_a_table_of_somebody_elses_is_left_alone(replace, sql):
    sql("CREATE TABLE mine AS SELECT 42 AS id")
    refused(replace, sql, "'mine' was not made by this library: pass another name as save=")
    sql("CREATE VIEW seen AS FROM mine")
    refused(replace, sql, "'seen' was not made", name="seen")


def test_a_table_of_events_is_left_alone(replace, sql, database):
    EventsTable(database, "mine").prepare(EventSelection(), [])
    refused(replace, sql, "'mine' holds events")
    refused(replace, sql, "'MINE' holds events", name="MINE")


def test_a_table_of_another_lookup_is_left_alone(replace, sql, database):
    replace([("Signed up",)], kind="event_names", name="mine")
    refused(replace, sql, "'mine' holds event_names")
    with pytest.raises(StoreError, match=r'mine" has the columns .*, and events need'):
        EventsTable(database, "mine").check(EventSelection(), append=True, resume=False)


def test_a_table_whose_columns_were_changed_is_left_alone(replace, sql):
    replace([ONE])
    sql("ALTER TABLE cohorts ADD COLUMN mine INTEGER")
    refused(replace, sql, "has the columns .*'mine'.*: drop it", name="cohorts")


def test_a_table_that_somebody_dropped_is_created_again(replace, sql, database):
    EventsTable(database, "mine").prepare(EventSelection(), [])
    sql("DROP TABLE mine")
    replace([ONE], name="mine")
    assert sql("SELECT * FROM mine") == [(*ONE, stored_time(AT))]
    assert described(sql) == [("mine", "cohorts", "{}")]


@pytest.mark.parametrize("first", [True, False], ids=["made", "replaced"])
def test_what_cannot_be_stored_leaves_all_as_it_was(replace, sql, first):
    if not first:
        replace([ONE], selection='{"before":1}')
    with pytest.raises(StoreError, match="'cohorts'"):
        replace([TWO, (2**70, *ONE[1:])])

    assert described(sql) == ([] if first else [("cohorts", "cohorts", '{"before":1}')])
    if first:
        assert ("cohorts",) not in sql("SHOW TABLES")
    else:
        assert sql("SELECT * FROM cohorts") == [(*ONE, stored_time(AT))]
    replace([TWO])
    assert sql("SELECT id FROM cohorts") == [(2,)]


def test_many_rows_at_once(replace, sql):
    replace([(f"event {n}",) for n in range(5000)], kind="event_names")
    assert sql("SELECT count(*), count(DISTINCT event_name) FROM event_names") == [(5000, 5000)]
