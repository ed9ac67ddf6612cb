"""DuckDB alone, from the compressed bodies on the local disk, with the fastest statement that we found.

- One list extract parses the properties once; three `->>` would parse them three times.
- zstd is faster and smaller than the compression that DuckDB would choose for JSON.
- With rows in any order and small buffers, a million rows are a fifth faster than with the defaults, and take twice the
  memory. A few hundred thousand rows are slower in this way, therefore `duckdb_in_order` runs too.

It checks nothing that a client must check: not the end of a body, no duplicates. It keeps no journal.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from benchmarks.task import Task, given, tell

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_LINE = 2 << 20
"""Bytes. Mixpanel accepts events up to 1 MB. DuckDB allocates twice this size for each thread."""
MILLISECOND, SECOND = 1000, 1_000_000
"""In microseconds."""
TABLE = """
CREATE TABLE events (event_name VARCHAR, event_time TIMESTAMP, distinct_id VARCHAR, insert_id VARCHAR,
                     properties JSON USING COMPRESSION zstd)
"""
INSERT = """
INSERT INTO events
SELECT event, make_timestamp(keys[1]::BIGINT * $unit), keys[2], keys[3], properties
FROM (
    SELECT event, properties, json_extract_string(properties, ['$.time', '$.distinct_id', '$."$insert_id"']) AS keys
    FROM read_json($files, format = 'newline_delimited', compression = 'gzip', maximum_object_size = $longest,
                   columns = {event: 'VARCHAR', properties: 'JSON'})
)
"""


def load(task: Task, *, in_order: bool = False, unit: int = MILLISECOND) -> None:
    """Load the files and close the database. `unit` is that of their times, in microseconds."""
    files = [f"{task.files}/{day}.gz" for day in task.days]
    with duckdb.connect(task.database, config={"threads": task.threads}) as connection:
        connection.execute(f"SET preserve_insertion_order = {in_order}")
        connection.execute(TABLE)
        connection.execute(INSERT, {"files": files, "longest": LONGEST_LINE, "unit": unit})


def load_after(download: Callable[[Task], None], *, unit: int = MILLISECOND) -> None:
    """Download into files, load them, and print the figures."""
    task = given()
    with tempfile.TemporaryDirectory(dir=Path(task.database).parent) as directory:
        own = replace(task, files=directory)
        began = time.perf_counter()
        download(own)
        load(own, unit=unit)
        seconds = time.perf_counter() - began
    tell(seconds=seconds)


def main(*, in_order: bool = False) -> None:
    """Load the files, and print the figures."""
    task, began = given(), time.perf_counter()
    load(task, in_order=in_order)
    tell(seconds=time.perf_counter() - began)


if __name__ == "__main__":
    main()
