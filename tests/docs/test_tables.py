"""What docs/tables.md says of the tables, compared with a file."""

from __future__ import annotations

import re

import duckdb
import pytest

from mixpanel_async import MixpanelClient, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, GeneratedProfiles
from tests.docs.pages import ROOT

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the wheel's tests run without the documents")


def page() -> str:
    return (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")


def described() -> dict[str, list[str]]:
    """Each table of the page's first table, with its columns in order."""
    rows = re.findall(r"^\| `(\w+)`[^|]*\| `([^`]*)`", page(), re.MULTILINE)
    return {table: [column.split()[0] for column in columns.split(", ")] for table, columns in rows}


def columns_of(path) -> dict[str, list[str]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        names = [name for (name,) in connection.execute("SHOW TABLES").fetchall()]
        return {name: [column[0] for column in connection.execute(f"DESCRIBE {name}").fetchall()] for name in names}


async def test_the_tables_are_those_of_a_file(path):
    async with FakeMixpanel(GeneratedEvents(per_day=5), profiles=GeneratedProfiles(count=5), limits=None) as fake:
        known = fake.project.service_account
        account = ServiceAccount(known.username, known.secret, fake.project.id)
        async with MixpanelClient(account, base_url=fake.url, database=path) as client:
            await client.fetch_events(from_date="2026-01-01", to_date="2026-01-01")
            await client.fetch_profiles()
    assert described() == columns_of(path)


def test_the_statements_that_copy_a_file_of_a_newer_format(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as connection:
        connection.execute("ATTACH 'mixpanel.duckdb' AS made (STORAGE_VERSION 'latest')")
        connection.execute("CREATE TABLE made.events AS SELECT 7 AS n")
    (block,) = re.findall(r"^```sql\n(ATTACH.*?)^```$", page(), re.MULTILINE | re.DOTALL)
    with duckdb.connect() as connection:
        connection.execute(block)
        assert connection.execute("FROM new.events").fetchall() == [(7,)]
