"""Which rows are duplicates: of the rows with equal keys, the one with the newest `mp_processing_time_ms` stays.

Of rows with the same `mp_processing_time_ms`, or without one, the first stays.

Source: Mixpanel's docs on deduplication; `$insert_id` alone is not unique in its data.
"""

from __future__ import annotations

KEY = "event_name, distinct_id, event_time, insert_id"
"""Rows that are equal in these are one event. A row without an insert id has no duplicates."""

_KEY_BYTES = "encode(event_name), encode(distinct_id), event_time, encode(insert_id)"
"""The same as bytes: a caller's connection may compare texts without case or accents (`default_collation`)."""

MICROS_KEY = KEY.replace("event_time", "micros")
"""The key where the time is in microseconds since 1970."""

HASH = f"CASE WHEN insert_id IS NOT NULL THEN hash({KEY}) END"
"""A number that rows with equal keys share; few others do."""


def counts_of(rows: str) -> str:
    """Return a query: how many `rows` there are, how many have a `hash`, and how many hashes differ."""
    return f"SELECT count(*), count(hash), count(DISTINCT hash) FROM ({rows})"


def duplicates_of(rows: str, processed: str) -> str:
    """Return a query: the `row` of each duplicate. `processed` is computed only for rows whose `hash` occurs twice."""
    return f"""
        WITH suspects AS (
            SELECT hash FROM ({rows}) WHERE hash IS NOT NULL GROUP BY hash HAVING count(*) > 1
        )
        {older_of(f"SELECT * FROM ({rows}) WHERE hash IN (FROM suspects)", processed)}
    """


def older_of(rows: str, processed: str) -> str:
    """Return a query: the `row` of each duplicate among few `rows`."""
    return f"""
        SELECT row FROM (
            SELECT row, row_number() OVER (
                PARTITION BY {_KEY_BYTES} ORDER BY {processed} DESC NULLS LAST, row ASC
            ) AS rank
            FROM ({rows})
        ) WHERE rank > 1
    """
