"""What the rows have in common: a day of events, the answers that give it, and how a fault is held to its row.

A row's name begins `test_row_NN_`; `test_every_row.py` sees that each of the fault matrix has one.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from mixpanel_async import ExportError, MixpanelClient
from tests.matrix.raw import Answer, RawServer, with_length
from tests.system.conftest import client_of, fake, journal, stored

__all__ = ["client_of", "fake"]

DAY = "2026-01-01"
NOON = 1_767_268_800_000
"""In milliseconds, as the client requests times."""
ONE_DAY = {"from_date": DAY, "to_date": DAY}


def event(number: int, *, name: str = "Opened", time: int = NOON) -> bytes:
    """A line of the export, without its line break."""
    properties = {"time": time, "distinct_id": f"user {number % 7}", "$insert_id": f"id {number}"}
    return json.dumps({"event": name, "properties": properties}, separators=(",", ":")).encode()


def text_of(*lines: bytes) -> bytes:
    return b"".join(line + b"\n" for line in lines)


LINES = [event(number) for number in range(40)]
TEXT = text_of(*LINES)
GZ = gzip.compress(TEXT, mtime=0)
WHOLE = with_length(GZ)
EMPTY = with_length(b"", encoding=None)


def holds_the_day(path: Path, lines: list[bytes] = LINES) -> None:
    """The table holds these lines and the journal says so."""
    assert stored(path) == Counter(lines)
    assert journal(path) == [(DAY, DAY, len(lines), len(lines))]


def holds_nothing(path: Path) -> None:
    """No row, no note of one, no table."""
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        names = ("chunks", "out_of_range", "copies", "unchecked", "rejected", "selections", "pages", "syncs")
        ours = {f"_mixpanel_{name}" for name in names}
        assert tables == ours | {"_mixpanel_version"}
        for table in ours:
            assert connection.execute(f"SELECT * FROM {table}").fetchall() == []


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


async def asked_again(
    client_of: Callable[..., MixpanelClient], path: Path, bad: Answer, **settings: object
) -> ExportError:
    """RETRY and NOTHING: thrice the bad answer ends a run and leaves nothing; met once, the next request has all.

    Gives the error that ended the first run.
    """
    async with RawServer(*[bad] * 4, WHOLE) as server:
        client = client_of(server, **settings)
        with pytest.raises(ExportError) as ended:
            await client.fetch_events(**ONE_DAY)
        assert len(server.requests) == 3
        assert (ended.value.from_date, ended.value.to_date, ended.value.attempts) == (DAY, DAY, 3)
        holds_nothing(path)

        await client.fetch_events(**ONE_DAY)
        assert len(server.requests) == 5
    holds_the_day(path)
    return ended.value
