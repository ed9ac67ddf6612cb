"""Which properties of an event came, went or changed their types."""

from __future__ import annotations

import datetime as dt
import json

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpanel_async import SchemaChange, Store, StoreError, TableNotFoundError
from mixpanel_async.duck.schema import EVENTS_COLUMNS, Schema
from mixpanel_async.duck.schema_changes import read_changes

from .conftest import properties_table

SINCE = "2024-01-05"
BEFORE, AFTER = "2024-01-04 23:59:59.999", "2024-01-05"


async def changes(path, *rows, since=SINCE):
    properties_table(path, rows)
    return await Store(path).schema_changes("events", since)


async def test_a_property_that_is_new_gone_or_of_another_type(filled):
    found = await changes(
        filled,
        ("a", BEFORE, {"same": 1, "old": "x", "n": 1, "null": None, "mixed": 1}),
        ("a", BEFORE, {"old": 5, "mixed": "x"}),
        ("a", AFTER, {"same": 2, "new": True, "n": 1.5, "null": "x", "mixed": 1}),
        ("a", AFTER, {"same": 2, "new": True, "n": "x", "old": None}),
        ("a", AFTER, {"n": 1}),
    )
    assert found == (
        SchemaChange("a", "mixed", "type", ("integer", "string"), ("integer",), 1),
        SchemaChange("a", "n", "type", ("integer",), ("integer", "number", "string"), 2),
        SchemaChange("a", "new", "new", (), ("boolean",), 2),
        SchemaChange("a", "null", "new", (), ("string",), 1),
        SchemaChange("a", "old", "gone", ("integer", "string"), (), 2),
    )
    assert [str(each) for each in found[1:3]] == [
        "type 'a': 'n': integer -> integer or number or string (2 rows)",
        "new  'a': 'new': none -> boolean (2 rows)",
    ]


async def test_each_event_for_itself(filled):
    found = await changes(
        filled,
        ("b", BEFORE, {"x": 1}),
        ("b", AFTER, {"y": 1}),
        ("c", BEFORE, {"x": 1}),
        ("c", AFTER, {"x": 1}),
        ("gone", BEFORE, {"x": 1}),
        ("new", AFTER, {"x": 1, "z": 1}),
        ("new", AFTER, {}),
    )
    assert found == (
        SchemaChange("b", "x", "gone", ("integer",), (), 1),
        SchemaChange("b", "y", "new", (), ("integer",), 1),
        SchemaChange("gone", None, "gone", (), (), 1),
        SchemaChange("new", None, "new", (), (), 2),
    )
    assert str(found[-1]) == "new  'new': the event itself (2 rows)"
    assert json.loads(json.dumps(found[1].to_dict())) == {
        "event": "b", "property": "y", "kind": "new", "before": [], "after": ["integer"], "rows": 1,
    }  # fmt: skip


async def test_it_tells_what_no_longer_fits_a_view(filled):
    pairs = {
        "text of a date": ("2024-02-29", "2024-02-30"),
        "zone": ("2024-02-29T10:00:00", "2024-02-29T10:00:00Z"),
        "fraction": (1, 1.5),
        "long": (1, 10**15),
        "big": (1, 10**30),
    }
    rows = [
        ("a", time, {name: pair[side] for name, pair in pairs.items()}) for side, time in enumerate((BEFORE, AFTER))
    ]
    properties_table(filled, rows[:1])
    info = await Store(filled).create_view("v")
    properties_table(filled, rows)
    assert [each.property for each in await Store(filled).schema_changes("events", SINCE)] == sorted(pairs)
    assert {each.type for each in info.columns[5:]} == {"DATE", "TIMESTAMP", "BIGINT"}


async def test_nothing_changed_or_nothing_there(filled):
    assert await changes(filled, ("a", BEFORE, {"x": 1}), ("a", AFTER, {"x": 2})) == ()
    assert await changes(filled) == ()
    assert await changes(filled, ("a", BEFORE, {"x": 1}), since=dt.date(2024, 1, 5)) == (
        SchemaChange("a", None, "gone", (), (), 1),
    )


@pytest.mark.parametrize(
    ("name", "since", "message"),
    [
        ("no good", SINCE, "name="),
        ("events", "2024-1-5", "since"),
        ("events", dt.datetime(2024, 1, 5, tzinfo=dt.UTC), "since must be a date"),
        ("events", None, "since"),
    ],
)
async def test_a_wrong_argument_is_an_error(filled, name, since, message):
    with pytest.raises(ValueError, match=message):
        await Store(filled).schema_changes(name, since)


async def test_a_table_that_is_not_of_events_is_an_error(filled):
    with pytest.raises(TableNotFoundError):
        await Store(filled).schema_changes("others", SINCE)
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE TABLE people (distinct_id VARCHAR, last_seen TIMESTAMP, properties JSON)")
        connection.execute(
            "INSERT INTO _mixpanel_selections VALUES ('people', 'profiles', '{}', now()::TIMESTAMP, NULL)"
        )
    with pytest.raises(StoreError, match="'people' holds profiles, not events"):
        await Store(filled).schema_changes("people", SINCE)


VALUES = {"integer": 1, "number": 1.5, "string": "x", "boolean": True, "array": [1], None: None}
rows = st.lists(
    st.tuples(st.sampled_from("ab"), st.booleans(), st.dictionaries(st.sampled_from(["x", "y", "Y", ""]), st.sampled_from(list(VALUES)))),
    max_size=8,
)  # fmt: skip


def counted(rows):
    """The same by hand: for each event and property, the types on each side."""
    for event in sorted({event for event, _, _ in rows}):
        sides = [
            [each for name, is_after, each in rows if name == event and is_after is side] for side in (False, True)
        ]
        if not all(sides):
            yield SchemaChange(event, None, "new" if sides[1] else "gone", (), (), len(sides[0] or sides[1]))
            continue
        for name in sorted({name for each in sides[0] + sides[1] for name in each}):
            before, after = ([each[name] for each in side if each.get(name)] for side in sides)
            if set(before) != set(after):
                kind = "type" if before and after else "new" if after else "gone"
                changed = sum(each not in after for each in before) + sum(each not in before for each in after)
                yield SchemaChange(event, name, kind, tuple(sorted(set(before))), tuple(sorted(set(after))), changed)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_it_equals_a_count_by_hand(rows):
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE _mixpanel_version AS SELECT 6 AS version")
        connection.execute("CREATE TABLE _mixpanel_selections AS SELECT 'events' AS table_name, 'events' AS type")
        connection.execute(f"CREATE TABLE events {EVENTS_COLUMNS}")
        for event, is_after, types in rows:
            text = json.dumps({name: VALUES[type_] for name, type_ in types.items()})
            connection.execute(
                "INSERT INTO events VALUES (?, ?, 'd', NULL, ?)", [event, AFTER if is_after else BEFORE, text]
            )
        found = read_changes(connection, Schema("memory", "main"), name="events", since=dt.date(2024, 1, 5))
    assert found == tuple(counted(rows))
