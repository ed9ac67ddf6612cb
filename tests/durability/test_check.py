"""The checker has teeth: each way to break the promise by hand is found."""

from __future__ import annotations

import asyncio
import datetime as dt
import json

import duckdb
import pytest

from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount
from mixpanel_async.testing import FakeMixpanel

from .check import FIRST, NOW, Generations, Promise, content

LAST = FIRST + dt.timedelta(days=5)
SECOND = "event_time >= DATE '2026-01-02' AND event_time < DATE '2026-01-03'"
UNDERSTATE = "UPDATE _mixpanel_chunks SET rows = (SELECT count(*) FROM events WHERE event_time >= from_date AND event_time < to_date + 1)"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A file of six days in three chunks, as it must be."""
    path = tmp_path_factory.mktemp("filled") / "events.duckdb"

    async def fill():
        async with FakeMixpanel(Generations(), today=NOW.date(), limits=None) as fake:
            account = fake.project.service_account
            async with MixpanelClient(
                ServiceAccount(account.username, account.secret, fake.project.id),
                database=path,
                base_url=fake.url,
                limits=RateLimits(10_000, 1_000_000),
            ) as client:
                await client.fetch_events(from_date=FIRST, to_date=LAST, parallel=True, chunk_days=2)

    asyncio.run(fill())
    return path.read_bytes()


@pytest.fixture
def promise(filled, tmp_path):
    path = tmp_path / "events.duckdb"
    path.write_bytes(filled)
    kept = Promise(path)
    kept.acknowledge(str(FIRST), str(LAST), 0)
    return kept


def test_a_file_as_it_must_be(promise):
    assert promise.broken(all_of=(FIRST, LAST)) == []


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ([f"DELETE FROM events WHERE {SECOND} AND rowid % 7 = 0"], "2026-01-01 to 2026-01-02: the journal says"),
        ([f"DELETE FROM events WHERE {SECOND} AND rowid % 7 = 0", UNDERSTATE], "not the whole of one generation"),
        ([f"INSERT INTO events FROM events WHERE {SECOND} LIMIT 1", UNDERSTATE], "not the whole of one generation"),
        (["DELETE FROM _mixpanel_chunks WHERE from_date = '2026-01-03'"], "rows that no chunk of the journal holds"),
        (
            ["DELETE FROM _mixpanel_chunks WHERE from_date = '2026-01-03'",
             "DELETE FROM events WHERE event_time::DATE IN ('2026-01-03', '2026-01-04')"],
            "2026-01-03 was acknowledged and is not there",
        ),
        (["UPDATE events SET distinct_id = 'another' WHERE rowid = 3"], "not the whole of one generation"),
        (["UPDATE events SET properties = replace(properties, '\"time\"', ' \"time\"') WHERE rowid = 3"], "not the whole"),
        (["UPDATE _mixpanel_chunks SET final = false WHERE from_date = '2026-01-05'"], "it is over"),
        (["DROP TABLE events"], "no table"),
    ],
)  # fmt: skip
def test_each_way_to_break_the_promise_is_found(promise, statements, found):
    with duckdb.connect(promise.path) as connection:
        for statement in statements:
            connection.execute(statement)

    assert any(found in broken for broken in promise.broken())


def test_a_chunk_of_two_generations_is_found(promise):
    promise.acknowledged.clear()
    promise.generations = 2
    lines = [json.loads(line) for line in content(20, 1, FIRST).splitlines()]
    with duckdb.connect(promise.path) as connection:
        for line in lines:
            connection.execute(
                "UPDATE events SET properties = replace(properties, '\"generation\":0', '\"generation\":1') "
                "WHERE event_time::DATE = '2026-01-01' AND event_name = ?",
                [line["event"]],
            )

    assert [broken.partition(";")[0] for broken in promise.broken()] == [
        "2026-01-01 to 2026-01-02: not the whole of one generation"
    ]


def test_a_chunk_that_is_older_than_what_was_acknowledged_is_found(promise):
    promise.generations = 2
    promise.acknowledge("2026-01-03", "2026-01-04", 1)
    assert promise.broken() == ["2026-01-03 to 2026-01-04: generation 0 is there, and 1 was acknowledged"]


def test_a_file_that_is_gone_is_found(promise):
    promise.path.unlink()
    assert "no file" in promise.broken()[0]
