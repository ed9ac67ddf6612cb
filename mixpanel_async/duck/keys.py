"""Which rows are duplicates: of the rows with equal keys, the one with the newest `mp_processing_time_ms` stays.

Of rows with the same `mp_processing_time_ms`, or without one, the first stays.

Source: Mixpanel's docs on deduplication; `$insert_id` alone is not unique in its data.
"""

from __future__ import annotations

KEY = "event_name, distinct_id, event_time, insert_id"
"""Rows that are equal in these are one event, if they have a key; see `HAS_KEY`."""

_BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Those of `str.isspace`."""

HAS_KEY = f"""coalesce(
    CASE WHEN unicode(insert_id) BETWEEN 33 AND 126 THEN true ELSE strlen(trim(insert_id, '{_BLANKS}')) > 0 END, false
)"""
"""Whether a row can have duplicates: its insert id is there, and not empty or blank. `trim` is slow, and only for an
unusual first letter."""

KEY_BYTES = "encode(event_name), encode(distinct_id), event_time, encode(insert_id)"
"""The same as bytes: a caller's connection may compare texts without case or accents (`default_collation`)."""

PROCESSED = "TRY_CAST(TRY(properties->>'$.mp_processing_time_ms') AS BIGINT)"
"""When Mixpanel processed a row of a table; NULL if it does not say."""

MICROS_KEY = KEY.replace("event_time", "micros")
"""The key where the time is in microseconds since 1970."""

HASH = f"CASE WHEN {HAS_KEY} THEN hash({KEY}) END"
"""A number that rows with equal keys share; few others do. NULL for a row without a key."""


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
                PARTITION BY {KEY_BYTES} ORDER BY {processed} DESC NULLS LAST, row ASC
            ) AS rank
            FROM ({rows})
        ) WHERE rank > 1
    """
