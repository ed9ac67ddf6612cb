"""What was exported is read by Store, pandas, polars and Dask, and loaded into a table."""

from __future__ import annotations

import duckdb
import pandas as pd
import polars as pl
import pytest

from mixpanel_async import SelectionMismatchError, Store, TableNotFoundError
from mixpanel_async.distributed import fetch_chunk, valid_files
from mixpanel_async.testing import FakeMixpanel, Fault, GivenEvents
from tests.system.conftest import expected, stored
from tests.system.test_out_of_range import given_for_both_days, shifted

from .conftest import WEEK, job

JOURNAL = """SELECT from_date, to_date, final, rows, duplicates, rejected, bytes, retries
    FROM _mixpanel_chunks ORDER BY from_date"""
REJECTED = "SELECT from_date, to_date, line_number, reason, line, chunk_failed FROM _mixpanel_rejected ORDER BY ALL"


def queried(path, *queries):
    with duckdb.connect(str(path), read_only=True) as connection:
        return [connection.execute(query).fetchall() for query in queries]


@pytest.mark.parametrize("fault", [None, Fault.bad_utf8(3)])
async def test_a_loaded_table_is_the_table_that_a_fetch_makes(
    fake, client_of, path, tmp_path, job_of, destination, fault
):
    if fault is not None:
        fake.faults.add(fault)
    await client_of(fake).fetch_events(from_date=WEEK[0], to_date=WEEK[1], parallel=True, chunk_days=7)
    await fetch_chunk(job_of())
    loaded = tmp_path / "loaded.duckdb"
    rows = await Store(loaded).load_parquet(destination, 12345)

    assert stored(loaded) == stored(path)
    assert rows == stored(path).total()
    assert queried(loaded, JOURNAL, REJECTED) == queried(path, JOURNAL, REJECTED)
    requests = len(fake.requests)
    resumed = client_of(fake, database=loaded)
    result = await resumed.fetch_events(from_date=WEEK[0], to_date="2026-01-08", resume=True, parallel=True)
    assert len(fake.requests) == requests + 1
    assert result.total_rows + result.rejected_rows == expected(fake, "2026-01-08", "2026-01-08").total()


async def test_only_what_is_new_is_loaded_again(fake, path, job_of, destination):
    store = Store(path)
    await fetch_chunk(job_of())
    assert await store.load_parquet(destination, 12345, to_date="2026-01-03") < expected(fake, *WEEK).total()
    assert await store.load_parquet(destination, 12345) == expected(fake, *WEEK).total()
    assert await store.load_parquet(destination, 12345) == 0
    await fetch_chunk(job_of(("2026-01-02", "2026-01-03"), run="again", replace=True))

    assert await store.load_parquet(destination, 12345) > 0
    assert stored(path) == expected(fake, *WEEK)
    assert await store.load_parquet(destination, 12345) == 0


@pytest.mark.parametrize("lines", [shifted(), given_for_both_days()])
async def test_rows_out_of_range_are_those_of_a_local_table(client_of, path, tmp_path, destination, lines):
    dates = {"from_date": min(lines), "to_date": max(lines)}
    async with FakeMixpanel(GivenEvents(lines=lines), today="2026-06-01", limits=None) as server:
        await client_of(server).fetch_events(**dates, parallel=True, chunk_days=1)
        for day in lines:
            assert (await fetch_chunk(job(server, destination, (day, day)))).success
    loaded = tmp_path / "loaded.duckdb"
    rows = await Store(loaded).load_parquet(destination, 12345)

    query = "SELECT * FROM events ORDER BY ALL"
    assert queried(loaded, query, JOURNAL) == queried(path, query, JOURNAL)
    assert rows == len(queried(loaded, query)[0])


async def test_a_table_of_another_project_stays_as_it_is(fake, client_of, path, job_of, destination):
    await fetch_chunk(job_of())
    await Store(path).load_parquet(destination, 12345)
    assert queried(path, "SELECT project FROM _mixpanel_selections") == [[("12345",)]]
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE _mixpanel_selections SET project = '7'")
    before = stored(path)
    with pytest.raises(SelectionMismatchError, match="'events' is of project 7, and this call is of project 12345"):
        await Store(path).load_parquet(destination, 12345)
    assert stored(path) == before
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE _mixpanel_selections SET project = NULL")
    assert await Store(path).load_parquet(destination, 12345, from_date="2030-01-01") == 0
    assert queried(path, "SELECT project FROM _mixpanel_selections") == [[(None,)]]


async def test_a_project_that_was_never_exported(path, destination):
    with pytest.raises(TableNotFoundError, match="Project 7 was not exported here"):
        await Store(path).load_parquet(destination, 7)
    assert not path.exists()


async def test_readers_see_valid_rows_and_no_others(fake, job_of, destination, path):
    await fetch_chunk(job_of())
    await fetch_chunk(job_of(run="again", replace=True))
    rows = expected(fake, *WEEK).total()
    files = valid_files(destination, 12345)
    assert len(files) == 7
    assert files == valid_files(destination) == valid_files(destination, [12345], from_date=WEEK[0], to_date=WEEK[1])
    assert valid_files(destination, from_date="2026-01-02", to_date="2026-01-03") == files[1:3]

    with duckdb.connect() as connection:
        sql = "SELECT project_id, date, count(*) FROM read_parquet($files, hive_partitioning = true) GROUP BY ALL"
        result = await Store(connection).query(sql, {"files": files})
    assert sum(count for *_, count in result.fetchall()) == rows
    assert {project_id for project_id, *_ in result.fetchall()} == {12345}
    assert pl.read_parquet(files, hive_partitioning=True).height == rows
    assert len(pd.concat(map(pd.read_parquet, files))) == rows


async def test_dask_reads_the_valid_files(fake, job_of, destination):
    frames = pytest.importorskip("dask.dataframe", reason='the extra "dask" is not installed')
    await fetch_chunk(job_of())
    assert len(frames.read_parquet(valid_files(destination, 12345))) == expected(fake, *WEEK).total()
