"""The same in an object store: a local S3 server."""

from __future__ import annotations

import asyncio

import polars as pl
import pytest

from mixpanel_async import RateLimits, Store, StoreError
from mixpanel_async.dataset import garbage
from mixpanel_async.dataset.object_folder import ObjectFolder
from mixpanel_async.distributed import collect_garbage, fetch_chunk, valid_files
from tests.system.conftest import expected, stored

from .conftest import WEEK, manifests
from .s3 import BUCKET, s3_server

for module in ("obstore", "moto", "flask"):
    pytest.importorskip(module, reason="`nox -s dask` installs it")


@pytest.fixture(scope="module")
def server():
    with s3_server() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment


@pytest.fixture
def destination(server, request):
    return f"s3://{BUCKET}/{request.node.name}"


@pytest.fixture
def folder(destination):
    return ObjectFolder(destination)


def test_a_folder_in_a_bucket(folder, destination, tmp_path):
    assert folder.entries("a") == []
    assert folder.read("a/1") is None
    assert folder.create("a/1", b"one")
    assert not folder.create("a/1", b"two")
    assert folder.create("a/1", b"one")  # its own write, sent again
    with folder.writing("a/b/2") as path:
        path.write_bytes(b"two")
    with pytest.raises(ValueError, match="not written"), folder.writing("a/3") as path:
        path.write_bytes(b"three")
        raise ValueError("not written")
    assert [entry.name for entry in folder.entries("a")] == ["a/1", "a/b/2"]
    with folder.reading("a/b/2") as path:
        assert path.read_bytes() == b"two"
    folder.delete("a/1")
    folder.delete("a/1")
    assert folder.read("a/1") is None
    assert folder.url("a/b/2") == f"{destination}/a/b/2"


def test_an_error_of_the_store_is_short_and_has_no_key(server):
    with pytest.raises(StoreError, match="s3://no-such-bucket/x: ") as caught:
        ObjectFolder("s3://no-such-bucket/x").create("a", b"")
    assert "\n" not in str(caught.value)
    assert "aws-s3cret" not in str(caught.value)


async def test_a_chunk_is_exact_replaced_and_loaded(fake, job_of, destination, path, monkeypatch):
    first = await fetch_chunk(job_of())
    assert first.success, first.error
    one, two = await asyncio.gather(*[fetch_chunk(job_of(run=run, replace=True)) for run in ("one", "two")])
    assert first.rows == one.rows == two.rows == expected(fake, *WEEK).total()
    assert len(valid_files(destination)) == 7
    assert {each.chunk.run for each in manifests(destination).values()} <= {"one", "two"}

    assert await Store(path).load_parquet(destination, 12345) == first.rows
    assert stored(path) == expected(fake, *WEEK)

    assert collect_garbage(destination, 12345) == ()
    monkeypatch.setattr(garbage, "AT_LEAST", garbage.ONE_DAY * -2)
    assert len(collect_garbage(destination, 12345, older_than=-garbage.ONE_DAY)) >= 14
    assert len(valid_files(destination)) == 7


async def test_polars_reads_the_valid_files(fake, job_of, destination, server):
    await fetch_chunk(job_of())
    options = {"endpoint_url": server["AWS_ENDPOINT_URL"], "allow_http": "true"}
    frame = pl.scan_parquet(valid_files(destination), hive_partitioning=True, storage_options=options).collect()
    assert frame.height == expected(fake, *WEEK).total()
    assert frame["project_id"].unique().to_list() == [12345]


async def test_limits_are_kept_over_all(fake, job_of):
    limits = RateLimits(per_second=10_000, per_hour=1_000_000, concurrent=2)
    fake.latency = 0.2
    days = [f"2026-01-{day:02}" for day in range(1, 5)]
    reports = await asyncio.gather(*[fetch_chunk(job_of((day, day), limits=limits), most_wait=None) for day in days])
    assert all(report.success for report in reports)
    assert fake.max_open <= 2
