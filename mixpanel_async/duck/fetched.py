"""A table that is fetched into: made, checked, and handed out a chunk at a time."""

from __future__ import annotations

import logging
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from mixpanel_async.duck import journal as chunks
from mixpanel_async.duck import out_of_range as strays
from mixpanel_async.duck.connection import explained
from mixpanel_async.duck.events_table import ChunkTransaction
from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    import duckdb

    from mixpanel_async.duck.connection import Database
    from mixpanel_async.duck.journal import Dates, Selection

logger = logging.getLogger("mixpanel_async")


class FetchedTable:
    """One table of an open database. Its methods block, so they are for threads."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._is_new = False

    def prepare(self, selection: Selection, *, append: bool, resume: bool) -> None:
        """Make the table, or check that it may take this selection. See `chunks.prepare_table`."""
        with self._cursor() as cursor:
            self._is_new = chunks.prepare_table(
                cursor, self._database.schema, self._name, selection, append=append, resume=resume
            )

    def final_ranges(self) -> list[tuple[dt.date, dt.date]]:
        """The dates that need no fetching any more, as ranges in order."""
        with self._cursor() as cursor:
            return chunks.final_ranges(cursor, self._database.schema, self._name)

    def indivisible(self) -> list[tuple[dt.date, dt.date]]:
        """The chunks that can only be replaced as a whole."""
        with self._cursor() as cursor:
            return strays.indivisible(cursor, self._database.schema, self._name)

    def align(self, plan: Sequence[Dates]) -> None:
        """Make the journal ready for chunks that replace parts of older ones."""
        with self._cursor() as cursor:
            chunks.align(cursor, self._database.schema, self._name, plan)

    def transaction(self, dates: Dates, *, deduplicate: bool, final_to: dt.date | None) -> ChunkTransaction:
        """A chunk's transaction, not begun yet. Dates after `final_to` a resume will ask for again."""
        return ChunkTransaction(self._database, self._name, dates, deduplicate=deduplicate, final_to=final_to)

    def drop_if_nothing_came(self) -> None:
        """Take a table away that this object made and nothing was committed to, so that the next try may make it."""
        if not self._is_new:
            return
        try:
            with self._cursor() as cursor:
                if not chunks.has_chunks(cursor, self._database.schema, self._name):
                    chunks.drop_table(cursor, self._database.schema, self._name)
        except StoreError as error:  # what ended the fetch is on its way to the caller, and says more
            logger.warning("%s The table stays; resume=True goes on with it.", error)

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with closing(self._database.cursor()) as cursor, explained(self._name):
            yield cursor
