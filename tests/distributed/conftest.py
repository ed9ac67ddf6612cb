"""Many projects, processes that fetch, and what their destination holds."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import duckdb
import pytest

from mixpanel_async.dataset.manifests import Manifests
from mixpanel_async.dataset.object_folder import open_folder
from mixpanel_async.dataset.valid_files import valid_files
from mixpanel_async.distributed import ChunkJob
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents
from tests.system.conftest import AT_ONCE, UNHURRIED, client_of

__all__ = ["client_of"]

WEEK = ("2026-01-01", "2026-01-07")


@pytest.fixture
async def fake():
    events = GeneratedEvents(per_day=40, seed=7, duplicates=0.05, missing_insert_id=0.02)
    async with FakeMixpanel(events, today="2026-06-01", limits=None) as server:
        yield server


@pytest.fixture
def destination(tmp_path):
    return str(tmp_path / "events")


@pytest.fixture(autouse=True)
def account(monkeypatch):
    """The fake's account, in the environment of this process and of those that it starts."""
    known = FakeMixpanel().projects[0].service_account
    monkeypatch.setenv("MP_USERNAME", known.username)
    monkeypatch.setenv("MP_SECRET", known.secret)
    return known


@pytest.fixture
def job_of(fake, destination):
    """Make a job of the fake's first project."""
    return partial(job, fake, destination)


def job(server, destination, dates=WEEK, **options) -> ChunkJob:
    given = {
        "project_id": server.projects[0].id, "run": "run", "base_url": server.url, "limits": UNHURRIED,
        "retry": AT_ONCE, **options,
    }  # fmt: skip
    return ChunkJob(dates=dates, destination=destination, **given)


def rows_of(paths) -> list[tuple]:
    if not paths:
        return []
    columns = "event_name, epoch_us(event_time), distinct_id, insert_id, properties"
    source = f"read_parquet({list(map(str, paths))!r}, hive_partitioning = false)"
    return duckdb.sql(f"SELECT {columns} FROM {source}").fetchall()


def lines_of(files, folder, destination) -> Counter[bytes]:
    """The rows of files as lines of an export; their other columns must say the same."""
    lines: Counter[bytes] = Counter()
    with ExitStack() as stack:
        paths = [stack.enter_context(folder.reading(file.removeprefix(f"{destination}/"))) for file in files]
        rows = rows_of(paths)
    for name, time, distinct_id, insert_id, properties in rows:
        parsed = json.loads(properties)
        assert time == parsed["time"] * (1000 if parsed["time"] >= 253_402_300_800 else 1_000_000)
        assert (distinct_id, insert_id) == (parsed.get("distinct_id"), parsed.get("$insert_id"))
        text = json.dumps(name, ensure_ascii=False)
        lines[f'{{"event":{text},"properties":{properties}}}'.encode()] += 1
    return lines


def held_lines(destination, project_id=12345) -> Counter[bytes]:
    """The valid rows of a project, as `lines_of`."""
    return lines_of(valid_files(destination, project_id), open_folder(destination), destination)


def manifests(destination, project_id=12345):
    return Manifests(open_folder(destination), project_id).valid()


def files_in(destination) -> set[str]:
    return {path.relative_to(destination).as_posix() for path in Path(destination).rglob("*") if path.is_file()}


def parts_in(destination) -> set[str]:
    return {name for name in files_in(destination) if name.startswith("project_id=")}
