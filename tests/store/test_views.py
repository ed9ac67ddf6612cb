"""Views: each typed column has just the values of its property, and nothing is lost or rounded."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import subprocess
import sys
import zoneinfo
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mixpanel_async import (
    MixpanelClient,
    ServiceAccount,
    Store,
    StoreError,
    TableExistsError,
    TableNotFoundError,
    ViewColumn,
    ViewInfo,
)
from mixpanel_async.duck.schema import EVENTS_COLUMNS, Schema, quoted
from mixpanel_async.duck.views import ViewRequest, create_view, plan_view
from tests.cancellation.stepping import run_and_cancel

from .conftest import of_one_event, others_can_write, process_that_holds, properties_table
from .test_describe import names

OWN = ["event_name", "event_time", "distinct_id", "insert_id", "properties"]
CREDENTIALS = ServiceAccount("user", "secret", project_id=1)


def query(path, sql):
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def by_the_command_line_of_last_year(path, sql):
    command = [Path(sys.executable).with_name("duckdb"), "-readonly", "-json", path, sql]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [tuple(row.values()) for row in json.loads(done.stdout)]


def fill(connection, *properties):
    """Create a table of events with a row for each."""
    connection.execute(f"CREATE TABLE events {EVENTS_COLUMNS}")
    connection.execute("INSERT INTO _mixpanel_selections VALUES ('events', 'events', '{}', now()::TIMESTAMP, NULL)")
    for number, text in enumerate(properties):
        connection.execute("INSERT INTO events VALUES ('a', '2024-01-01', ?, NULL, ?)", [number, text])


def typed(info):
    """Property to type and note, without the table's own columns."""
    return {each.property: (each.type, each.note) for each in info.columns if each.name not in OWN}


async def column_of(path, *texts, **options):
    """The type of a property `a` with these JSON texts, its note, and the values of its column."""
    properties_table(path, of_one_event(*(f'{{"a": {text}}}' for text in texts)))
    info = await Store(path).create_view("v", **options)
    return *typed(info)["a"], [value for (value,) in query(path, 'SELECT "a" FROM v ORDER BY properties')]


# Types


@pytest.mark.parametrize(
    ("texts", "type_", "note"),
    [
        (["true", "false", "null"], "BOOLEAN", ""),
        (["1", "-9223372036854775808", "9223372036854775807"], "BIGINT", ""),
        (["1.5", "2", "-999999999999999"], "DOUBLE", ""),
        (["1.5", "9007199254740993"], "VARCHAR", "long integer and number: numbers as written"),
        (["1", "9223372036854775808"], "VARCHAR", "big integer and integer: numbers as written"),
        (["1e999"], "VARCHAR", "huge number: numbers as written"),
        (['"x"', "1.50", "1e2", "-0", "0", "true"], "VARCHAR", "boolean and integer and number and string: numbers as written"),
        (["true", '"x"'], "VARCHAR", "boolean and string"),
        (["[1, 2]", '{"b": null}'], "JSON", ""),
        (["[1]", '"[1]"', "1.5", "true"], "JSON", "array and boolean and number and string: as JSON"),
        (['"2024-02-29"', '"2024-03-01"'], "DATE", ""),
        (['"2024-02-29T10:00:00"', '"2024-02-29 10:00:00.5"'], "TIMESTAMP", ""),
        (['"2024-02-29T10:00:00Z"'], "TIMESTAMP", "UTC"),
        (['"2024-02-29T10:00:00Z"', '"2024-02-29T10:00:00"'], "VARCHAR", ""),
        (['"2024-02-29"', '"2024-02-29T10:00:00"'], "VARCHAR", ""),
        (['"2024-02-29"', '"2024-02-30"'], "VARCHAR", ""),
        (['"02/03/2024"', '"12/31/2024"'], "VARCHAR", ""),
        (['"2024-02-29T10:00:00+02:00"'], "VARCHAR", ""),
        (["null"], "VARCHAR", "no row has it yet"),
    ],
)  # fmt: skip
async def test_the_narrowest_type_that_loses_nothing(filled, texts, type_, note):
    column, said, values = await column_of(filled, *texts)
    assert (column, said) == (type_, note)
    assert sorted(map(repr, values)) == sorted(repr(expected(type_, text)) for text in texts)


def expected(type_, text):  # noqa: PLR0911 - one for each type
    """What the column must hold: by Python's own parser."""
    value = json.loads(text)
    if value is None:
        return None
    match type_:
        case "DATE":
            return dt.date.fromisoformat(value)
        case "TIMESTAMP":
            return dt.datetime.fromisoformat(value).replace(tzinfo=None)
        case "JSON":
            return json.dumps(value, separators=(",", ":"))
        case "DOUBLE":
            return float(value)
        case "VARCHAR":
            return value if isinstance(value, str) else text
    return value


numbers = st.sampled_from(
    ["0", "-0", "0.0", "-0.0", "1.50", "1e2", "1E+2", "-1.5e-3", "0.1234567890123456789", "1e400", "9007199254740993", "1.0", "12345678901234567890.5", "100000000000000000000000000000000000000000"]
)  # fmt: skip
scalars = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6).map(json.dumps)
    | st.integers(-(2**70), 2**70).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | numbers
    | st.sampled_from(['"2024-02-29"', '"2024-02-30"', '"2024-02-29T10:00:00Z"', '"2024-02-29T10:00:00.25"', '"12"', '"1.50"', '"-1.5"', '"0"', "true", "false", "null", r'"\\\" 12"', '"}"', '"0\\"1"'])
)  # fmt: skip
values = scalars | st.lists(scalars, max_size=3).map(lambda each: f"[{', '.join(each)}]")
alike = st.sampled_from([scalars, numbers, st.integers(-(2**60), 2**60).map(str), values])


@st.composite
def tables(draw):
    """Rows of the same properties, each of which mostly has values that are alike."""
    columns = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    kinds = {name: draw(alike) for name in columns}
    return [
        {name: draw(kinds[name]) for name in columns if draw(st.booleans())} for _ in range(draw(st.integers(1, 4)))
    ]


@settings(max_examples=100, deadline=None)
@given(tables())
@example([{"a": "1.50", "A": '"x"', "a_2": "1"}, {"a": '"t"', "b": '"12 \\" 1.50"'}])
@example([{'"': "-1.50"}, {'"': '"\\\\"'}])
def test_each_column_equals_what_json_says(rows):
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE _mixpanel_version AS SELECT 6 AS version")
        connection.execute(
            "CREATE TABLE _mixpanel_selections "
            "(table_name VARCHAR, type VARCHAR, selection VARCHAR, created_at TIMESTAMP, project VARCHAR)"
        )
        texts = [", ".join(f"{json.dumps(name)}: {each}" for name, each in row.items()) for row in rows]
        fill(connection, *(f"{{{text}}}" for text in texts))
        every = sorted({name for row in rows for name in row})
        if not every:
            return
        schema, request = Schema("memory", "main"), ViewRequest.of("v", "events", every)
        info = create_view(connection, schema, planned=plan_view(connection, schema, request=request))
        columns = [each for each in info.columns if each.name not in OWN]
        assert [each.property for each in columns] == every
        assert len({each.name.lower() for each in info.columns}) == len(info.columns)
        for each in columns:
            found = connection.execute(f"SELECT {quoted(each.name)} FROM v ORDER BY distinct_id").fetchall()
            for (value,), row in zip(found, rows, strict=True):
                text = row.get(each.property, "null")
                right = expected(each.type, text)
                if each.type == "JSON" and value is not None:
                    assert json.loads(value) == json.loads(text)
                else:
                    assert (value, type(value)) == (right, type(right)), (each, text)


@pytest.mark.parametrize(
    ("first", "later", "shown"),
    [
        ("1", ["1.5", '"2"', "9223372036854775808", "true", "[1]"], [None] * 5),
        ("1.5", ["9007199254740993", '"2"', "1e999", "2"], [None, None, None, 2.0]),
        ("true", ["1", '"true"', "null"], [None, None, None]),
        ('"2024-02-29"', ['"2024-02-30"', '"2024-02-29T10:00:00"', "20240229"], [None] * 3),
        ('"2024-02-29T10:00:00"', ['"2024-02-29T10:00:00Z"', '"2024-02-29T10:00:00+02:00"', '"2024-02-29"'], [None] * 3),
        ('"2024-02-29T10:00:00Z"', ['"2024-02-29T10:00:00"'], [None]),
        ('"x"', ["1.50", "[1, 2]", "true", "null", "-0"], ["1.50", "[1,2]", "true", None, "-0"]),
        ("[1]", ['"x"', "1.5", "null"], ['"x"', "1.5", None]),
    ],
)  # fmt: skip
async def test_a_later_value_that_does_not_fit_is_null_and_in_properties(filled, first, later, shown):
    await column_of(filled, first)
    properties_table(filled, [("a", f"2024-01-{day:02}", f'{{"a": {text}}}') for day, text in enumerate(later, 1)])
    found = query(filled, 'SELECT "a", properties FROM v ORDER BY event_time')
    assert [value for value, _ in found] == shown
    assert [text for _, text in found] == [f'{{"a": {text}}}' for text in later]


async def test_the_first_of_two_values_of_one_name_is_shown(filled):
    properties_table(filled, of_one_event('{"a": 1, "b": "x", "a": "y"}'))
    assert typed(await Store(filled).create_view("v")) == {"a": ("BIGINT", ""), "b": ("VARCHAR", "")}
    assert query(filled, "SELECT a, b FROM v") == [(1, "x")]


# Chosen columns


async def test_names_that_are_chosen_are_inferred_in_their_order(filled):
    properties_table(filled, of_one_event({"a": 1, "b": "x", "time": 5}))
    info = await Store(filled).create_view("v", properties=["time", "later", "b"])
    assert [each.property for each in info.columns[5:]] == ["time", "later", "b"]
    assert typed(info) == {"time": ("BIGINT", ""), "later": ("VARCHAR", "no row has it yet"), "b": ("VARCHAR", "")}
    assert query(filled, "SELECT time, later, b FROM v") == [(5, None, "x")]


@pytest.mark.parametrize(
    ("type_", "canonical", "text", "value"),
    [
        ("int", "INTEGER", "5", 5),
        ("int", "INTEGER", "5.5", None),
        ("int", "INTEGER", '"5"', None),
        ("HUGEINT", "HUGEINT", "9223372036854775808", 9223372036854775808),
        ("decimal(18, 2)", "DECIMAL(18,2)", "1.50", Decimal("1.50")),
        ("DECIMAL(38,19)", "DECIMAL(38,19)", "0.1234567890123456789", Decimal("0.1234567890123456789")),
        ("DECIMAL(18,2)", "DECIMAL(18,2)", '"x"', None),
        ("text", "VARCHAR", "0.1234567890123456789", "0.1234567890123456789"),
        ("VARCHAR", "VARCHAR", "null", None),
        ("TIMESTAMP", "TIMESTAMP", '"2024-02-29T10:00:00Z"', dt.datetime.fromisoformat("2024-02-29T10:00")),
        ("TIMESTAMP", "TIMESTAMP", '"2024-02-29T10:00:00+02:00"', None),
        ("TIMESTAMP_S", "TIMESTAMP_S", '"2024-02-29T10:00:00+02:00"', None),
        ("uuid", "UUID", '"6c1a0f4e-1c3c-4d9e-9b3e-0123456789ab"', UUID("6c1a0f4e-1c3c-4d9e-9b3e-0123456789ab")),
        ("INTEGER[]", "INTEGER[]", "[1, 2]", [1, 2]),
        ("STRUCT(b INTEGER)", "STRUCT(b INTEGER)", '{"b": 1}', {"b": 1}),
        ("BOOLEAN", "BOOLEAN", "1", None),
        ("REAL", "FLOAT", "1.5", 1.5),
    ],
)  # fmt: skip
async def test_types_that_are_chosen(filled, type_, canonical, text, value):
    assert await column_of(filled, text, properties={"a": type_}) == (canonical, "chosen", [value])


async def test_a_time_with_its_zone(filled):
    properties_table(filled, of_one_event({"a": "2024-02-29T10:00:00+02:00"}))
    await Store(filled).create_view("v", properties={"a": "timestamptz"})
    assert query(filled, "SELECT typeof(a), epoch(a) FROM v") == [("TIMESTAMP WITH TIME ZONE", 1709193600.0)]


async def test_chosen_types_need_no_rows(filled):
    properties_table(filled, [])
    assert typed(await Store(filled).create_view("v", properties={"a": "BIGINT"})) == {"a": ("BIGINT", "chosen")}
    with pytest.raises(StoreError, match="'events' has no rows that could tell the types"):
        await Store(filled).create_view("w")
    with pytest.raises(StoreError, match="no rows of event 'x' that could"):
        await Store(filled).create_view("w", event="x", properties=["a"])


async def test_one_event(filled):
    properties_table(filled, [("it's", "2024-01-02", {"a": 1}), ("b", "2024-01-02", {"a": "x", "b": 1})])
    info = await Store(filled).create_view("v", event="it's")
    assert typed(info) == {"a": ("BIGINT", "")}
    assert query(filled, "SELECT event_name, a FROM v") == [("it's", 1)]


async def test_a_view_of_profiles(filled):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE TABLE people (distinct_id VARCHAR, last_seen TIMESTAMP, properties JSON)")
        connection.execute(
            """INSERT INTO people VALUES ('a', '2024-01-05', '{"$email": "x", "$last_seen": "2024-01-05T00:00:00"}')"""
        )
        connection.execute(
            "INSERT INTO _mixpanel_selections VALUES ('people', 'profiles', '{}', now()::TIMESTAMP, NULL)"
        )
    info = await Store(filled).create_view("v", "people")
    assert [each.name for each in info.columns] == ["distinct_id", "last_seen", "properties", "$email", "$last_seen"]
    assert query(filled, 'SELECT "$email", "$last_seen" = last_seen FROM v') == [("x", True)]
    with pytest.raises(StoreError, match="holds profiles: Mixpanel does not say which zone"):
        await Store(filled).create_view("w", "people", timezone="UTC")


# Names


async def test_names_are_kept_and_told_apart(filled):
    wild = [
        "",
        "$browser",
        "Plan",
        "plan",
        "PLAN",
        "plan_2",
        'a"b',
        "a.b",
        "x" * 300,
        "properties",
        "Event_Time",
        "json_0",
        "a\0b",
        "distinct_id",
        "$insert_id",
        "time",
        " ",
    ]
    properties_table(filled, of_one_event({name: number for number, name in enumerate(wild)}))
    info = await Store(filled).create_view("v")
    columns = {each.property: each.name for each in info.columns if each.name not in OWN}
    assert columns == {
        "": "(empty)", " ": " ", "$browser": "$browser", "Event_Time": "Event_Time_2", "PLAN": "PLAN", "Plan": "Plan_2", 'a"b': 'a"b', "a.b": "a.b",
        "a\0b": "a␀b", "json_0": "json_0", "plan": "plan_3", "plan_2": "plan_2_2", "properties": "properties_2", "x" * 300: "x" * 300,
    }  # fmt: skip
    notes = {each.property: each.note for each in info.columns if "renamed" in each.note}
    assert notes["Plan"] == "renamed: another column has its name"
    assert notes[""] == "renamed"
    for name, column in columns.items():
        assert query(filled, f"SELECT {quoted(column)} FROM v") == [(wild.index(name),)]
    asked = await Store(filled).create_view("v", properties=["distinct_id", "time"])
    assert [each.name for each in asked.columns[5:]] == ["distinct_id_2", "time"]


async def test_500_columns(filled):
    properties_table(filled, of_one_event({f"property {number}": number for number in range(500)}))
    info = await Store(filled).create_view("v")
    assert len(info.columns) == 505
    assert query(filled, "SELECT * EXCLUDE (event_name, event_time, distinct_id, insert_id, properties) FROM v") == [
        tuple(sorted(range(500), key=str))
    ]


async def test_all_of_500_columns_fit_in_memory(filled):
    """DuckDB keeps a parsed vector of the rows for each expression that reads JSON: 30 MB of these, 15 GB for 500."""
    properties_table(filled, [])
    with duckdb.connect(str(filled)) as connection:
        text = """'{' || array_to_string(['"property ' || i || '": ' || (i + r) FOR i IN range(500)], ', ') || '}'"""
        connection.execute(
            f"INSERT INTO events SELECT 'a', TIMESTAMP '2024-01-02', 'd', NULL, {text} FROM range(2048) AS t(r)"
        )
    await Store(filled).create_view("v")
    with duckdb.connect(str(filled), config={"memory_limit": "1500MB", "threads": 1}) as connection:
        found = connection.execute("SELECT count(COLUMNS(* EXCLUDE (insert_id))) FROM v").fetchall()
    assert found == [(2048,) * 504]


# Whose view it is


async def test_ours_is_replaced_and_somebody_elses_is_not(filled):
    properties_table(filled, of_one_event({"a": 1}))
    store = Store(filled)
    await store.create_view("v")
    await store.create_view("V", properties=["a"])
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE OR REPLACE VIEW v AS SELECT 7 AS mine; CREATE VIEW w AS SELECT 8 AS mine")
        connection.execute("COMMENT ON VIEW w IS 'not of mixpanel-async: '; CREATE TABLE mine (a INT)")
    for name, what in (("v", "view"), ("w", "view"), ("Mine", "table")):
        with pytest.raises(TableExistsError, match=f"There is a {what} '{name}' already that create_view did not make"):
            await store.create_view(name)
    assert query(filled, "SELECT v.mine, w.mine FROM v, w") == [(7, 8)]


async def test_one_that_appears_meanwhile_is_not_replaced(filled):
    properties_table(filled, of_one_event({"a": 1}))
    with duckdb.connect(str(filled)) as connection:
        schema = Schema(*connection.execute("SELECT current_database(), current_schema()").fetchall()[0])
        planned = plan_view(connection, schema, request=ViewRequest.of("v", "events"))
        connection.execute("CREATE TABLE v AS SELECT 7 AS mine")
        with pytest.raises(TableExistsError):
            create_view(connection, schema, planned=planned)
        assert connection.execute("FROM v").fetchall() == [(7,)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"view": "_mixpanel_v"}, "view='_mixpanel_v': names that begin"),
        ({"view": "a b"}, "view='a b' cannot be"),
        ({"view": "Events"}, "view='Events' is the table's own name"),
        ({"table": "_mixpanel_chunks"}, "table='_mixpanel_chunks'"),
        ({"properties": []}, "properties must be names"),
        ({"properties": "a"}, "properties must be names"),
        ({"properties": [7]}, "properties must be names"),
        ({"properties": ["\ud800"]}, "properties must be names"),
        ({"properties": ["a", "a"]}, "properties has a name twice"),
        ({"properties": {"a": "NONSENSE"}}, "'a' has the type 'NONSENSE', which DuckDB does not know"),
        ({"properties": {"a": 7}}, "'a' has the type 7"),
        ({"properties": {"a": "INT) AS b, (SELECT 1"}}, "'a' has the type"),
        ({"properties": {"a": "INT; DROP TABLE events"}}, "'a' has the type"),
        ({"properties": {"a": "INT AS b"}}, "'a' has the type"),
        ({"event": ""}, "event must be"),
        ({"timezone": "Nowhere/Here"}, "timezone='Nowhere/Here' is not a time zone that DuckDB knows"),
        ({"timezone": "US/Pacific' --"}, "is not a time zone"),
        ({"timezone": 7}, "timezone must be a name"),
    ],
)  # fmt: skip
async def test_a_wrong_argument_is_an_error_and_nothing_is_written(filled, arguments, message):
    before = filled.read_bytes()
    with pytest.raises(ValueError, match=message):
        await Store(filled).create_view(**{"view": "v"} | arguments)
    assert filled.read_bytes() == before


async def test_a_table_that_is_not_ours_is_an_error(filled):
    with pytest.raises(TableNotFoundError, match="no table 'others'"):
        await Store(filled).create_view("v", "others")
    await Store(filled).create_view("v")
    with pytest.raises(StoreError, match="'v' was not made by this library"):
        await Store(filled).create_view("w", "v")


# Where it works


@pytest.mark.parametrize("of_client", [False, True])
async def test_any_client_can_query_it(filled, tmp_path, of_client):
    properties_table(
        filled, of_one_event({"$browser": "x", "n": 1.5, "at": "2024-02-29T10:00:00Z", "mixed": "y"}, '{"mixed": 1.50}')
    )
    if of_client:
        async with MixpanelClient(CREDENTIALS, database=filled) as client:
            await client.store.create_view("v", timezone="US/Pacific")
    else:
        await Store(filled).create_view("v", timezone="US/Pacific")
    sql = 'SELECT concat("$browser", n, "at", mixed), event_time_utc::VARCHAR FROM v WHERE n > 1 OR mixed = \'1.50\' ORDER BY n'
    rows = [("x1.52024-02-29 10:00:00y", "2024-01-02 08:00:00"), ("1.50", "2024-01-02 08:00:00")]
    assert query(filled, sql) == rows
    copy = tmp_path / "under another name.duckdb"
    filled.rename(copy)
    assert query(copy, sql) == rows
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{copy}' AS elsewhere (READ_ONLY)")
        assert connection.execute(sql.replace("FROM v", "FROM elsewhere.main.v")).fetchall() == rows
    assert by_the_command_line_of_last_year(copy, sql) == rows


async def test_on_a_callers_connection():
    with duckdb.connect() as connection:
        async with MixpanelClient(CREDENTIALS, database=connection) as client:
            with pytest.raises(TableNotFoundError):
                await client.store.create_view("v")
            fill(connection, '{"a": 1}')
            assert typed(await client.store.create_view("v")) == {"a": ("BIGINT", "")}
        connection.execute("BEGIN; CREATE TABLE mine (a INT)")  # it stays open
        assert typed(await Store(connection).create_view("v", event="a")) == {"a": ("BIGINT", "")}
        connection.execute("COMMIT")
        assert connection.execute("SELECT a FROM v").fetchall() == [(1,)]


async def test_it_follows_the_table(filled):
    properties_table(filled, of_one_event({"a": 1}))
    await Store(filled).create_view("v")
    properties_table(filled, of_one_event({"a": 2}, {"a": 3}))
    assert sorted(query(filled, "SELECT a FROM v")) == [(2,), (3,)]


async def test_a_fetch_does_not_take_its_name(filled):
    properties_table(filled, of_one_event({"a": 1}))
    await Store(filled).create_view("v")
    async with MixpanelClient(CREDENTIALS, database=filled, base_url="http://127.0.0.1:9") as client:
        for options, error in (({}, TableExistsError), ({"append": True}, StoreError), ({"resume": True}, StoreError)):
            with pytest.raises(error, match="'v'"):
                await client.fetch_events("v", from_date="2024-01-01", to_date="2024-01-02", parallel=True, **options)
    assert query(filled, "SELECT a FROM v") == [(1,)]


async def test_a_file_that_is_held_is_waited_for(filled):
    properties_table(filled, of_one_event({"a": 1}))
    with process_that_holds(filled, ", read_only=True") as process:  # it can be read, and not be written
        creating = asyncio.ensure_future(Store(filled).create_view("v"))
        await asyncio.wait({creating}, timeout=0.1)
        assert not creating.done()
        process.communicate()
    assert typed(await creating) == {"a": ("BIGINT", "")}


async def test_a_read_only_connection_is_an_error(filled):
    with (
        duckdb.connect(str(filled), read_only=True) as connection,
        pytest.raises(StoreError, match="is read-only: pass a connection that can write"),
    ):
        await Store(connection).create_view("v")


async def test_a_cancel_at_any_step_leaves_no_view_or_a_whole_one(filled):
    properties_table(filled, of_one_event({"a": 1}))
    steps, task = await run_and_cancel(Store(filled).create_view("v0"), set())
    assert isinstance(task.result(), ViewInfo)
    for step in range(1, steps + 1):
        _, task = await run_and_cancel(Store(filled).create_view(f"v{step}"), {step})
        assert others_can_write(filled)
        found = query(
            filled, f"SELECT starts_with(comment, 'mixpanel-async: ') FROM duckdb_views() WHERE view_name = 'v{step}'"
        )
        assert found == [(True,)] if not task.cancelled() else found in ([], [(True,)])


# Time zones


def moments(zone, day, step=15):
    """All times of a day's wall clock and the next one's, and what they are in UTC: of two, the later; of none, what
    the clock shows an hour (or how much it is set forward) later.
    """
    start = dt.datetime.combine(day, dt.time()) - dt.timedelta(hours=2)
    for minutes in range(0, 28 * 60, step):
        wall = start + dt.timedelta(minutes=minutes)
        first, second = (
            wall.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC).replace(tzinfo=None) for fold in (0, 1)
        )
        yield wall, max(first, second)


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("US/Pacific", ["2024-03-10", "2024-11-03", "2024-07-01", "2021-12-31"]),
        ("Europe/Berlin", ["2024-03-31", "2024-10-27"]),
        ("Australia/Lord_Howe", ["2024-04-07", "2024-10-06"]),
        ("Asia/Kathmandu", ["2024-03-31"]),
        ("UTC", ["2024-03-31"]),
    ],
)
async def test_the_wall_clock_becomes_utc(filled, name, days):
    right = dict(each for day in days for each in moments(zoneinfo.ZoneInfo(name), dt.date.fromisoformat(day)))
    properties_table(filled, [("a", wall, "{}") for wall in right])
    info = await Store(filled).create_view("v", timezone=name, properties={"a": "INT"})
    assert info.columns[2] == ViewColumn("event_time_utc", None, "TIMESTAMP", f"event_time, read as {name}")
    assert dict(query(filled, "SELECT event_time, event_time_utc FROM v")) == right
    with duckdb.connect(str(filled)) as connection:  # whatever the client's own zone is
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        assert dict(connection.execute("SELECT event_time, event_time_utc FROM v").fetchall()) == right


async def test_the_repeated_hour_is_the_second_and_the_skipped_one_is_an_hour_later(filled):
    properties_table(
        filled,
        [
            ("a", f"2024-{each}", "{}")
            for each in (
                "03-10 01:59:59",
                "03-10 02:30:00",
                "03-10 03:30:00",
                "11-03 00:59:59",
                "11-03 01:30:00",
                "11-03 02:00:00",
            )
        ],
    )
    await Store(filled).create_view("v", timezone="US/Pacific", properties={"a": "INT"})
    assert [each for (each,) in query(filled, "SELECT event_time_utc::VARCHAR FROM v ORDER BY event_time")] == [
        "2024-03-10 09:59:59", "2024-03-10 10:30:00", "2024-03-10 10:30:00",
        "2024-11-03 07:59:59", "2024-11-03 09:30:00", "2024-11-03 10:00:00",
    ]  # fmt: skip


# Results


async def test_it_prints_and_has_a_dict(filled):
    properties_table(filled, of_one_event({"$browser": "x", "mixed": 1, "": 1}, {"mixed": "x"}))
    info = await Store(filled).create_view("v")
    assert str(info).splitlines() == [
        "View v: 8 columns",
        "column       property     type       note",
        "event_name                VARCHAR",
        "event_time   time         TIMESTAMP",
        "distinct_id  distinct_id  VARCHAR",
        "insert_id    $insert_id   VARCHAR",
        "properties                JSON",
        '(empty)      ""           BIGINT     renamed',
        "$browser     $browser     VARCHAR",
        "mixed        mixed        VARCHAR    integer and string: numbers as written",
    ]
    assert json.loads(json.dumps(info.to_dict()))["columns"][-1] == {
        "name": "mixed", "property": "mixed", "type": "VARCHAR", "note": "integer and string: numbers as written",
    }  # fmt: skip
