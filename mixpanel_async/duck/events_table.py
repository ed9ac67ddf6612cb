"""A table of events: checked, created, and loaded a chunk at a time."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

from mixpanel_async.duck import copies, journal
from mixpanel_async.duck.chunk_loader import ChunkLoader
from mixpanel_async.duck.connection import LONG_ROW, table_cursor
from mixpanel_async.duck.merge_sink import MergeSink
from mixpanel_async.duck.projects import check_project, record_project
from mixpanel_async.duck.schema import has_rows, table_exists
from mixpanel_async.duck.table_sink import TableSink
from mixpanel_async.duck.transactions import transaction
from mixpanel_async.duck.workbench import Workbenches
from mixpanel_async.errors import StoreError
from mixpanel_async.terminal import span

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    import duckdb

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.duck.connection import Database
    from mixpanel_async.duck.journal import Description
    from mixpanel_async.duck.workbench import Workbench
    from mixpanel_async.records import JournalRow
    from mixpanel_async.selections import EventSelection
    from mixpanel_async.sinks import ChunkSink


class EventsTable:
    """One table of a database, for one call that fetches into it. Its methods block, so they run in threads, while the
    database is open. It may be closed and opened again between them, but for `prepare`, which must see what `check`
    has seen.
    """

    def __init__(self, database: Database, name: str, *, project: str | None = None, deduplicate: bool = True) -> None:
        """`project`: whose rows will be loaded, if that is known."""
        self._database = database
        self._name = name
        self._project = project
        self._deduplicate = deduplicate
        self._chunks: Sequence[DateChunk] = ()
        self._committed: list[DateChunk] = []
        self._description: Description | None = None
        self._has_nothing = False
        self._seen_opening = 0
        self._refreshing = Lock()
        self._benches = Workbenches(database)
        self._is_new = False
        self._was_empty = False

    @property
    def is_prepared(self) -> bool:
        """Whether `prepare` began, so that there is something to `finish`."""
        return self._seen_opening > 0

    def check(self, selection: EventSelection, *, append: bool, resume: bool) -> None:
        """Check that the table may take this selection; see `journal.check_table`. Writes nothing."""
        with table_cursor(self._database, self._name) as cursor:
            journal.check_table(
                cursor, self._database.schema, self._name, selection,
                project=self._project, append=append, resume=resume,
            )  # fmt: skip

    def journal(self) -> list[JournalRow]:
        """Return the chunks that the table holds, in the order of their dates; none where it is missing."""
        with table_cursor(self._database, self._name) as cursor:
            if not table_exists(cursor, self._database.schema, self._name):
                return []
            return journal.read_journal(cursor, self._database.schema, self._name)

    def prepare(self, selection: EventSelection, chunks: Sequence[DateChunk]) -> None:
        """Create the table if it is missing, and prepare it for the chunks that will be loaded."""
        self._selection, self._chunks = selection, chunks
        with table_cursor(self._database, self._name) as cursor:
            self._description = self._describe(cursor) or self._create(cursor)
            check_project(cursor, self._database.schema, self._name, self._project)
            self._was_empty = journal.is_empty(cursor, self._database.schema, self._name)
        self._seen_opening = self._database.openings
        self._prepare_for_chunks()

    def loader(
        self,
        dates: DateChunk,
        *,
        last_complete_day: dt.date | None,
        merges: Mapping[DateChunk, dt.datetime] = MappingProxyType({}),
    ) -> ChunkLoader:
        """Return what loads a chunk; it has not begun yet. A resume asks again for dates after `last_complete_day`.
        `merges` are those of the `Plan`.

        Raises:
            StoreError: the table is no longer the one that was prepared.
        """
        self._look_again()
        sink: Callable[[Workbench], ChunkSink]
        if (since := merges.get(dates)) is not None:
            sink = partial(MergeSink, self._database.schema, table=self._name, dates=dates, since=since)
        else:
            sink = partial(
                TableSink, self._database.schema, table=self._name, dates=dates,
                last_complete_day=last_complete_day, deduplicate=self._deduplicate, has_nothing=self._has_nothing,
            )  # fmt: skip
        name = f"{span(*dates)} of table {self._name!r}"
        return ChunkLoader(
            self._benches, sink, name,
            make_room=self._database.make_room, deduplicate=self._deduplicate,
            on_commit=partial(self._has_committed, dates),
        )  # fmt: skip

    def finish(self) -> dict[dt.date, int]:
        """After chunks were fetched: see `copies.drop`. Drop a table that this object created and that stayed empty, so
        that the next call can create it.
        """
        self._benches.close()
        dropped = self._drop_copies()
        if self._is_new:
            self._drop_if_empty()
        return dropped

    def _look_again(self) -> None:
        """If the file was closed and opened meanwhile, look again at what others may have changed. No chunk of this
        table is open then, because none is ever open while the file is closed. In somebody else's instance others may
        change it at any time, and the table must at least be the same.
        """
        with self._refreshing:
            was_open = self._seen_opening == self._database.openings
            if was_open and self._database.instance is not None:
                return
            schema = self._database.schema
            with table_cursor(self._database, self._name) as cursor:
                found = self._describe(cursor)
                if found is None and self._is_new and not self._committed:  # another call dropped it, empty
                    found = self._description = self._create(cursor)
                if found != self._description and self._may_take(found):
                    self._description, self._is_new, was_open = found, False, False
                is_same = found == self._description
                if not (is_same and journal.covers(cursor, schema, self._name, self._committed)):
                    raise StoreError(
                        f"Table {self._name!r} was dropped or replaced while it was fetched. Nothing more is written, "
                        "and what was fetched before is gone with the old table: fetch it again."
                    )
                check_project(cursor, schema, self._name, self._project)
                if was_open:
                    return
                journal.check_not_cut(cursor, schema, self._name, self._pending())
            self._prepare_for_chunks()
            self._seen_opening = self._database.openings

    def _may_take(self, found: Description | None) -> bool:
        """Whether a table that was made meanwhile will do as well as the one before, with which nothing was lost."""
        before = self._description
        if self._committed or not self._was_empty or found is None or before is None:
            return False
        return found._replace(created_at=None) == before._replace(created_at=None)

    def _prepare_for_chunks(self) -> None:
        """Align the journal with the chunks, and put back their copies; see `copies.put_back`. Drops first what a call
        that was killed, or that of another process, left to drop.
        """
        self._make_room_for_copies()
        schema, pending = self._database.schema, self._pending()
        with table_cursor(self._database, self._name) as cursor:
            journal.align(cursor, schema, self._name, pending)
            # In somebody else's instance another client may write at the same time.
            self._has_nothing = (
                bool(pending)
                and self._database.instance is not None
                and journal.has_nothing(cursor, schema, self._name, pending)
            )
            with transaction(cursor):
                copies.drop(cursor, schema, self._name)
                copies.put_back(cursor, schema, self._name, self._chunks, deduplicate=self._deduplicate)

    def _create(self, cursor: duckdb.DuckDBPyConnection) -> Description | None:
        """Create the table; return its description."""
        journal.create_table(cursor, self._database.schema, self._name, self._selection, project=self._project)
        self._is_new = True
        return self._describe(cursor)

    def _describe(self, cursor: duckdb.DuckDBPyConnection) -> Description | None:
        return journal.describe(cursor, self._database.schema, self._name)

    def _pending(self) -> list[DateChunk]:
        """Return the chunks that are not committed."""
        return [chunk for chunk in self._chunks if chunk not in self._committed]

    def _drop_copies(self) -> dict[dt.date, int]:
        self._make_room_for_copies()
        with table_cursor(self._database, self._name) as cursor, transaction(cursor):
            return copies.drop(cursor, self._database.schema, self._name)

    def _has_committed(self, dates: DateChunk) -> None:
        """Note a chunk, and after the first one record of which project the table is, if that was not known."""
        is_first = not self._committed  # of two at once both may be
        self._committed.append(dates)
        if not is_first:
            return
        with (
            suppress(StoreError),  # the chunk is committed; another call may do this at the same time
            table_cursor(self._database, self._name) as cursor,
            transaction(cursor),
        ):
            if self._describe(cursor) == self._description:
                record_project(cursor, self._database.schema, self._name, self._project)

    def _make_room_for_copies(self) -> None:
        """Rows are compared whole there, thousands at a time."""
        with table_cursor(self._database, self._name) as cursor:
            schema = self._database.schema
            if any(has_rows(cursor, schema, ours, self._name) for ours in ("copies", "unchecked")):
                self._database.make_room(LONG_ROW + 1)

    def _drop_if_empty(self) -> None:
        with table_cursor(self._database, self._name) as cursor:
            schema = self._database.schema
            if self._describe(cursor) == self._description and journal.is_empty(cursor, schema, self._name):
                journal.drop_empty_table(cursor, schema, self._name)
