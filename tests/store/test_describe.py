"""Which properties a table has: exactly, or of a sample that says so."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpanel_async import ConfigurationError, Description, Property, Store, StoreError, TableNotFoundError
from mixpanel_async.description import LINES
from mixpanel_async.duck.properties import Source, as_text, find_types, pointer

from .conftest import of_one_event, others_can_write, properties_table

VALUES = [
    ("string", ['"x"', '""', '"2024-02-30"', '"2024-1-1"', '"01/02/2024"', '"2024-02-29T10:00:00+02:00"', '"2024-02-29T24:00:00"', '"2024-02-29T10:00"', '"0000-01-01"', '"true"', '"12"', '"null"', '"2024-02-29 "', '"20240229"', r'"2024-02-29\n"', '"\uff12024-02-29"']),
    ("date", ['"2024-02-29"', '"1000-01-01"', '"9999-12-31"', r'"2024\u002d02-29"']),
    ("datetime", ['"2024-02-29T10:00:00"', '"2024-02-29 23:59:59.5"', '"2024-02-29T10:00:00.123456"']),
    ("datetime UTC", ['"2024-02-29T10:00:00Z"', '"2024-02-29T10:00:00.1Z"']),
    ("integer", ["0", "-0", "1", "-1", "999999999999999", "-999999999999999"]),
    ("long integer", ["1000000000000000", "-1000000000000000", "9223372036854775807", "-9223372036854775808"]),
    ("big integer", ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" + "0" * 400, "-1" + "0" * 60]),
    ("number", ["1.0", "1e2", "-0.0", "1E+2", "5e-324", "1.7976931348623157e308", "0." + "1" * 400, "-1.5", "1e15", "123456789012345678901.5"]),
    ("huge number", ["1e309", "-1E400"]),
    ("boolean", ["true", "false"]),
    ("object", ["{}", '{"a": 1}']),
    ("array", ["[]", "[1.5, null]"]),
    (None, ["null"]),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "text"), [(type_, text) for type_, texts in VALUES for text in texts])
def test_the_type_of_a_value(type_, text):
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT TIMESTAMP '2024-01-01' AS event_time, ?::JSON AS properties", [f'{{"a": {text}}}']
        )
        seen = list(find_types(connection, Source("events", "t")))
    assert [(each.name, each.type) for each in seen] == [("a", type_)]


async def test_of_several_properties_with_one_name_the_first_counts(filled):
    text = '{"a": 1, "b": "x", "a": "late", "b": null, "c": null, "a": 2, "c": 3}'
    properties_table(filled, of_one_event(text, {"a": 5}))
    found = await Store(filled).describe()
    assert [(each.name, each.rows, each.types) for each in found.properties] == [
        ("a", 2, (("integer", 1.0),)), ("b", 1, (("string", 1.0),)),
    ]  # fmt: skip


async def test_rows_of_2000_properties(filled):
    row = {f"property {number}": number for number in range(2000)}
    properties_table(filled, of_one_event(*[row] * 50))
    found = await Store(filled).describe()
    assert {each.name: (each.rows, each.types) for each in found.properties} == dict.fromkeys(
        row, (50, (("integer", 1.0),))
    )


async def test_each_property_with_its_share_types_values_and_days(filled):
    properties_table(
        filled,
        [
            ("a", "2024-01-02 23:59:59", {"plan": "pro", "n": 1}),
            ("a", "2024-01-03", {"plan": "free", "n": "1", "no": None}),
            ("b", "2024-01-04", {"plan": "pro", "n": 2}),
            ("b", "2024-01-05", {"plan": None, "n": 3.5}),
        ],
    )
    found = await Store(filled).describe()
    assert found == Description(
        "events", None, 4, 4,
        (
            Property("n", 4, 1.0, (("integer", 0.5), ("number", 0.25), ("string", 0.25)), 4, "1", "2024-01-02", "2024-01-05"),
            Property("plan", 3, 0.75, (("string", 1.0),), 2, '"free"', "2024-01-02", "2024-01-04"),
        ),
    )  # fmt: skip
    assert found.is_exact
    only = await Store(filled).describe("events", event="b", sample=None)
    assert (only.event, only.rows) == ("b", 2)
    assert [(each.name, each.share, each.first_day) for each in only.properties] == [
        ("n", 1.0, "2024-01-04"),
        ("plan", 0.5, "2024-01-04"),
    ]
    assert others_can_write(filled)


async def test_the_first_of_two_values_of_one_name_counts(filled):
    properties_table(filled, of_one_event('{"a": 1, "a": "x"}', '{"a": null, "a": "x"}'))
    (found,) = (await Store(filled).describe()).properties
    assert (found.rows, found.types) == (1, (("integer", 1.0),))


async def test_a_table_of_profiles(filled):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE TABLE people (distinct_id VARCHAR, last_seen TIMESTAMP, properties JSON)")
        connection.execute(
            """INSERT INTO people VALUES ('a', '2024-01-05', '{"$email": "x"}'), ('b', NULL, '{"age": 3}')"""
        )
        connection.execute(
            "INSERT INTO _mixpanel_selections VALUES ('people', 'profiles', '{}', now()::TIMESTAMP, NULL)"
        )
    found = await Store(filled).describe("people")
    assert [(each.name, each.first_day) for each in found.properties] == [("$email", "2024-01-05"), ("age", None)]
    assert str(found).splitlines()[-1].rstrip().endswith("3")
    with pytest.raises(StoreError, match="'people' holds profiles, not events: leave event='a' out"):
        await Store(filled).describe("people", event="a")


async def test_a_table_without_rows_and_an_event_that_is_not_there(filled):
    assert (await Store(filled).describe(event="none")).properties == ()
    properties_table(filled, [])
    found = await Store(filled).describe()
    assert (found.rows, found.sampled_rows, found.properties, found.is_exact) == (0, 0, (), True)
    assert str(found) == "Table events: 0 rows, 0 properties"


async def test_500_properties(filled):
    row = {f"property {number}": number for number in range(500)}
    properties_table(filled, of_one_event(row, row | {"property 7": "x"}))
    found = await Store(filled).describe()
    assert len(found.properties) == 500
    assert all(each.share == 1 for each in found.properties)
    assert [each.name for each in found.properties if len(each.types) > 1] == ["property 7"]
    lines = str(found).splitlines()
    assert len(lines) == LINES + 3
    assert lines[-1] == f"and {500 - LINES} more, which fewer rows have: see .properties"


async def test_a_sample_says_how_many_rows_it_has_and_is_the_same_each_time(filled):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("DELETE FROM events")
        connection.execute(
            "INSERT INTO events SELECT 'e' || r % 2, TIMESTAMP '2024-01-01' + INTERVAL (r) SECOND, 'd', NULL, "
            """'{"n": ' || r || if(r % 4 = 0, ', "quarter": true', '') || '}' FROM range(300000) AS t(r)"""
        )
    store = Store(filled)
    found, again = await store.describe(sample=10_000), await store.describe(sample=10_000)
    assert found == again
    assert found.rows == 300_000
    assert 7_000 < found.sampled_rows < 13_000
    assert not found.is_exact
    shares = {each.name: each.share for each in found.properties}
    assert shares["n"] == 1
    assert 0.23 < shares["quarter"] < 0.27
    assert f"a sample of {found.sampled_rows:,} of them was read" in str(found)
    assert 50 < (await store.describe(sample=100)).sampled_rows < 200
    of_event = await store.describe(event="e1", sample=10_000)
    assert of_event.rows == 150_000
    assert 7_000 < of_event.sampled_rows < 13_000
    assert [each.name for each in of_event.properties] == ["n"]
    for whole in (None, 300_000, 1_000_000):
        exact = await store.describe(sample=whole)
        assert exact.is_exact
        assert {each.name: each.rows for each in exact.properties} == {"n": 300_000, "quarter": 75_000}
        assert abs(exact.properties[0].distinct / 300_000 - 1) < 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "no good"}, "name="),
        ({"event": ""}, "event must be the name of an event, not ''"),
        ({"event": 7}, "event must be"),
        ({"sample": 99}, "sample must be a whole number, 100 or more"),
        ({"sample": 1000.0}, "sample must be"),
        ({"sample": True}, "sample must be"),
    ],
)
async def test_a_wrong_argument_is_an_error(filled, arguments, message):
    with pytest.raises(ValueError, match=message):
        await Store(filled).describe(**arguments)


async def test_a_table_that_is_not_ours_is_an_error(filled):
    with pytest.raises(TableNotFoundError, match="no table 'others'"):
        await Store(filled).describe("others")
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE TABLE mine AS FROM events")
        connection.execute("CREATE TABLE names (event_name VARCHAR)")
        connection.execute(
            "INSERT INTO _mixpanel_selections VALUES ('names', 'event_names', '{}', now()::TIMESTAMP, NULL)"
        )
    with pytest.raises(StoreError, match="'mine' was not made by this library"):
        await Store(filled).describe("mine")
    with pytest.raises(StoreError, match="'names' holds event_names, which have no properties"):
        await Store(filled).describe("names")
    with duckdb.connect() as connection, pytest.raises(TableNotFoundError):
        await Store(connection).describe()
    with pytest.raises(ConfigurationError, match="is closed"):
        await Store(connection).describe()


async def test_it_prints_what_a_terminal_can_show(filled):
    properties_table(filled, of_one_event({"": "", "a\nb\x1b[31m": "x\n", "y" * 300: "z" * 300}, {"": 1}))
    text = str(await Store(filled).describe())
    assert text.splitlines()[1].split() == ["property", "share", "types", "distinct", "example", "days"]
    assert '""' in text
    assert "a\\nb\\x1b[31m" in text
    assert all(line.isprintable() and len(line) <= 160 for line in text.splitlines())


async def test_a_share_is_never_rounded_to_all_or_none(filled):
    properties_table(filled, [("a", "2024-01-02", "{}")])
    with duckdb.connect(str(filled)) as connection:
        connection.execute(
            """INSERT INTO events SELECT 'a', TIMESTAMP '2024-01-02', 'd', NULL, if(r = 0, '{"rare": 1}', '{"often": 1}') FROM range(99999) AS t(r)"""
        )
    lines = str(await Store(filled).describe()).splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [["often", "99.9%"], ["rare", "<0.1%"]]


async def test_to_dict_is_json(filled):
    properties_table(filled, of_one_event({"a": 1}))
    found = await Store(filled).describe()
    fields = [field.name for field in dataclasses.fields(found)]
    assert list(found.to_dict()) == [*fields, "is_exact"]
    assert json.loads(json.dumps(found.to_dict()))["properties"] == [
        {"name": "a", "rows": 1, "share": 1.0, "types": [["integer", 1.0]], "distinct": 1, "example": "1", "first_day": "2024-01-02", "last_day": "2024-01-02"}
    ]  # fmt: skip


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["", "$", "*", ".", "$.a", "a.b", 'a"b', "a[0]", "[*]", "/", "//", "~", "~0", "~1", "a/b~c", "\\", "'", '"', "0", "-1", "#", "\0", "a\0b", "é", "😀", "\ufffd", "A", "a", "?", "::", "%", "{}", "{value}"]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(names, st.integers(0, 9) | st.none(), max_size=6), min_size=1, max_size=5))
def test_every_name_is_found_and_addressed_exactly(rows):
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (event_time TIMESTAMP, properties JSON)")
        connection.executemany("INSERT INTO t VALUES ('2024-01-01', ?)", [(json.dumps(row),) for row in rows])
        source = Source("events", "t")
        found = list(find_types(connection, source))
        assert {each.name for each in found} == {name for row in rows for name in row}
        counts = Counter(name for row in rows for name, value in row.items() if value is not None)
        assert {each.name: each.rows for each in found if each.type is not None} == counts
        some = sorted({each.name for each in found})[::2]
        assert {each.name for each in find_types(connection, source, names=some)} == set(some)
        for name in {each.name for each in found}:
            query = f"SELECT json_extract(properties, {pointer(name)})::VARCHAR FROM t ORDER BY rowid"
            values = [None if text is None else json.loads(text) for (text,) in connection.execute(query).fetchall()]
            assert values == [row.get(name) for row in rows]
            assert connection.execute(f"SELECT {as_text(name)}").fetchall() == [(name,)]
