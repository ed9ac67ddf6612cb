"""Profiles over real sockets, ten on a page, and what the table should hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import duckdb
import pytest

from mixpanel_async.testing import FakeMixpanel, Fault, GivenProfiles, QueryRules
from tests.system.conftest import client_of  # noqa: F401 - a fixture

SMALL = QueryRules(page_size=10)
PAGES = 8
JOURNAL = {
    f"_mixpanel_{name}"
    for name in ("version", "selections", "chunks", "out_of_range", "copies", "unchecked", "rejected", "pages", "syncs")
}
WAYS = pytest.mark.parametrize("parallel", [True, False])


def people(count, **properties):
    """Profiles whose properties no parser of doubles would leave as they are."""
    for n in range(count):
        seen = {} if n % 5 == 0 else {"$last_seen": f"2026-01-{n % 28 + 1:02}T09:38:{n % 60:02}"}
        yield {
            "$distinct_id": f"顧客-{n}",
            "$properties": {**seen, "n": n, "big": 2**63 + n, "$name": "<null>" if n % 3 else "Ж", **properties},
        }


@pytest.fixture
async def fake() -> AsyncIterator[FakeMixpanel]:
    profiles = GivenProfiles(people(10 * PAGES - 4))
    async with FakeMixpanel(profiles=profiles, limits=None, query_rules=SMALL) as server:
        yield server


def truth(server) -> Counter[bytes]:
    """All the server's profiles, word for word."""
    snapshot = server.profiles.snapshot()
    return Counter(snapshot.written(range(len(snapshot))))


def stored(database, table: str = "profiles") -> Counter[bytes]:
    """The table's rows as Mixpanel writes them; `last_seen` must say the same as the properties."""
    connection = database if isinstance(database, duckdb.DuckDBPyConnection) else duckdb.connect(str(database))
    rows = connection.execute(
        f"""SELECT distinct_id, properties,
            strftime(last_seen, '%Y-%m-%dT%H:%M:%S') IS NOT DISTINCT FROM (properties->>'$."$last_seen"')
        FROM {table}"""
    ).fetchall()
    if connection is not database:
        connection.close()
    assert all(agrees for *_, agrees in rows)
    return Counter(f'{{"$distinct_id":"{it}","$properties":{properties}}}'.encode() for it, properties, _ in rows)


def ours(path) -> set[str]:
    """What there is beside the journal."""
    with duckdb.connect(str(path)) as connection:
        return {name for (name,) in connection.execute("SHOW TABLES").fetchall()} - JOURNAL


def requested(server) -> list[tuple[int | None, int]]:
    """Page and status of each request."""
    return [(made.page, made.status) for made in server.requests]


@pytest.fixture
def edit_pages(fake):
    """Edit all pages, or one; in all attempts, or some."""

    def add(edit, *, page=None, **when):
        return fake.faults.add(Fault.page_edited(edit), endpoint="engage", page=page, **when)

    return add


def with_fields(**fields):
    return lambda page: {**page, **fields}


def with_total(total):
    """The first page has this total, the others have none."""
    return lambda page: {**page, "total": total} if page["page"] == 0 else page


async def all_ids(stream):
    """The distinct ids that a stream yields."""
    return [it["distinct_id"] async for it in stream]


def truth_ids(fake):
    return [it["$distinct_id"] for it in fake.truth_profiles()]
