"""A view of `create_view` in other tools: each column has its type there, and each value is what it was."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from mixpanel_async import Store

from .conftest import of_one_event, properties_table

ROWS = of_one_event(
    {
        "$os": "iOS",
        "paid": True,
        "count": 5,
        "price": 1.5,
        "day": "2024-02-29",
        "at": "2024-02-29T10:00:00.25",
        "tags": ["a", 1],
        "id": 12345678901234567890123,
        "mixed": 1,
    },
    {"mixed": "x", "count": 9007199254740993, "price": 2},
)
COLUMNS = {
    "event_name": "VARCHAR",
    "event_time": "TIMESTAMP",
    "distinct_id": "VARCHAR",
    "insert_id": "VARCHAR",
    "properties": "JSON",
    "$os": "VARCHAR",
    "at": "TIMESTAMP",
    "count": "BIGINT",
    "day": "DATE",
    "id": "VARCHAR",
    "mixed": "VARCHAR",
    "paid": "BOOLEAN",
    "price": "DOUBLE",
    "tags": "JSON",
}
FIRST = {
    "$os": "iOS",
    "at": dt.datetime.fromisoformat("2024-02-29T10:00:00.25"),
    "count": 5,
    "day": dt.date(2024, 2, 29),
    "id": "12345678901234567890123",
    "mixed": "1",
    "paid": True,
    "price": 1.5,
    "tags": '["a",1]',
}
SECOND = dict.fromkeys(FIRST) | {"count": 9007199254740993, "mixed": "x", "price": 2.0}
QUERY = "SELECT * EXCLUDE (event_name, event_time, distinct_id, insert_id, properties) FROM typed ORDER BY count"


@pytest.fixture
def file(filled):
    """The path of a database that has the view."""
    properties_table(filled, ROWS)
    asyncio.run(Store(filled).create_view("typed"))
    return filled


def test_the_command_line_of_duckdb_1_5(file):
    program = shutil.which("duckdb", path=str(Path(sys.executable).parent))

    def run(query):
        command = [program, "-readonly", "-json", str(file), query]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    described = {column["column_name"]: column["column_type"] for column in run("DESCRIBE typed")}
    assert list(described.items()) == list(COLUMNS.items())
    first, second = run(QUERY)
    assert first == FIRST | {"at": "2024-02-29 10:00:00.25", "day": "2024-02-29", "tags": ["a", 1]}
    assert second == SECOND


def test_pandas(file):
    with duckdb.connect(str(file), read_only=True) as connection:
        frame = connection.execute(QUERY).df()
    kinds = {name: type_.kind for name, type_ in frame.dtypes.items()}  # M: a time; texts differ between releases
    assert {name: kinds[name] for name in ("at", "count", "day", "price")} == {
        "at": "M",
        "count": "i",
        "day": "M",
        "price": "f",
    }
    assert frame["count"].tolist() == [5, 9007199254740993]
    assert frame.iloc[0].to_dict() == FIRST | {"day": dt.datetime.fromisoformat("2024-02-29")}
    assert frame.iloc[1].dropna().to_dict() == {"count": 9007199254740993, "mixed": "x", "price": 2.0}


def test_polars(file):
    import polars as pl  # noqa: PLC0415 - only this test needs it

    with duckdb.connect(str(file), read_only=True) as connection:
        frame = pl.read_database(QUERY, connection)
    assert frame.schema == {
        "$os": pl.String, "at": pl.Datetime("us"), "count": pl.Int64, "day": pl.Date, "id": pl.String,
        "mixed": pl.String, "paid": pl.Boolean, "price": pl.Float64, "tags": pl.String,
    }  # fmt: skip
    assert frame.to_dicts() == [FIRST, SECOND]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # ibis 12 calls a name that DuckDB 2 has renamed
def test_ibis(file):
    import ibis  # noqa: PLC0415 - only this test needs it

    connection = ibis.duckdb.connect(str(file), read_only=True)
    try:
        typed = connection.table("typed")
        assert {name: str(type_).lstrip("!") for name, type_ in typed.schema().items()} == {
            "event_name": "string", "event_time": "timestamp(6)", "distinct_id": "string", "insert_id": "string",
            "properties": "json", "$os": "string", "at": "timestamp(6)", "count": "int64", "day": "date",
            "id": "string", "mixed": "string", "paid": "boolean", "price": "float64", "tags": "json",
        }  # fmt: skip
        rows = typed.order_by("count").select(*FIRST).drop("tags").to_pyarrow().to_pylist()
        assert [row | {"tags": each["tags"]} for row, each in zip(rows, (FIRST, SECOND), strict=True)] == [
            FIRST,
            SECOND,
        ]
        assert typed.price.sum().execute() == 3.5
    finally:
        connection.disconnect()
