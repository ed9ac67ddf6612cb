"""What docs/beyond-one-machine.md shows is run as it stands there, with other names of places."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import duckdb
import pandas  # noqa: ICN001 - as the page has it
import polars  # noqa: ICN001 - as above
import pytest

from mixpanel_async import ServiceAccount, Store
from mixpanel_async.distributed import fetch_chunk
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, Project, running
from tests.system.conftest import expected

from .conftest import WEEK, held_lines

PAGE = Path(__file__).parents[2] / "docs" / "beyond-one-machine.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
EXPORT, CREDENTIALS, FILES = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL) or ("", "", "")
READERS = dict(re.findall(r"^\| (\S+) \| `(.*)` \|$", TEXT, re.MULTILINE))

pytestmark = pytest.mark.skipif(not TEXT, reason="only a clone of the repository has the page")


def replaced(text, **places):
    for old, new in places.values():
        assert old in text
        text = text.replace(old, new)
    return text


def test_its_export(tmp_path, capsys):
    distributed = pytest.importorskip("tests.distributed.cluster", reason='the extra "dask" is not installed')
    projects = [Project(id=1234567), Project(id=1234568)]
    fake = FakeMixpanel(GeneratedEvents(per_day=5), today="2026-02-10", projects=projects, limits=None)
    with running(fake), distributed.two_workers(threads=1, MP_BASE_URL=fake.url) as cluster:
        code = replaced(
            EXPORT, scheduler=("tcp://scheduler:8786", cluster.scheduler_address), since=("2024-01-01", "2026-01-25"),
            destination=("s3://bucket/events", str(tmp_path)),
        )  # fmt: skip
        exec(code, {})
        for project in projects:
            assert held_lines(str(tmp_path), project.id) == expected(fake, "2026-01-25", "2026-01-31", project=project)
    assert re.fullmatch(r"1234567 \d+ \(\)\n1234568 \d+ \(\)\n", capsys.readouterr().out)


def test_its_credentials(tmp_path):
    (tmp_path / "mixpanel").write_text("user s3cret\n")
    names = {}
    exec(replaced(CREDENTIALS, file=("/run/secrets/mixpanel", str(tmp_path / "mixpanel"))), names)
    assert names["credentials"](7) == ServiceAccount("user", "s3cret", 7)


async def test_its_readers(fake, job_of, destination):
    await fetch_chunk(job_of())
    names = {"Store": Store, "asyncio": asyncio, "duckdb": duckdb, "pandas": pandas, "polars": polars}
    exec(replaced(FILES, destination=('"events"', repr(destination))), names)
    rows = expected(fake, *WEEK).total()
    assert len(names["files"]) == 7
    assert set(READERS) == {"DuckDB", "`Store`", "polars", "pandas", "Dask"}
    assert len(eval(READERS["DuckDB"], names).fetchall()) == rows
    assert len((await eval(READERS["`Store`"].removeprefix("await "), names)).fetchall()) == rows
    assert eval(READERS["polars"], names).collect().height == rows
    assert len(eval(READERS["pandas"], names)) == rows
    names["dask"] = pytest.importorskip("dask")
    pytest.importorskip("dask.dataframe", reason='the extra "dask" is not installed')
    assert len(eval(READERS["Dask"], names)) == rows
