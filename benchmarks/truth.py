"""Rows and the sums of their times, as JSON: `python -m benchmarks.truth table DATABASE` or `files FILE ...`.

It prints the number of rows, and the sums of their times in whole seconds and in milliseconds. For files it prints that
twice: for all lines, and for the lines without duplicates. Lines with the same event, distinct id, time and insert id
are duplicates; lines without an insert id are not.
"""

from __future__ import annotations

import json
import sys

import duckdb

LINES = """
CREATE TABLE lines AS
SELECT event, keys[1]::BIGINT AS time, keys[2] AS distinct_id, keys[3] AS insert_id
FROM (
    SELECT event, json_extract_string(properties, ['$.time', '$.distinct_id', '$."$insert_id"']) AS keys
    FROM read_json($1, format = 'newline_delimited', columns = {event: 'VARCHAR', properties: 'JSON'})
)
"""
SUMS = "SELECT count(*), sum(time // 1000)::BIGINT, sum(time)::BIGINT FROM "
DISTINCT = "(SELECT DISTINCT * FROM lines WHERE insert_id IS NOT NULL UNION ALL FROM lines WHERE insert_id IS NULL)"


def of_files(*files: str) -> list[tuple[int, int, int]]:
    """Count the lines, and the lines without duplicates."""
    with duckdb.connect() as connection:
        connection.execute(LINES, [list(files)])
        return connection.execute(f"{SUMS} lines UNION ALL {SUMS} {DISTINCT}").fetchall()


def of_table(database: str) -> list[tuple[int, int, int]]:
    """Count the rows of the table `events`."""
    with duckdb.connect(database, read_only=True) as connection:
        return connection.execute(f"{SUMS} (SELECT epoch_ms(event_time) AS time FROM events)").fetchall()


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    print(json.dumps(of_files(*paths) if what == "files" else of_table(*paths)))
