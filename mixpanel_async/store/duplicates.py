"""Which rows repeat another: of each key the row with the newest mp_processing_time_ms stays, of equals the first."""

from __future__ import annotations

KEY = "event_name, distinct_id, event_time, insert_id"
"""What makes two rows one event. A row without an insert id repeats none."""


def counts_of(rows: str) -> str:
    """A query: how many of the `rows` there are, how many have an insert id, and how many keys those have."""
    return (
        f"SELECT count(*), count(insert_id), count(DISTINCT hash({KEY})) FILTER (insert_id IS NOT NULL) FROM ({rows})"
    )


def duplicates_of(rows: str, processed: str) -> str:
    """A query: the `row` of each that has to go. `processed` is worked out for few: hashes find the keys to look at."""
    return f"""
        WITH keyed AS (
            SELECT *, hash({KEY}) AS hash FROM ({rows}) WHERE insert_id IS NOT NULL
        ), suspects AS (
            SELECT row, {KEY}, {processed} AS processed
            FROM keyed WHERE hash IN (SELECT hash FROM keyed GROUP BY hash HAVING count(*) > 1)
        ), ranked AS (
            SELECT row, row_number() OVER (PARTITION BY {KEY} ORDER BY processed DESC NULLS LAST, row) AS rank
            FROM suspects
        )
        SELECT row FROM ranked WHERE rank > 1
    """
