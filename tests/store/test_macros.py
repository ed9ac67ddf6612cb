"""The SQL macros: they live in the file, any DuckDB client can call them, and they count what docs/sql.md says."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_async import DatabaseLockedError, MixpanelClient, ServiceAccount, Store, StoreError, holding
from mixpanel_async.duck.macros import MACROS, create_macros
from mixpanel_async.duck.schema import EVENTS_COLUMNS, Schema
from tests.cancellation.stepping import run_and_cancel
from tests.slices import few

from .conftest import ROWS, is_free, others_can_write, process_that_holds

NAMES = ("mixpanel_sessions", "mixpanel_funnel", "mixpanel_retention")
SESSIONS = "SELECT count(*), sum(events) FROM mixpanel_sessions('events')"
START = dt.datetime(2024, 1, 1)  # noqa: DTZ001 - as the tables have times; a Monday
MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)


def at(text):
    """A time of 2024-01-01, or of another day of that January: `2 10:00`."""
    day, _, clock = text.rpartition(" ")
    return dt.datetime.fromisoformat(f"2024-01-{int(day or 1):02} {clock}")


def fill(connection, events):
    """Make a table of events: (distinct_id, event_name, event_time) each."""
    connection.execute(f"CREATE OR REPLACE TABLE events {EVENTS_COLUMNS}")
    columns = [[event[column] for event in events] for column in (1, 2, 0)]
    lists = "unnest(?::VARCHAR[]), unnest(?::TIMESTAMP[]), unnest(?::VARCHAR[])"
    connection.execute(f"INSERT INTO events SELECT {lists}, NULL, '{{}}'", columns)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as made:
        create_macros(made, Schema("memory", "main"))
        made.execute("SET threads = 1")
        yield made


def command_line(path, *statements):
    """The rows of the last statement, by DuckDB's command line of last year."""
    command = shutil.which("duckdb", path=str(Path(sys.executable).parent))
    assert command is not None, "the package duckdb-cli is in the extra `test`"
    ended = subprocess.run([command, "-json", *path, ";".join(statements)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


# Where they are


async def test_they_live_in_the_file_and_any_client_can_call_them(filled):
    assert await Store(filled).create_macros() == NAMES
    with duckdb.connect(str(filled), read_only=True) as connection:
        assert connection.execute(SESSIONS).fetchall() == [(2, ROWS)]
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{filled}' AS other (READ_ONLY)")
        query = "SELECT sum(events) FROM other.mixpanel_sessions('other.events', timeout := '7 days')"
        assert connection.execute(query).fetchall() == [(ROWS,)]
        connection.execute("USE other")
        assert connection.execute(SESSIONS).fetchall() == [(2, ROWS)]


async def test_the_command_line_of_duckdb_1_5_can_call_them(filled):
    await Store(filled).create_macros()
    query = "SELECT count(*) AS sessions, sum(events)::INT AS events FROM mixpanel_sessions('events')"
    expected = [{"sessions": 2, "events": ROWS}]
    assert command_line(("-readonly", str(filled)), query) == expected
    attach = f"ATTACH '{filled}' AS other (READ_ONLY)"
    query = query.replace("mixpanel_sessions('", "other.mixpanel_sessions('other.")
    assert command_line((":memory:",), attach, query) == expected


async def test_creating_them_again_changes_nothing_else(filled):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE MACRO mine(a) AS a + 1")
        connection.execute("CREATE MACRO mixpanel_sessions(a) AS TABLE SELECT a")  # as of an earlier version
    assert await Store(filled).create_macros() == await Store(filled).create_macros() == NAMES
    assert is_free(filled)
    with duckdb.connect(str(filled)) as connection:
        assert connection.execute(SESSIONS).fetchall() == [(2, ROWS)]
        assert connection.execute("SELECT mine(1)").fetchall() == [(2,)]
        found = connection.execute("SELECT function_name FROM duckdb_functions() WHERE NOT internal").fetchall()
        assert sorted(found) == sorted((name,) for name in (*NAMES, "mine"))


async def test_they_read_views_and_other_schemas(filled):
    await Store(filled).create_macros()
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE SCHEMA other; CREATE VIEW other.few AS FROM events LIMIT 1")
        query = "SELECT sum(events) FROM mixpanel_sessions('other.few')"
        assert connection.execute(query).fetchall() == [(1,)]


def test_a_table_may_have_any_name_that_a_macro_uses_itself(connection):
    fill(connection, [("u", "A", START), ("u", "A", START + MINUTE)])
    names = {name for body in MACROS.values() for name in re.findall(r"\b([a-z]+) AS (?:MATERIALIZED )?\(", body)}
    assert len(names) > 10
    for name in (*names, "here", "later", "_mixpanel", "table"):
        connection.execute(f'CREATE TABLE "{name}" AS FROM events')
        for call in (f"sessions('{name}')", f"funnel('{name}', ['A', 'A'])", f"retention('{name}', 'A', 'A')"):
            found = connection.execute(f"FROM mixpanel_{call}").fetchall()
            assert found == connection.execute(f"FROM mixpanel_{call.replace(name, 'events', 1)}").fetchall()
        (last,) = connection.execute(f"SELECT max(users) FROM mixpanel_funnel('{name}', ['A', 'A'])").fetchall()
        assert last == (1,)
        connection.execute(f'DROP TABLE "{name}"')


async def test_a_callers_connection(filled):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE SCHEMA other; USE other")
        assert await Store(connection).create_macros() == NAMES
        query = "SELECT count(*) FROM main.mixpanel_sessions('main.events')"
        assert connection.execute(query).fetchall() == [(2,)]  # in its default schema, whatever it uses
    assert is_free(filled)
    with (
        duckdb.connect(str(filled), read_only=True) as connection,
        pytest.raises(StoreError, match="is read-only: pass a connection that can write"),
    ):
        await Store(connection).create_macros()


async def test_a_client(filled):
    credentials = ServiceAccount("user", "secret", 1)
    async with MixpanelClient(credentials, database=filled) as client:
        assert await asyncio.gather(*(client.store.create_macros() for _ in range(3))) == [NAMES] * 3
        assert is_free(filled)
    async with MixpanelClient(credentials, database=":memory:") as client:
        assert await client.store.create_macros() == NAMES
    with pytest.raises(RuntimeError, match="closed"):
        await client.store.create_macros()


async def test_a_missing_file_is_not_created(path):
    with pytest.raises(StoreError, match=r"There is no database .*: fetch into it first"):
        await Store(path).create_macros()
    assert list(path.parent.iterdir()) == []


async def test_a_file_that_is_held_is_waited_for(filled):
    with process_that_holds(filled) as process:
        with pytest.raises(DatabaseLockedError, match="is held by"):
            await Store(filled, lock_timeout=0).create_macros()
        creating = asyncio.ensure_future(Store(filled, lock_timeout=30).create_macros())
        await asyncio.to_thread(process.communicate)
        assert await creating == NAMES
    assert others_can_write(filled)


@pytest.mark.parametrize("of_client", [True, False])
async def test_a_cancel_at_any_step_creates_all_or_none(filled, of_client):
    async with MixpanelClient(ServiceAccount("user", "secret", 1), database=filled) as client:
        store = client.store if of_client else Store(filled)
        steps, task = await run_and_cancel(store.create_macros(), set())
        assert task.result() == NAMES
        for step in few(range(1, steps + 1), 10):
            with duckdb.connect(str(filled)) as connection:
                for name in NAMES:
                    connection.execute(f"DROP MACRO TABLE IF EXISTS {name}")
            await run_and_cancel(store.create_macros(), {step})
            with duckdb.connect(str(filled)) as connection:
                query = "SELECT count(*) FROM duckdb_functions() WHERE NOT internal"
                assert connection.execute(query).fetchall() in ([(0,)], [(len(NAMES),)])
    assert others_can_write(filled)


async def test_a_cancel_ends_the_wait_for_a_file(filled, monkeypatch):
    waits = asyncio.Event()
    monkeypatch.setattr(holding, "announce_wait", lambda _: waits.set())
    with process_that_holds(filled):
        creating = asyncio.ensure_future(Store(filled).create_macros())
        await waits.wait()
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("mixpanel_sessions('events', -INTERVAL 1 SECOND)", "timeout must be an interval of 0 or more"),
        ("mixpanel_sessions('events', NULL)", "timeout must be an interval of 0 or more"),
        ("mixpanel_funnel('events', [])", "steps must be a list of names of events"),
        ("mixpanel_funnel('events', NULL)", "steps must be a list of names of events"),
        ("mixpanel_funnel('events', ['A', NULL])", "steps must be a list of names of events"),
        ("mixpanel_funnel('events', ['A'], -INTERVAL 1 SECOND)", "within must be an interval of 0 or more"),
        ("mixpanel_retention('events', 'A', 'A', unit := 'month')", "unit must be 'day' or 'week'"),
        ("mixpanel_retention('events', 'A', 'A', unit := NULL)", "unit must be 'day' or 'week'"),
        ("mixpanel_sessions('others')", "Table with name others does not exist"),
    ],
)
def test_a_wrong_argument_says_what_to_change(connection, call, message):
    fill(connection, [("u", "A", START)])
    with pytest.raises(duckdb.Error, match=message):
        connection.execute(f"FROM {call}")


# Counted by hand


def test_sessions_by_hand(connection):
    fill(
        connection,
        [
            ("a", "x", at("10:00")), ("a", "y", at("10:30")), ("a", "x", at("11:00:00.001")),  # 30 minutes, and 1 ms more
            ("a", "x", at("2 23:50")), ("a", "x", at("3 00:10")), ("a", "y", at("3 00:10")),  # midnight ends none
            ("b", "x", at("10:00")),
            (None, "x", at("10:00")), ("", "x", at("10:00")),  # of no user
        ],
    )  # fmt: skip
    assert connection.execute("FROM mixpanel_sessions('events')").fetchall() == [
        ("a", 1, at("10:00"), at("10:30"), 2, 30 * MINUTE),
        ("a", 2, at("11:00:00.001"), at("11:00:00.001"), 1, 0 * MINUTE),
        ("a", 3, at("2 23:50"), at("3 00:10"), 3, 20 * MINUTE),
        ("b", 1, at("10:00"), at("10:00"), 1, 0 * MINUTE),
    ]
    described = connection.execute("DESCRIBE FROM mixpanel_sessions('events')").fetchall()
    assert [row[:2] for row in described] == [
        ("distinct_id", "VARCHAR"), ("session", "BIGINT"), ("first_time", "TIMESTAMP"), ("last_time", "TIMESTAMP"),
        ("events", "BIGINT"), ("duration", "INTERVAL"),
    ]  # fmt: skip


def test_a_funnel_by_hand(connection):
    fill(
        connection,
        [
            ("a", "A", at("10:00")), ("a", "x", at("10:01")), ("a", "B", at("10:10")), ("a", "C", at("10:20")),
            ("b", "B", at("09:59:59.999")), ("b", "A", at("10:00")),  # B a millisecond before A
            ("c", "A", at("10:00")), ("c", "C", at("10:00")), ("c", "B", at("10:00")),  # all in the same millisecond
            ("d", "A", at("10:00")), ("d", "B", at("10:30")), ("d", "C", at("11:00:00.001")),  # C is too late
            ("e", "A", at("10:00")), ("e", "A", at("13:00")), ("e", "B", at("13:10")),  # the second attempt
            ("f", "B", at("10:00")), ("f", "C", at("10:01")),  # no A
            ("", "A", at("10:00")), (None, "A", at("10:00")),
        ],
    )  # fmt: skip
    query = "FROM mixpanel_funnel('events', ['A', 'B', 'C'], within := INTERVAL 1 HOUR)"
    assert connection.execute(query).fetchall() == [
        (1, "A", 5, 1.0, 1.0, 0 * MINUTE),
        (2, "B", 4, 0.8, 0.8, 10 * MINUTE),  # 10, 0, 30 and 10 minutes
        (3, "C", 2, 0.4, 0.5, 10 * MINUTE),  # 20 and 0
    ]
    described = connection.execute(f"DESCRIBE {query}").fetchall()
    assert [row[:2] for row in described] == [
        ("step", "BIGINT"), ("event", "VARCHAR"), ("users", "BIGINT"), ("share_of_first", "DOUBLE"),
        ("share_of_previous", "DOUBLE"), ("median_time", "INTERVAL"),
    ]  # fmt: skip


def test_a_funnel_with_a_step_that_repeats_by_hand(connection):
    fill(
        connection,
        [
            ("a", "A", at("10:00")), ("a", "B", at("10:00")), ("a", "A", at("10:00")),
            ("b", "A", at("10:00")), ("b", "B", at("10:00")),  # one A is not two
            ("c", "A", at("10:00")), ("c", "B", at("10:00")), ("c", "A", at("10:04")),
        ],
    )  # fmt: skip
    assert connection.execute("FROM mixpanel_funnel('events', ['A', 'B', 'A'])").fetchall() == [
        (1, "A", 3, 1.0, 1.0, 0 * MINUTE),
        (2, "B", 3, 1.0, 1.0, 0 * MINUTE),
        (3, "A", 2, 2 / 3, 2 / 3, 2 * MINUTE),
    ]


def test_a_funnel_that_nobody_enters(connection):
    fill(connection, [("a", "B", START)])
    assert connection.execute("FROM mixpanel_funnel('events', ['A', 'B'])").fetchall() == [
        (1, "A", 0, None, None, None), (2, "B", 0, None, None, None),
    ]  # fmt: skip


RETURNS = [
    ("a", "S", at("1 10:00")), ("a", "V", at("1 09:00")), ("a", "V", at("2 00:00")), ("a", "V", at("2 12:00")),
    ("b", "S", at("1 23:59")), ("b", "S", at("2 08:00")), ("b", "V", at("1 23:59")), ("b", "V", at("8 00:00")),
    ("c", "S", at("7 10:00")), ("c", "V", at("8 10:00")),
    ("d", "V", at("3 10:00")), ("", "S", at("1 10:00")), (None, "S", at("1 10:00")),
]  # fmt: skip


def test_retention_by_day_by_hand(connection):
    fill(connection, RETURNS)
    query = "FROM mixpanel_retention('events', 'S', 'V')"
    found = connection.execute(query).fetchall()
    # a: V before S does not count, V on the next day does, once. b: V in the same millisecond counts; the second S
    # begins nothing.
    first, second = at("1 00:00").date(), at("7 00:00").date()
    returned = {(first, 0): 1, (first, 1): 1, (first, 7): 1, (second, 1): 1}
    assert found == [
        (cohort, size, number, returned.get((cohort, number), 0), returned.get((cohort, number), 0) / size)
        for cohort, size, numbers in ((first, 2, 8), (second, 1, 2))
        for number in range(numbers)
    ]
    assert [row[:2] for row in connection.execute(f"DESCRIBE {query}").fetchall()] == [
        ("cohort", "DATE"), ("size", "BIGINT"), ("number", "BIGINT"), ("users", "BIGINT"), ("share", "DOUBLE"),
    ]  # fmt: skip


def test_retention_by_week_begins_on_monday(connection):
    fill(connection, RETURNS)
    monday = at("1 00:00").date()
    assert connection.execute("FROM mixpanel_retention('events', 'S', 'V', unit := 'week')").fetchall() == [
        (monday, 3, 0, 2, 2 / 3),  # a and b
        (monday, 3, 1, 2, 2 / 3),  # b and c, who came on Sunday the 7th
    ]


def test_retention_of_one_event_and_of_any(connection):
    fill(connection, [("a", "S", at("1 10:00")), ("a", "S", at("2 10:00")), ("b", "S", at("1 10:00"))])
    monday = at("1 00:00").date()
    expected = [(monday, 2, 0, 0, 0.0), (monday, 2, 1, 1, 0.5)]
    for names in ("'S', 'S'", "NULL, 'S'", "'S', NULL", "NULL, NULL"):
        assert connection.execute(f"FROM mixpanel_retention('events', {names})").fetchall() == expected


# Beside other counts

SECONDS = [0, 1, 2, 60, 61, 120]
events_of_users = st.lists(
    st.tuples(
        st.sampled_from(["u", "v", "w", None, ""]),
        st.sampled_from("ABC"),
        st.sampled_from(SECONDS).map(lambda seconds: START + dt.timedelta(seconds=seconds)),
    ),
    max_size=14,
)


def by_user(events):
    found = defaultdict(list)
    for user, name, time in events:
        if user:
            found[user].append((time, name))
    return found


def chains(events, steps, within, used=()):
    """Every attempt there can be: the events of the first steps, each used once, none before the one before."""
    yield used
    if len(used) < len(steps):
        for index, (time, name) in enumerate(events):
            is_in_order = not used or events[used[-1]][0] <= time <= events[used[0]][0] + within
            if name == steps[len(used)] and index not in used and is_in_order:
                yield from chains(events, steps, within, (*used, index))


def funnel(events, steps, within):
    """The rows of a funnel, from all chains of each user."""
    attempts = []
    for his in by_user(events).values():
        times = [[his[index][0] for index in chain] for chain in chains(his, steps, within)]
        attempts.append(min(times, key=lambda each: (-len(each), each)))
    users = [sum(len(attempt) > step for attempt in attempts) for step in range(len(steps))]
    for step, name in enumerate(steps):
        taken = [attempt[step] - attempt[0] for attempt in attempts if len(attempt) > step]
        shares = [users[step] / of if of else None for of in (users[0], users[max(step - 1, 0)])]
        yield (step + 1, name, users[step], *shares, median(taken) if taken else None)


@given(events_of_users, st.lists(st.sampled_from("ABC"), min_size=1, max_size=4), st.sampled_from([0, 1, 60, 119, 500]))
def test_a_funnel_beside_all_chains(connection, events, steps, seconds):
    fill(connection, events)
    found = connection.execute("FROM mixpanel_funnel('events', $1, to_seconds($2))", [steps, seconds]).fetchall()
    assert found == list(funnel(events, steps, dt.timedelta(seconds=seconds)))


def test_funnels_of_many_users_in_the_command_line_of_duckdb_1_5(path):
    rng = random.Random(5)
    events = [
        (f"u{user}", rng.choice("ABC"), START + dt.timedelta(seconds=rng.choice(SECONDS)))
        for user in range(200)
        for _ in range(rng.randrange(1, 9))
    ]
    with duckdb.connect(str(path), config={"storage_compatibility_version": "v1.5.0"}) as connection:
        fill(connection, events)
        create_macros(connection, Schema(path.stem, "main"))
    query = "SELECT * REPLACE (epoch(median_time) AS median_time) FROM mixpanel_funnel('events', {}, INTERVAL 1 MINUTE)"
    for steps in (["A", "B", "A"], ["C", "C", "B", "A"]):
        expected = [[*row[:-1], row[-1].total_seconds()] for row in funnel(events, steps, MINUTE)]
        assert all(row[2] for row in expected)
        assert [list(row.values()) for row in command_line((str(path),), query.format(steps))] == expected


@given(events_of_users, st.sampled_from([0, 1, 58, 59, 60, 500]))
def test_sessions_beside_a_walk(connection, events, seconds):
    fill(connection, events)
    expected = []
    for user, his in sorted(by_user(events).items()):
        times = sorted(time for time, _ in his)
        cuts = [
            0,
            *(i for i in range(1, len(times)) if (times[i] - times[i - 1]).total_seconds() > seconds),
            len(times),
        ]
        for number in range(1, len(cuts)):
            part = times[cuts[number - 1] : cuts[number]]
            expected.append((user, number, part[0], part[-1], len(part), part[-1] - part[0]))
    found = connection.execute("FROM mixpanel_sessions('events', timeout := to_seconds($1))", [seconds]).fetchall()
    assert found == expected


days_of_users = st.lists(
    st.tuples(
        st.sampled_from(["u", "v", "w", "x", None]),
        st.sampled_from("AB"),
        st.integers(0, 45).map(lambda half: START + half * DAY / 2),
    ),
    max_size=14,
)


@given(days_of_users, st.sampled_from(["A", None]), st.sampled_from(["A", "B", None]), st.sampled_from(["day", "week"]))
def test_retention_beside_a_count(connection, events, first, again, unit):
    fill(connection, events)
    length = {"day": 1, "week": 7}[unit]

    def unit_of(time):
        return (time - START).days // length  # which is a Monday

    last = max((unit_of(time) for user, _, time in events if user), default=0)
    size, returned = defaultdict(int), defaultdict(set)
    for user, his in by_user(events).items():
        starts = [each for each in his if first in (None, each[1])]
        if not starts:
            continue
        # the one that begins, of its millisecond one that is no return, is left out of the returns
        begin = min(starts, key=lambda each: (each[0], again in (None, each[1])))
        rest = list(his)
        rest.remove(begin)
        cohort = unit_of(begin[0])
        size[cohort] += 1
        for time, name in rest:
            if time >= begin[0] and again in (None, name):
                returned[cohort, unit_of(time) - cohort].add(user)
    expected = [
        (
            (START + cohort * length * DAY).date(),
            size[cohort],
            number,
            len(returned[cohort, number]),
            len(returned[cohort, number]) / size[cohort],
        )
        for cohort in sorted(size)
        for number in range(last - cohort + 1)
    ]
    query = f"FROM mixpanel_retention('events', $1, $2, unit := '{unit}')"
    assert connection.execute(query, [first, again]).fetchall() == expected
