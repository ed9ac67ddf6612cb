"""Each call on the right side of docs/coming-over.md's tables runs here, and each name there is one of ours."""

from __future__ import annotations

import builtins
import inspect
import re
import shutil
from contextlib import aclosing

import duckdb
import pytest

import mixpanel_async
from mixpanel_async import MixpanelClient, ServiceAccount
from mixpanel_async.testing import Catalog, Cohort, FakeMixpanel, GeneratedEvents, GeneratedProfiles, running
from tests.docs.pages import ROOT
from tests.slices import few

PAGE = ROOT / "docs" / "coming-over.md"
DATES = {"from_date": "2026-01-01", "to_date": "2026-01-02"}
VALUES = {
    "duckdb": duckdb, "dates": DATES, "start": "2026-01-01", "end": "2026-01-02", "hook": print, "names": ["Search"],
    "ids": ["7"], "query": "SELECT event_name FROM events", "user": "u", "secret": "s", "api_secret": "s",
    "expression": 'properties["$os"] == "iOS"',
}  # fmt: skip
"""What the names in the spans stand for."""

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the wheel's tests run without the documents")


def cells() -> list[str]:
    """The right cell of each row below `From ...`."""
    text = PAGE.read_text(encoding="utf-8").partition("## From mixpanel_data")[2]
    rows = re.findall(r"^\| .+? \| (.+) \|$", text, re.MULTILINE)
    return sorted({cell for cell in rows if "`" in cell})


@pytest.fixture(scope="module")
def fake():
    events, profiles, catalog = (
        GeneratedEvents(per_day=20),
        GeneratedProfiles(count=20),
        Catalog(cohorts=(Cohort(7, "Seven"),)),
    )
    with running(FakeMixpanel(events, profiles=profiles, catalog=catalog, limits=None)) as it:
        yield it


@pytest.fixture
async def client(fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MP_PROJECT_SECRET", "s")  # for a client that a cell makes
    account = ServiceAccount(
        fake.project.service_account.username, fake.project.service_account.secret, fake.project.id
    )
    async with MixpanelClient(account, base_url=fake.url, database="mixpanel.duckdb") as client:
        yield client


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return tmp_path_factory.mktemp("filled") / "mixpanel.duckdb"


async def with_tables(client, filled, cell):
    """Let the database have the tables, but those that the cell fetches itself."""
    if not filled.exists():
        await client.fetch_events(**DATES)
        await client.fetch_profiles()
        shutil.move("mixpanel.duckdb", filled)
    if "fetch_" not in cell or "append" in cell:
        shutil.copy(filled, "mixpanel.duckdb")


async def run(span: str, names: dict[str, object]) -> object:
    """Run what a span shows; one that begins with a dot goes on with the result before it."""
    if span.startswith("mixpanel-async "):
        return None
    value = eval(f"result{span}" if span.startswith(".") else span, names)
    if inspect.isasyncgen(value):
        async with aclosing(value) as stream:
            return [row async for row in stream]
    return await value if inspect.iscoroutine(value) else value


@pytest.mark.parametrize("cell", few(cells(), 12, seed=6))
async def test_a_cell_runs(client, filled, cell):
    await with_tables(client, filled, cell)
    ours = {name: getattr(mixpanel_async, name) for name in mixpanel_async.__all__}
    names = {**vars(builtins), **ours, **VALUES, "client": client, "store": client.store}
    names["behaviors"] = [{"window": "9d", "name": "searched", "event_selectors": [{"event": "Search"}]}]
    for span in re.findall(r"`([^`]+)`", cell):
        value = await run(span, names)
        if not span.startswith("."):
            names["result"] = value


async def test_a_call_that_is_not_here_is_found(client):
    for span in ("client.fetch_event()", "store.sql('')", "ConfigError", "client.project(id=7)"):
        with pytest.raises((AttributeError, NameError, TypeError)):
            await run(span, {"client": client, "store": client.store})
