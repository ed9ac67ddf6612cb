"""Store.query_batches: bounded memory, and nothing stays open however the loop ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import aclosing

import duckdb
import pyarrow as pa
import pytest

from mixpanel_async import MixpanelClient, ServiceAccount, Store, StoreError, holding
from mixpanel_async.duck.query import BATCH_ROWS
from tests.cancellation.stepping import run_and_cancel

from .conftest import ROWS, cancel_in_the_middle, is_free, others_can_write

NUMBERS = "SELECT range AS n, 'x' || range AS t FROM range(100000)"
SLOW = "SELECT a.range AS n FROM range(1000000000) AS a, range(1000000000) AS b WHERE a.range + b.range < 0"


async def all_of(batches):
    return pa.Table.from_batches([batch async for batch in batches])


def client_of(path):
    return MixpanelClient(ServiceAccount("user", "secret", project_id=1), database=path)


async def test_all_rows_come_in_order_in_batches(filled):
    batches = [batch async for batch in Store(filled).query_batches(NUMBERS)]
    assert all(isinstance(batch, pa.RecordBatch) and batch.num_rows <= BATCH_ROWS for batch in batches)
    assert len(batches) > 3
    with duckdb.connect() as own:
        assert pa.Table.from_batches(batches) == own.sql(NUMBERS).to_arrow_table()
    assert is_free(filled)


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [("SELECT ?::INTEGER AS a, sum(n) AS s FROM (SELECT 1 AS n)", [1]), ("SELECT $a AS a, '[1]'::JSON AS s", {"a": 1})],
)
async def test_parameters_and_types_are_those_of_arrow(filled, sql, parameters):
    found = await all_of(Store(filled).query_batches(sql, parameters))
    assert found.equals((await Store(filled).query(sql, parameters)).arrow())


async def test_no_rows_are_no_batch(filled):
    assert [batch async for batch in Store(filled).query_batches("SELECT 1 WHERE false")] == []


async def test_errors_come_at_the_first_batch_or_where_they_happen(filled):
    with pytest.raises(StoreError, match="LINE 1: SELECT nothing"):
        await anext(Store(filled).query_batches("SELECT nothing FROM events"))
    with pytest.raises(StoreError, match="A query only reads, and this is DROP"):
        await anext(Store(filled).query_batches("DROP TABLE events"))
    sql = "SELECT CASE WHEN range = 90000 THEN 'x' ELSE '1' END::INT AS n FROM range(100000)"
    rows = 0
    with pytest.raises(StoreError, match=r"^Conversion Error: Could not convert string 'x' to INT32"):
        async for batch in Store(filled).query_batches(sql):
            rows += batch.num_rows
    assert rows <= 90_000
    assert is_free(filled)


async def test_a_missing_pyarrow_is_named_at_the_call(filled, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"query_batches needs pyarrow: pip install \"mixpanel-async\[pyarrow"
    ):
        Store(filled).query_batches("SELECT 1")


async def test_the_file_is_held_while_it_runs_and_free_afterwards(filled):
    async with aclosing(Store(filled).query_batches(NUMBERS)) as batches:
        assert others_can_write(filled)  # not opened yet
        await anext(batches)
        assert not others_can_write(filled)
        assert (await Store(filled).query("SELECT count(*) FROM events")).fetchall() == [(ROWS,)]
    assert others_can_write(filled)
    assert is_free(filled)


async def test_leaving_the_loop_early_closes_the_file(filled):
    async for batch in Store(filled).query_batches(NUMBERS):
        assert batch.num_rows > 0
        break
    await asyncio.sleep(0)
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)  # the event loop closes it
    assert others_can_write(filled)
    assert is_free(filled)


@pytest.mark.parametrize("of_client", [False, True])
@pytest.mark.parametrize("parameters", [None, [0]])
async def test_a_cancel_ends_a_query_of_minutes_within_a_second(filled, of_client, parameters):
    async with client_of(filled) as client:
        store = client.store if of_client else Store(filled)
        sql = SLOW if parameters is None else f"{SLOW} AND a.range > ?"
        query = asyncio.ensure_future(all_of(store.query_batches(sql, parameters)))
        await cancel_in_the_middle(query, filled)
        assert others_can_write(filled)


@pytest.mark.parametrize("of_client", [False, True])
async def test_a_cancel_at_any_step_leaves_nothing_open(filled, of_client):
    async with client_of(filled) as client:
        store = client.store if of_client else Store(filled)

        async def read():
            async with aclosing(store.query_batches("FROM events")) as batches:
                return [batch.num_rows async for batch in batches]

        steps, task = await run_and_cancel(read(), set())
        assert task.result() == [ROWS]
        for step in range(1, steps + 1):
            _, task = await run_and_cancel(read(), {step})
            assert task.cancelled() or task.result() == [ROWS]
            assert is_free(filled)
            assert {each.name for each in filled.parent.iterdir()} == {filled.name}


async def test_a_client_works_on_within_the_loop_however_long_it_lasts(filled, monkeypatch):
    """Its file is not let go of meanwhile, so no call may wait for that."""
    monkeypatch.setattr(holding, "LONG_TURN", 0.0)
    async with client_of(filled) as client, asyncio.timeout(20):
        async for _ in client.store.query_batches("FROM events"):
            assert (await client.store.coverage()).rows == ROWS
            await client._core.call_on_table("other", lambda held: held.run(lambda: None, create=True))
            assert (await client.store.query("SELECT 1")).fetchall() == [(1,)]
        await client.store.coverage()  # and now it may be let go of
    assert is_free(filled)


@pytest.mark.parametrize("kind", ["memory", "file", "connection"])
async def test_a_client_that_is_closed_ends_it(filled, kind):
    connection = duckdb.connect()
    client = client_of({"memory": ":memory:", "file": filled, "connection": connection}[kind])
    batches = client.store.query_batches(NUMBERS)
    assert (await anext(batches)).num_rows == BATCH_ROWS
    await client.close()
    assert others_can_write(filled)
    with pytest.raises(RuntimeError, match="This client is closed"):
        await anext(batches)
    with pytest.raises(RuntimeError, match="This client is closed"):
        await anext(client.store.query_batches(NUMBERS))
    connection.close()


async def test_a_client_that_is_closed_ends_the_query_that_runs(filled):
    client = client_of(filled)
    query = asyncio.ensure_future(all_of(client.store.query_batches(SLOW)))
    await asyncio.wait({query}, timeout=0.5)
    await client.close()
    with pytest.raises(RuntimeError, match="The client was closed while this call ran"):
        await query
    assert others_can_write(filled)


def test_its_memory_is_bounded(filled):
    """A gigabyte of rows, of which two batches are in memory: 16,384 rows of 1 kB each."""
    code = (
        "import asyncio, resource, sys; from mixpanel_async import Store\n"
        "async def main(rows):\n"
        "    sql = f\"SELECT range AS n, repeat('x', 1000) || range AS t FROM range({rows})\"\n"
        "    found = 0\n"
        "    async for batch in Store(sys.argv[1]).query_batches(sql): found += batch.num_rows\n"
        "    assert found == rows\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "print(asyncio.run(main(50_000)), asyncio.run(main(1_000_000)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(filled)], capture_output=True, text=True, check=True)
    few, many = map(int, done.stdout.split())
    assert many - few < 150, f"{few} MB with 50 MB of rows, {many} MB with 1000 MB"
