"""SQL macros kept in the database, for any DuckDB client: sessions, funnels and retention.

DuckDB stores a macro as text and parses it again for each query, so it must be SQL that DuckDB 1.5 and 2 both know. A
macro's parameter hides a column of the same name in its body. `query_table` takes the name of a table as a text, and
finds the macro's own `WITH` before the user's tables: so each macro reads the table first, under a name of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixpanel_async.duck.schema import quoted
from mixpanel_async.duck.transactions import transaction
from mixpanel_async.duck.translation import translate_errors

if TYPE_CHECKING:
    import duckdb

    from mixpanel_async.duck.schema import Schema

_READ = """_mixpanel_events AS (
    SELECT distinct_id, event_name, event_time FROM query_table("table") WHERE distinct_id <> ''
)"""

_SESSIONS = f"""("table", timeout := INTERVAL 30 MINUTE) AS TABLE
WITH {_READ},
allowed AS (
    SELECT CASE WHEN given >= INTERVAL 0 SECOND THEN given
        ELSE error('mixpanel_sessions: timeout must be an interval of 0 or more, such as INTERVAL 30 MINUTE.') END
        AS silence
    FROM (SELECT CAST(timeout AS INTERVAL) AS given)
),
timed AS (
    SELECT events.distinct_id, events.event_time,
        events.event_time > lag(events.event_time) OVER one_user + allowed.silence AS is_new
    FROM _mixpanel_events AS events, allowed
    WINDOW one_user AS (PARTITION BY events.distinct_id ORDER BY events.event_time)
),
numbered AS (
    SELECT distinct_id, event_time,
        1 + count(*) FILTER (is_new) OVER (PARTITION BY distinct_id ORDER BY event_time) AS session
    FROM timed
)
SELECT distinct_id, session, min(event_time) AS first_time, max(event_time) AS last_time, count(*) AS events,
    max(event_time) - min(event_time) AS duration
FROM numbered GROUP BY distinct_id, session ORDER BY distinct_id, session
"""
"""`numbered` counts over a RANGE, which is the default: ROWS would number events of the same time differently, because
the two windows may order these differently."""

_FUNNEL = f"""("table", steps, within := INTERVAL 7 DAY) AS TABLE
WITH RECURSIVE {_READ},
allowed AS MATERIALIZED (
    SELECT CASE WHEN len(given) > 0 AND list_count(given) = len(given) THEN given
            ELSE error('mixpanel_funnel: steps must be a list of names of events, such as [''Sign up'', ''Buy''].') END
            AS names,
        CASE WHEN given_time >= INTERVAL 0 SECOND THEN given_time
            ELSE error('mixpanel_funnel: within must be an interval of 0 or more, such as INTERVAL 7 DAY.') END
            AS longest
    FROM (SELECT CAST(steps AS VARCHAR[]) AS given, CAST(within AS INTERVAL) AS given_time)
),
plan AS MATERIALIZED (
    SELECT number AS step, name AS event_name, lag(number) OVER (PARTITION BY name ORDER BY number) AS repeated_step
    FROM allowed, unnest(names) WITH ORDINALITY AS listed(name, number)
),
moments AS MATERIALIZED (
    SELECT distinct_id, event_name, event_time, count(*) AS events
    FROM _mixpanel_events WHERE event_name IN (SELECT plan.event_name FROM plan) GROUP BY ALL
),
moves AS MATERIALIZED (
    SELECT here.distinct_id, here.event_time, plan.step, plan.repeated_step,
        coalesce(now.events, 0) AS events_now, later.event_time AS later
    FROM plan
    JOIN plan AS before ON before.step = plan.step - 1
    JOIN moments AS here ON here.event_name = before.event_name
    LEFT JOIN moments AS now ON now.distinct_id = here.distinct_id AND now.event_name = plan.event_name
        AND now.event_time = here.event_time
    ASOF LEFT JOIN moments AS later ON later.distinct_id = here.distinct_id AND later.event_name = plan.event_name
        AND later.event_time > here.event_time
),
attempts AS (
    SELECT moments.distinct_id, 1::BIGINT AS step, [moments.event_time] AS times, [1::BIGINT] AS ranks
    FROM moments JOIN plan ON plan.event_name = moments.event_name AND plan.step = 1
    UNION ALL
    SELECT distinct_id, step, list_append(times, next_time), list_append(ranks, next_rank)
    FROM (
        SELECT distinct_id, step, times, ranks,
            CASE WHEN rank <= events_now THEN event_time ELSE later END AS next_time,
            CASE WHEN rank <= events_now THEN rank ELSE 1 END AS next_rank
        FROM (
            SELECT moves.*, attempts.times, attempts.ranks,
                CASE WHEN times[repeated_step] = moves.event_time THEN ranks[repeated_step] + 1 ELSE 1 END AS rank
            FROM attempts JOIN moves ON moves.distinct_id = attempts.distinct_id AND moves.step = attempts.step + 1
                AND moves.event_time = attempts.times[-1]
        )
    ), allowed
    WHERE next_time <= times[1] + longest
),
furthest AS (
    SELECT times FROM attempts QUALIFY row_number() OVER (PARTITION BY distinct_id ORDER BY step DESC, times[1]) = 1
),
reached AS (
    SELECT generate_subscripts(times, 1) AS step, epoch_us(unnest(times)) - epoch_us(times[1]) AS microseconds
    FROM furthest
),
counted AS (
    SELECT plan.step, plan.event_name AS event, count(reached.step) AS users,
        to_microseconds(CAST(median(microseconds) AS BIGINT)) AS median_time
    FROM plan LEFT JOIN reached ON reached.step = plan.step GROUP BY plan.step, plan.event_name
)
SELECT step, event, users, users / nullif(max(users) OVER (), 0) AS share_of_first,
    users / nullif(lag(users, 1, users) OVER (ORDER BY step), 0) AS share_of_previous, median_time
FROM counted ORDER BY step
"""
"""An attempt begins with each time of the first step's event, and takes the earliest time that each next step allows.

`moments` are a user's events of one name and time, which are interchangeable. `moves` tell, for each moment of a step,
how many events of the next step have the same time, and which is their first later time: outside of the recursion,
where DuckDB has no ASOF join. A step takes an event of the same time if one is left: `ranks` count those that earlier
steps of the same name took."""

_RETENTION = f"""("table", first, again, unit := 'day') AS TABLE
WITH {_READ},
allowed AS (
    SELECT CASE WHEN lower(unit) IN ('day', 'week') THEN lower(unit)
        ELSE error('mixpanel_retention: unit must be ''day'' or ''week''.') END AS part
),
matching AS MATERIALIZED (
    SELECT distinct_id, event_time, coalesce(event_name = first, true) AS is_first,
        coalesce(event_name = again, true) AS is_again
    FROM _mixpanel_events WHERE coalesce(event_name = first, true) OR coalesce(event_name = again, true)
),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY distinct_id ORDER BY NOT is_first, event_time, is_again) AS place
    FROM matching
),
users AS (
    SELECT distinct_id, event_time, CAST(date_trunc(part, event_time) AS DATE) AS cohort
    FROM numbered, allowed WHERE is_first AND place = 1
),
returned AS (
    SELECT users.cohort, date_diff(part, users.cohort, date_trunc(part, numbered.event_time)) AS number,
        count(DISTINCT users.distinct_id) AS users
    FROM users JOIN numbered ON numbered.distinct_id = users.distinct_id, allowed
    WHERE is_again AND place > 1 AND numbered.event_time >= users.event_time GROUP BY ALL
),
cohorts AS (
    SELECT cohort, count(*) AS size FROM users GROUP BY cohort
),
held AS (
    SELECT CAST(date_trunc(part, max(event_time)) AS DATE) AS last_unit FROM _mixpanel_events, allowed GROUP BY part
),
numbers AS (
    SELECT cohort, size, unnest(range(date_diff(part, cohort, last_unit) + 1)) AS number FROM cohorts, held, allowed
)
SELECT cohort, size, number, coalesce(returned.users, 0) AS users, coalesce(returned.users, 0) / size AS share
FROM numbers LEFT JOIN returned USING (cohort, number) ORDER BY cohort, number
"""
"""`numbered` begins with the event that puts a user into a cohort, so that it does not count as a return, too."""

MACROS = {"mixpanel_sessions": _SESSIONS, "mixpanel_funnel": _FUNNEL, "mixpanel_retention": _RETENTION}


def create_macros(cursor: duckdb.DuckDBPyConnection, schema: Schema) -> tuple[str, ...]:
    """Create our macros, or replace those of an earlier call, in one transaction. Return their names.

    Raises:
        StoreError: DuckDB cannot write.
    """
    with translate_errors("The macros cannot be created"), transaction(cursor):
        for name, definition in MACROS.items():
            cursor.execute(f"CREATE OR REPLACE MACRO {schema}.{quoted(name)}{definition}")
    return tuple(MACROS)
