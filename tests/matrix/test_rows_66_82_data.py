"""What is in the file's place, what is asked for and what comes: files, names, events, days, secrets."""

from __future__ import annotations

import asyncio
import base64
import copy
import dataclasses
import datetime as dt
import gzip
import json
import logging
import pickle
import sqlite3
import struct
import subprocess
import sys
import traceback
from collections import Counter

import duckdb
import pytest

from mixpanel_async import (
    DatabaseLockedError,
    MixpanelClient,
    MixpanelError,
    OAuthToken,
    ProjectSecret,
    RetryPolicy,
    ServiceAccount,
    StoreError,
    TableExistsError,
    Timeouts,
    clock,
)
from mixpanel_async.testing import FakeMixpanel, GivenEvents, Project
from tests.slices import few
from tests.system.conftest import UNHURRIED, expected, journal, stored

from .conftest import DAY, NOON, ONE_DAY, WHOLE, event, holds_the_day, query
from .raw import RawServer, fall_silent, hang_up, reset, with_length

# The file


async def test_row_66_a_file_that_another_process_holds_is_told_with_its_pid_and_nothing_is_asked(
    fake, client_of, path
):
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:  # noqa: ASYNC220
        assert await asyncio.to_thread(holder.stdout.readline) == b"held\n"
        with pytest.raises(DatabaseLockedError, match=rf"PID {holder.pid}\): close it there first"):
            await client_of(fake, lock_timeout=0).fetch_events(**ONE_DAY)
        holder.communicate(timeout=10)
    assert fake.requests == []

    await client_of(fake).fetch_events(**ONE_DAY)
    assert stored(path) == expected(fake, DAY, DAY)


def empty(path):
    path.touch()


def text(path):
    path.write_text("not a database\n" * 1000)


def short(path):
    path.write_bytes(b"DUCK")


def sqlite(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE events (a)")
    connection.close()


def newer(path):
    duckdb.connect(str(path)).close()
    with path.open("r+b") as file:
        file.seek(12)  # behind the checksum and the magic
        file.write(struct.pack("<Q", 9999))


@pytest.mark.parametrize("make", [empty, text, short, sqlite, newer])
async def test_row_68_a_file_that_is_no_database_of_this_duckdb_is_told_and_left_as_it_is(fake, client_of, path, make):
    make(path)
    before = path.read_bytes()

    with pytest.raises(StoreError, match=str(path)):
        await client_of(fake).fetch_events(**ONE_DAY)

    assert fake.requests == []
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# What is asked for

NO_NAMES = [
    *('events"; DROP TABLE x; --', 'a"b', "a'b", "a;b", "a--b", "a/*", "a b", "a.b", "a-b", "a\\b", "a\nb", "a%b"),
    *("", " ", "a\0", "\0", "1a", "a" * 64, "événements", "\uff41", "events ", "$a", '"events"'),
    *("_mixpanel_chunks", "_MIXPANEL_x", None, 7, b"events"),
]


async def test_row_72_what_is_no_table_name_is_refused_before_anything_is_done(fake, client_of, path):
    client = client_of(fake)
    for name in NO_NAMES:
        with pytest.raises(ValueError, match=r"cannot be a table's name|library's own"):
            await client.fetch_events(name, **ONE_DAY)
    assert fake.requests == []
    assert not path.exists()


async def test_row_72_what_is_one_is_quoted_and_the_same_name_in_any_case(fake, client_of, path):
    client, names = client_of(fake), ["Events", "select", "_", "a" * 63]
    for name in names:
        await client.fetch_events(name, **ONE_DAY)
        with pytest.raises(TableExistsError):
            await client.fetch_events(name.swapcase(), **ONE_DAY)
        assert (await client.fetch_events(name.upper(), **ONE_DAY, resume=True)).rows == 0
    assert len(fake.requests) == len(names)
    assert all(stored(path, f'"{name}"') == expected(fake, DAY, DAY) for name in names)


WHERE = """not (properties["ä&x=1"] == "O''Brien\\"; DROP TABLE events; --" and "\\u2028" in properties["%00"] + "\U0001f600")"""


async def test_row_73_where_reaches_mixpanel_word_for_word_and_no_sql(client_of, path):
    async with FakeMixpanel([event(1), event(2)], today="2026-06-01", limits=None) as server:
        client = client_of(server)
        await client.fetch_events(**ONE_DAY, where=WHERE)
        await client.fetch_events(**ONE_DAY, where=WHERE, resume=True)

    assert len(server.requests) == 1
    assert server.requests[0].params["where"] == WHERE
    assert set(server.requests[0].params) == {"from_date", "to_date", "time_in_ms", "where", "project_id"}
    holds_the_day(path, [event(1), event(2)])
    ((selection,),) = query(path, "SELECT selection FROM _mixpanel_selections")
    assert json.loads(selection)["where"] == WHERE


# What comes


def line(properties, *, name='"Opened"'):
    return f'{{"event":{name},"properties":{properties}}}'.encode()


def timed(time):
    return line(f'{{"time":{time},"x":1}}')


async def rows_and_rejected(client_of, path, *lines, **arguments):
    """Fetch these lines, with a good one before and behind; gives how many rows they made, and which were rejected."""
    body = b"\n".join([event(1), *lines, event(2)])
    async with RawServer(with_length(gzip.compress(body))) as server:
        result = await client_of(server).fetch_events(**ONE_DAY, **arguments)
        assert len(server.requests) == 1
    assert result.rows >= 2
    rejected = query(path, "SELECT from_date::VARCHAR, line_number, reason, line FROM _mixpanel_rejected ORDER BY 2")
    assert {day for day, *_ in rejected} <= {DAY}
    assert query(path, "SELECT sum(rows), sum(rejected) FROM _mixpanel_chunks") == [(result.rows, len(rejected))]
    return result.rows - 2, [tuple(row) for _, *row in rejected]


async def test_row_74_one_insert_id_is_no_key_by_itself(client_of, path):
    same = [event(7), event(7, name="Closed"), event(7, time=NOON + 1), event(7).replace(b"user 0", b"user 1")]
    rows, _ = await rows_and_rejected(client_of, path, *same, event(7))
    assert rows == 4
    assert stored(path) == Counter([*same, event(1), event(2)])


async def test_row_75_ids_are_a_text_or_null_and_never_made_up(client_of, path):
    given = {
        "{}": (None, None),
        '"distinct_id":null,"$insert_id":null': (None, None),
        '"distinct_id":5,"$insert_id":60': ("5", "60"),
        '"distinct_id":"","$insert_id":""': ("", ""),
        '"distinct_id":true': ("true", None),
    }
    lines = [line(f'{{"time":{NOON},{ids},"n":{n}}}'.replace("{},", "")) for n, ids in enumerate(given)]
    rows, rejected = await rows_and_rejected(client_of, path, *lines)
    assert (rows, rejected) == (len(given), [])
    ids = query(
        path,
        "SELECT distinct_id, insert_id FROM events WHERE json_exists(properties, '$.n') ORDER BY json_value(properties, '$.n')",
    )
    assert ids == list(given.values())


async def test_row_75_rows_without_an_insert_id_are_all_kept(client_of, path):
    rows, _ = await rows_and_rejected(client_of, path, *[timed(NOON)] * 3)
    assert rows == 3


BAD_TIMES = [
    '"soon"',
    "1767268800000000",
    "1e18",
    "NaN",
    "-62135596801",
    "253402300799.9999999",
    "253402300800000",
    "null",
    "true",
    "[1]",
    '"NaN"',
    "1e400",
]


async def test_row_76_a_time_that_is_none_costs_its_line_alone(client_of, path):
    bad = [timed(time) for time in BAD_TIMES] + [line('{"x":1}')]
    rows, rejected = await rows_and_rejected(client_of, path, *bad)
    assert rows == 0
    assert [(number, kept) for number, _, kept in rejected] == list(enumerate(bad, start=2))
    assert all("time" in reason or "NaN" in reason for _, reason, _ in rejected)


async def test_row_76_a_time_in_the_years_1_to_9999_is_one(client_of, path):
    good = [
        timed(time)
        for time in ("-1", "0", '"1767268800"', "1767268800.5", "253402300799", "1767268800123", "253402300799999")
    ]
    rows, rejected = await rows_and_rejected(client_of, path, *good)
    assert (rows, rejected) == (len(good), [])


async def test_row_77_what_has_no_name_or_no_properties_is_no_event(client_of, path):
    good = f'{{"time":{NOON}}}'
    bad = [line(good, name=name) for name in ("null", "7", "[]", "{}")]
    bad += [line(properties) for properties in ("null", "[]", '"text"', "7")]
    bad += [f'{{"properties":{good}}}'.encode(), b'{"event":"Opened"}', b"[]", b"null", b"7", b'"text"']
    rows, rejected = await rows_and_rejected(client_of, path, *bad)
    assert rows == 0
    assert [(number, kept) for number, _, kept in rejected] == list(enumerate(bad, start=2))


def having(more):
    return line(f'{{"time":{NOON},{more}}}')


REJECTED = {
    "NaN": having('"x":NaN'),
    "infinite": having('"x":-Infinity'),
    "bad UTF-8": having('"x":"?"').replace(b"?", b"\xff\xfe"),
    "Latin-1": having('"x":"?"').replace(b"?", b"caf\xe9"),
    "UTF-16": having('"x":1').decode().encode("utf-16"),
    "a comma too many": having('"x":1,'),
}


async def test_row_78_what_is_no_json_is_kept_word_for_word_beside_the_table(client_of, path):
    rows, rejected = await rows_and_rejected(client_of, path, *REJECTED.values())
    assert rows == 0
    assert [(number, kept) for number, _, kept in rejected] == list(enumerate(REJECTED.values(), start=2))


STORED = {
    "a lone surrogate": (having(r'"x":"\ud800"'), having(r'"x":"\ufffd"')),
    "CRLF": (having('"x":1') + b"\r", having('"x":1')),
    "repeated names": (having('"x":1,"x":2'), None),
    "a big integer": (having('"x":' + "9" * 5000), None),
    "a big exponent": (having('"x":1e400'), None),
    "a small difference": (having('"x":0.1000000000000000055511151231257827'), None),
    "a nul": (having(r'"x":"a\u0000b"'), None),
}


async def test_row_78_what_is_json_is_stored_as_it_came(client_of, path):
    rows, rejected = await rows_and_rejected(client_of, path, *(sent for sent, _ in STORED.values()))
    assert (rows, rejected) == (len(STORED), [])
    properties = {text.encode() for (text,) in query(path, "SELECT properties FROM events")}
    for sent, kept in STORED.values():
        assert (kept or sent).removeprefix(b'{"event":"Opened","properties":')[:-1] in properties


async def test_row_78_depth_is_no_fault_where_duckdb_reads_it(client_of, path):
    deep = [having('"x":' + "[" * 100_000 + "]" * 100_000), having('"x":' + '{"x":' * 100_000 + "1" + "}" * 100_000)]
    rows, rejected = await rows_and_rejected(client_of, path, *deep)
    assert (rows, rejected) == (2, [])
    assert query(path, "SELECT count(*) FROM events WHERE length(properties->>'x') >= 200000") == [(2,)]


async def test_row_78_a_byte_order_mark_and_blank_lines_are_no_lines(client_of, path):
    body = b"\xef\xbb\xbf" + b"\n\n" + event(1) + b"\r\n \n\t\n" + event(2) + b"\n\n\n"
    async with RawServer(with_length(body, encoding=None), with_length(b"\xef\xbb\xbf" + event(3))) as server:
        client = client_of(server)
        await client.fetch_events(**ONE_DAY)
        holds_the_day(path, [event(1), event(2)])
        await client.fetch_events("marked", **ONE_DAY)
    assert stored(path, "marked") == Counter([event(3)])
    assert query(path, "SELECT * FROM _mixpanel_rejected") == []


async def test_row_79_only_a_newline_ends_a_line(client_of, path):
    signs = ["\u2028", "\u2029", "\u0085", "\u00a0", "\ufeff"]
    lines = [having(f'"x":"a{sign}b"') for sign in signs]
    rows, rejected = await rows_and_rejected(client_of, path, *lines)
    assert (rows, rejected) == (len(signs), [])
    assert {(f"a{sign}b",) for sign in signs} <= set(query(path, "SELECT properties->>'x' FROM events"))


# Days


@pytest.mark.parametrize("chunk_days", [*few(range(1, 8), 3), None], ids=lambda days: f"{days or 'all'} days")
async def test_row_80_the_first_and_the_last_millisecond_of_a_day_are_there_once(client_of, path, chunk_days):
    days = [dt.datetime(2026, 2, 26, tzinfo=dt.UTC) + dt.timedelta(days=n) for n in range(7)]
    times = [int(day.timestamp()) * 1000 + ms for day in days for ms in (0, 1, 86_399_998, 86_399_999)]
    lines = [event(number, time=time) for number, time in enumerate(times)]
    outside = [event(100, time=times[0] - 1), event(101, time=times[-1] + 1)]
    how = {"parallel": True, "chunk_days": chunk_days} if chunk_days else {}
    async with FakeMixpanel(GivenEvents([*lines, *outside]), today="2026-06-01", limits=None) as server:
        await client_of(server).fetch_events(from_date="2026-02-26", to_date="2026-03-04", deduplicate=False, **how)

    assert stored(path) == Counter(lines)
    assert sum(chunk[2] for chunk in journal(path)) == len(lines)


@pytest.mark.parametrize(
    ("now", "over"),
    [
        ("2026-01-05T11:59:59", "2026-01-03"),
        ("2026-01-05T12:00:00", "2026-01-04"),
        ("2026-01-05T23:59:59", "2026-01-04"),
    ],
)
async def test_row_81_a_day_is_final_when_it_is_over_everywhere_on_earth(fake, client_of, path, monkeypatch, now, over):
    moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    fake.clock.now = moment
    monkeypatch.setattr(clock, "utc_now", lambda: fake.clock.now)
    range_ = {"from_date": DAY, "to_date": "2026-01-05", "parallel": True, "chunk_days": 2}
    client = client_of(fake, credentials=ProjectSecret(fake.project.api_secret))  # whose time zone is not known
    await client.fetch_events(**range_)
    assert query(path, "SELECT max(to_date)::VARCHAR FROM _mixpanel_chunks WHERE final") == [(over,)]

    fake.forget_requests()
    fake.clock.now = "2026-06-01"
    await client.fetch_events(**range_, resume=True)

    assert min(request.from_date for request in fake.requests) == str(
        dt.date.fromisoformat(over) + dt.timedelta(days=1)
    )
    assert stored(path) == expected(fake, DAY, "2026-01-05")
    assert query(path, "SELECT bool_and(final) FROM _mixpanel_chunks") == [(True,)]


async def test_row_81_a_tomorrow_that_is_today_in_the_projects_time_zone_is_given_and_not_final(client_of, path):
    tomorrow = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=14)).date()
    east = Project(timezone="Pacific/Kiritimati", created=dt.date(2020, 1, 1))
    async with FakeMixpanel(GivenEvents(), projects=[east], limits=None) as server:
        server.clock.now = dt.datetime.now(dt.UTC)
        client = client_of(server)
        await client.fetch_events(from_date=tomorrow, to_date=tomorrow)
        with pytest.raises(ValueError, match="has not begun"):
            await client.fetch_events("later", from_date=tomorrow, to_date=tomorrow + dt.timedelta(days=2))
    assert query(path, "SELECT final FROM _mixpanel_chunks") == [(False,)]


# Secrets

SECRET = "hunter2-in-all-the-places"
KINDS = {
    "service account": ServiceAccount("someone", SECRET, 12345),
    "project secret": ProjectSecret(SECRET),
    "token": OAuthToken(SECRET, 12345),
}
SEARCHED = (
    SECRET,
    base64.b64encode(f"someone:{SECRET}".encode()).decode(),
    base64.b64encode(f"{SECRET}:".encode()).decode(),
    base64.b64encode(SECRET.encode()).decode().rstrip("="),
)


def assert_no_secret(*shown):
    for text in shown:
        found = [
            secret
            for secret in SEARCHED
            if secret.encode() in (text if isinstance(text, bytes) else str(text).encode())
        ]
        assert found == []


@pytest.mark.parametrize("credentials", KINDS.values(), ids=KINDS)
def test_row_82_no_way_of_showing_credentials_shows_the_secret(credentials):
    shown = [
        repr(credentials),
        str(credentials),
        f"{credentials}",
        f"{credentials!r:>500}",
        repr(copy.deepcopy(credentials)),
    ]
    shown += [dataclasses.asdict(credentials), dataclasses.astuple(credentials), repr([credentials])]
    client = MixpanelClient(credentials)
    shown += [repr(client), vars(client)]
    assert_no_secret(*shown)
    for refused in (pickle.dumps, lambda value: json.dumps(dataclasses.asdict(value))):
        with pytest.raises(TypeError) as error:
            refused(credentials)
        assert_no_secret(repr(error.value))


TROUBLE = [
    with_length(b'{"error":"no"}', encoding=None, status="401 Unauthorized"),
    with_length(b'{"error":"no"}', encoding=None, status="400 Bad Request"),
    with_length(b"", status="302 Found", lines=["Location: http://127.0.0.1:1/"]),
    (reset,),
    (hang_up,),
    (b"\x16\x03\x01 no HTTP\r\n\r\n", hang_up),
    (b"HTTP/1.1 200 OK\r\nContent-", hang_up),
    (with_length(b"\x1f\x8b", 100), hang_up),
    (with_length(b"\x1f\x8b", 100), fall_silent),
    (fall_silent,),
    WHOLE,
]


@pytest.mark.parametrize("kind", few(KINDS, 1))
async def test_row_82_no_log_error_traceback_hook_or_file_has_the_secret(path, caplog, kind):
    credentials = KINDS[kind]
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    heard = []

    async with RawServer(*TROUBLE) as server:
        settings = {"base_url": server.url, "limits": UNHURRIED, "retry": RetryPolicy(attempts=1)}
        impatient = Timeouts(first_byte=0.5, idle=0.5)
        async with MixpanelClient(credentials, database=path, timeouts=impatient, **settings) as client:
            said = [await ending(client, heard) for _ in TROUBLE]

    sent = {request.headers["authorization"] for request in server.requests}
    assert len(server.requests) == len(TROUBLE)
    assert [secret for secret in SEARCHED if secret in "".join(sent)] != []
    assert [ended.startswith("Traceback") for ended in said] == [True] * (len(TROUBLE) - 1) + [False]
    assert_no_secret(caplog.text, *(repr(vars(record)) for record in caplog.records))
    assert_no_secret(*said, *map(repr, heard))
    assert_no_secret(*(file.read_bytes() for file in path.parent.iterdir()))


async def ending(client, heard):
    """How a fetch ends: its result, or its error with all frames and their variables."""
    try:
        result = await client.fetch_events(**ONE_DAY, on_batch_complete=heard.append)
    except MixpanelError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join((*shown.format(), repr(error), repr(vars(error)), repr(error.args)))
    return f"{result!r} {result.to_dict()}"


def test_row_82_the_command_line_takes_no_secret_as_an_argument():
    for option in ("--secret", "--token", "--oauth-token", "--password", "--project-secret"):
        command = [sys.executable, "-m", "mixpanel_async", "sync", "events", option, SECRET]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        assert ended.returncode == 2
        assert "No such option" in ended.stderr
        assert SECRET not in ended.stderr
