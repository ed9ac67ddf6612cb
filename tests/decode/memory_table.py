"""A table of events in memory: lines go the whole way into it, from a body's bytes to DuckDB's tables."""

from __future__ import annotations

import datetime as dt

from mixpanel_async.duck.connection import Database
from mixpanel_async.duck.events_table import EventsTable
from mixpanel_async.export.messages import EndChunk
from mixpanel_async.export.writer import ChunkWriter
from mixpanel_async.selections import EventSelection

DATES = ("2024-01-01", "2024-01-07")
END = EndChunk(DATES, True, 1, 1, dt.datetime(2026, 2, 10, tzinfo=dt.UTC), None)


class MemoryTable:
    """The table, and what the library keeps beside it."""

    def __init__(self):
        self._database = Database(":memory:")
        self._database.lease().open()
        self._table = EventsTable(self._database, "events")
        self._table.prepare(EventSelection(), [])
        self._cursor = self._database.cursor()
        self._cursor.execute("USE memory.main")

    def new_chunk(self, *, deduplicate):
        """Empty the table; gives the writer of a chunk."""
        for table in ("events", "_mixpanel_chunks", "_mixpanel_rejected"):
            self._cursor.execute(f"DELETE FROM {table}")
        self._table._deduplicate = deduplicate
        return ChunkWriter(DATES, lambda dates: self._table.loader(dates, last_complete_day=None))

    def query(self, sql):
        return self._cursor.execute(sql).fetchall()

    def close(self):
        self._cursor.close()
        self._database.close()
