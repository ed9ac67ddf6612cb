"""Events as rows of Python values, stored with `executemany`."""

from __future__ import annotations

import datetime as dt
import json
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import duckdb
import httpx

from benchmarks.task import given, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from benchmarks.task import Task

TABLE = """
CREATE TABLE events (event_name VARCHAR, event_time TIMESTAMP, distinct_id VARCHAR, insert_id VARCHAR {key},
                     properties JSON)
"""
BATCH = 1000

Row = tuple[object, ...]


def row(event: dict[str, Any]) -> Row:
    """Return the values of an event, in the order of the table's columns."""
    properties = event["properties"]
    moment = dt.datetime.fromtimestamp(properties["time"] / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    ids = (properties.get("distinct_id"), properties.get("$insert_id"))
    return (event["event"], moment, *ids, json.dumps(properties))


def streamed(task: Task) -> Iterator[Row]:
    """Request one day after the other with httpx, and yield each line as a row when it arrives."""
    with httpx.Client(timeout=600, auth=(task.username, task.secret)) as client:
        for day in task.days:
            query = {"project_id": task.project_id, "from_date": day, "to_date": day, "time_in_ms": "true"}
            with client.stream("GET", f"{task.url}/api/2.0/export", params=query) as answer:
                answer.raise_for_status()
                yield from (row(json.loads(line)) for line in _lines(answer.iter_bytes()))


def store(connection: duckdb.DuckDBPyConnection, rows: Iterable[Row], statement: str = "INSERT") -> None:
    """Insert and commit a thousand rows at a time."""
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        connection.begin()
        connection.executemany(f"{statement} INTO events VALUES (?, ?, ?, ?, ?)", batch)
        connection.commit()


def main(rows: Callable[[Task], Iterable[Row]], *, key: str = "", statement: str = "INSERT") -> None:
    """Store the rows, and print the figures."""
    task, began = given(), time.perf_counter()
    with duckdb.connect(task.database) as connection:
        connection.execute(TABLE.format(key=key))
        store(connection, rows(task), statement)
    tell(seconds=time.perf_counter() - began)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    r"""Split at `\n` only: httpx's own `iter_lines` also splits at characters that may occur inside an event."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest
