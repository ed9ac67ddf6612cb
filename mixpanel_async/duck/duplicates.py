"""Which rows repeat another: of each key the row with the newest mp_processing_time_ms stays, of equals the first."""

from __future__ import annotations

KEY = "event_name, distinct_id, event_time, insert_id"
"""What makes two rows one event. A row without an insert id repeats none."""


HASH = f"CASE WHEN insert_id IS NOT NULL THEN hash({KEY}) END"
"""A number that rows with equal keys share; few others do."""


def counts_of(rows: str) -> str:
    """A query: how many of the `rows` there are, how many have a `hash`, and how many of these differ."""
    return f"SELECT count(*), count(hash), count(DISTINCT hash) FROM ({rows})"


def duplicates_of(rows: str, processed: str) -> str:
    """A query: the `row` of each that has to go. `processed` is worked out for few: those whose `hash` comes twice."""
    return f"""
        WITH suspects AS (
            SELECT hash FROM ({rows}) WHERE hash IS NOT NULL GROUP BY hash HAVING count(*) > 1
        )
        {older_of(f"SELECT * FROM ({rows}) WHERE hash IN (FROM suspects)", processed)}
    """


def older_of(rows: str, processed: str) -> str:
    """The same query for `rows` that are few anyway."""
    return f"""
        SELECT row FROM (
            SELECT row, row_number() OVER (PARTITION BY {KEY} ORDER BY {processed} DESC NULLS LAST, row) AS rank
            FROM ({rows})
        ) WHERE rank > 1
    """
