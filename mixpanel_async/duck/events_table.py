"""A table of events: checked, created, and loaded a chunk at a time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mixpanel_async.duck import copies, journal
from mixpanel_async.duck.chunk_loader import ChunkLoader
from mixpanel_async.duck.connection import LONG_ROW, table_cursor
from mixpanel_async.duck.schema import has_rows, table_exists
from mixpanel_async.duck.table_sink import TableSink
from mixpanel_async.duck.transactions import transaction
from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.duck.connection import Database
    from mixpanel_async.records import JournalRow
    from mixpanel_async.selections import EventSelection

logger = logging.getLogger("mixpanel_async")


class EventsTable:
    """One table of an open database. Its methods block, so they run in threads."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._is_new = False

    def check(self, selection: EventSelection, *, append: bool, resume: bool) -> None:
        """Check that the table may take this selection; see `journal.check_table`. Writes nothing."""
        with table_cursor(self._database, self._name) as cursor:
            journal.check_table(cursor, self._database.schema, self._name, selection, append=append, resume=resume)

    def journal(self) -> list[JournalRow]:
        """Return the chunks that the table holds, in the order of their dates; none where it is missing."""
        with table_cursor(self._database, self._name) as cursor:
            if not table_exists(cursor, self._database.schema, self._name):
                return []
            return journal.read_journal(cursor, self._database.schema, self._name)

    def prepare(self, selection: EventSelection, chunks: Sequence[DateChunk]) -> None:
        """Create the table if it is missing, and align its journal with the chunks that will be loaded."""
        with table_cursor(self._database, self._name) as cursor:
            if table_exists(cursor, self._database.schema, self._name):
                journal.align(cursor, self._database.schema, self._name, chunks)
            else:
                journal.create_table(cursor, self._database.schema, self._name, selection)
                self._is_new = True

    def loader(self, dates: DateChunk, *, deduplicate: bool, last_complete_day: dt.date | None) -> ChunkLoader:
        """Return what loads a chunk; it has not begun yet. A resume asks again for dates after `last_complete_day`."""
        cursor = self._database.cursor()
        sink = TableSink(
            self._database.schema, cursor, self._name, dates,
            last_complete_day=last_complete_day, deduplicate=deduplicate,
        )  # fmt: skip
        name = f"{dates[0]} to {dates[1]} of table {self._name!r}"
        return ChunkLoader(cursor, sink, name, make_room=self._database.make_room, deduplicate=deduplicate)

    def has_out_of_range(self) -> bool:
        """Whether rows are out of range. Of equal ones nobody can tell which chunk has which, so that two chunks at the
        same time might delete the same row, which is a conflict.
        """
        with table_cursor(self._database, self._name) as cursor:
            return has_rows(cursor, self._database.schema, "out_of_range", self._name)

    def put_copies_back(self, chunks: Sequence[DateChunk], *, deduplicate: bool) -> None:
        """Before chunks are fetched: see `copies.put_back`. Drops first what a call that was killed left to drop."""
        self._make_room_for_copies()
        with table_cursor(self._database, self._name) as cursor, transaction(cursor):
            copies.drop(cursor, self._database.schema, self._name)
            copies.put_back(cursor, self._database.schema, self._name, chunks, deduplicate=deduplicate)

    def drop_copies(self) -> dict[dt.date, int]:
        """After chunks were fetched: see `copies.drop`."""
        self._make_room_for_copies()
        with table_cursor(self._database, self._name) as cursor, transaction(cursor):
            return copies.drop(cursor, self._database.schema, self._name)

    def _make_room_for_copies(self) -> None:
        """Rows are compared whole there, thousands at a time."""
        with table_cursor(self._database, self._name) as cursor:
            schema = self._database.schema
            if any(has_rows(cursor, schema, ours, self._name) for ours in ("copies", "unchecked")):
                self._database.make_room(LONG_ROW + 1)

    def drop_copies_after_error(self) -> None:
        """Drop the copies of the chunks that were committed before a call ended with an error, or was cancelled."""
        try:
            self.drop_copies()
        except StoreError as error:  # as in `drop_if_empty`
            logger.info("%s Some events may be there twice, until the next fetch into this table.", error)

    def drop_if_empty(self) -> None:
        """Drop a table that this object created and nothing was committed to, so that the next call can create it."""
        if not self._is_new:
            return
        try:
            with table_cursor(self._database, self._name) as cursor:
                if not journal.read_journal(cursor, self._database.schema, self._name):
                    journal.drop_empty_table(cursor, self._database.schema, self._name)
        except StoreError as error:  # the error that ended the fetch is on its way to the caller, and says more
            logger.warning("%s The table stays; resume=True goes on with it.", error)
