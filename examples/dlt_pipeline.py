"""Events in another warehouse: PostgreSQL, BigQuery, Snowflake, Parquet files, or any other destination of dlt's.

    pip install "mixpanel-async[pyarrow]" "dlt[duckdb]"    # or dlt[postgres], dlt[filesystem], ...
    python examples/dlt_pipeline.py --from 2026-01-01 --to duckdb

Run it every night, as examples/nightly does. It loads the days up to yesterday that are missing, and again the five
before, because events come late. dlt's state, which is kept at the destination, has for each day until when it was
requested. So a night that was missed, a day that failed and a run that was killed are made up for by the next run, on
any machine. The exit code is 1 if a day failed.

Each day is one request, and replaces what the destination holds of that day, in one transaction with the others:

- Mixpanel repeats rows within a day. They are left out before dlt gets them, as `fetch_events` does it: of rows with
  the same event, distinct id, time and insert id, the one that was processed last stays. Rows without an insert id all
  stay. dlt's `primary_key` would keep one of them.
- A merge by that key would also keep rows that Mixpanel has removed, or given another distinct id. So `merge_key` is
  the date. It is the date of the request: a row's own time may lie outside it, and would replace a day that did not
  come.
- Each day comes with a row that has `deleted`, so that a day that has become empty is emptied. dlt does not insert it.
- dlt does not merge files, it adds new ones. `READ_FILES` reads of each date the newest load that is complete.

`properties` is Mixpanel's JSON as it came, as text: PostgreSQL's `jsonb` would change its numbers. Lines that are not
events are in `rejected_lines`. An event that Mixpanel returns for two days is in both.

dlt takes its credentials from the environment (`DESTINATION__POSTGRES__CREDENTIALS`,
`DESTINATION__FILESYSTEM__BUCKET_URL`) or from its own files. It sends usage data unless
`RUNTIME__DLTHUB_TELEMETRY=false`. Without a Mixpanel account the events come from a fake Mixpanel on this machine. For
your own project, set MP_USERNAME, MP_SECRET and MP_PROJECT_ID (of a service account), and MP_REGION if it is not `us`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import dlt
import duckdb
import pyarrow as pa

from mixpanel_async import DecodeError, ExportError, MixpanelClient, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

TODAY = dt.datetime.now(dt.UTC).date()
LOOKBACK = dt.timedelta(days=5)
DAYS_A_PACKAGE = 28
"""dlt loads a package when all of it has come, so a run that is killed requests at most these days again."""

REPLACE_DATES: dict[str, Any] = {
    "write_disposition": {"disposition": "merge", "strategy": "delete-insert"},
    "columns": {"date": {"merge_key": True}, "deleted": {"data_type": "bool", "hard_delete": True}},
}

ROWS_OF_DAY = """
    SELECT $day AS date, * FROM day
    QUALIFY insert_id IS NULL OR regexp_full_match(insert_id, '\\s*') OR row_number() OVER (
        PARTITION BY event_name, distinct_id, event_time, insert_id
        ORDER BY TRY_CAST(properties->>'$.mp_processing_time_ms' AS BIGINT) DESC NULLS LAST, rowid
    ) = 1
    UNION ALL BY NAME
    SELECT $day AS date, true AS deleted
"""

READ_FILES = """
    SELECT * EXCLUDE (deleted, _dlt_load_id) FROM '{dataset}/events/*.parquet'
    WHERE _dlt_load_id IN (FROM read_json('{dataset}/_dlt_loads/*.jsonl', columns = {{load_id: 'VARCHAR'}}))
    QUALIFY deleted IS NULL AND _dlt_load_id = max(_dlt_load_id) OVER (PARTITION BY date)
"""


@asynccontextmanager
async def project() -> AsyncIterator[dict[str, Any]]:
    """Yield the arguments of the client: none for your project, or those for the fake Mixpanel."""
    if "MP_USERNAME" in os.environ:
        yield {}
        return
    async with FakeMixpanel(GeneratedEvents(per_day=500, late=0.05), today=TODAY, limits=None) as fake:
        account = fake.project.service_account
        yield {
            "credentials": ServiceAccount(account.username, account.secret, fake.project.id),
            "base_url": fake.url,
        }


@dataclass
class Run:
    """Which days a run has tried, and which of them failed."""

    first: dt.date
    until: dt.date
    tried: set[dt.date] = field(default_factory=set)
    failed: dict[dt.date, ExportError] = field(default_factory=dict)
    is_done: bool = False

    def next_days(self, requested: dict[str, str]) -> list[dt.date]:
        """Return the days of the next package. A day is due until it was requested after its lookback days were over.

        `requested` has for each day the last day that was over when it was requested, both as ISO dates.
        """
        days = (self.first + dt.timedelta(number) for number in range((self.until - self.first).days + 1))
        due = [day for day in days if day not in self.tried and requested.get(f"{day}", "") < f"{day + LOOKBACK}"]
        self.is_done = len(due) <= DAYS_A_PACKAGE
        self.tried.update(due[:DAYS_A_PACKAGE])
        return due[:DAYS_A_PACKAGE]


async def due_events(run: Run) -> AsyncIterator[Any]:
    """Yield the rows of the next days. A day that fails stays as it is, and the next run requests it again."""
    requested = dlt.current.resource_state("events")
    async with project() as settings, MixpanelClient(**settings) as client:
        for day in run.next_days(requested):
            with duckdb.connect() as memory:  # it spills to disk what does not fit
                try:
                    rejected = await download(client, day, memory)
                except ExportError as error:
                    if error.fatal:
                        raise
                    run.failed[day] = error
                    continue
                for batch in memory.sql(ROWS_OF_DAY, params={"day": day}).to_arrow_reader(20_000):
                    yield batch
            if rejected:
                lines = [{"date": day, "line_number": each.line_number, "line": each.line} for each in rejected]
                yield dlt.mark.with_table_name(pa.Table.from_pylist(lines), "rejected_lines")
            requested[f"{day}"] = f"{run.until}"


async def download(client: MixpanelClient, day: dt.date, memory: duckdb.DuckDBPyConnection) -> list[DecodeError]:
    """Download a day into a table in memory, and return the lines that are not events."""
    rejected: list[DecodeError] = []
    memory.execute("SET TimeZone = 'UTC'")
    async for batch in client.stream_batches(from_date=day, to_date=day, on_rejected=rejected.append):
        memory.register("batch", batch)
        memory.execute("CREATE TABLE IF NOT EXISTS day AS FROM batch LIMIT 0")
        memory.execute("INSERT INTO day FROM batch")
    return rejected


def load(run: Run, destination: str) -> None:
    """Load all days that are due."""
    dlt.config["normalize.parquet_normalizer.add_dlt_load_id"] = True  # READ_FILES needs it
    pipeline = dlt.pipeline(f"mixpanel_to_{destination}", destination=destination, dataset_name="mixpanel")
    hints = {} if destination == "filesystem" else REPLACE_DATES
    pipeline.run()  # loads what a killed run has left; with data it would do so instead of requesting them
    while not run.is_done:
        print(pipeline.run(dlt.resource(due_events, name="events", **hints)(run)))


def main() -> int:
    """Run, and return the exit code."""
    parser = argparse.ArgumentParser(description="Load events into a destination of dlt's.")
    parser.add_argument("--from", dest="first", type=dt.date.fromisoformat, default=TODAY - dt.timedelta(days=30))
    parser.add_argument("--until", type=dt.date.fromisoformat, default=TODAY - dt.timedelta(days=1))
    parser.add_argument("--to", default="duckdb", help="duckdb, postgres, filesystem, bigquery, ...")
    arguments = parser.parse_args()
    run = Run(arguments.first, arguments.until)
    load(run, arguments.to)
    for day, error in run.failed.items():
        print(f"{day} failed: {error}", file=sys.stderr)
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
