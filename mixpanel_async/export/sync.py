"""`sync_events`: find out what a table lacks, then fetch it as `fetch_events` does."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

from mixpanel_async import clock
from mixpanel_async.dates import ProjectDays, as_date, date_range
from mixpanel_async.duck import journal
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.errors import SelectionMismatchError
from mixpanel_async.export.fetch import EventFetch, fetch_events
from mixpanel_async.export.plan import Chunking
from mixpanel_async.export.sync_plan import SyncRules
from mixpanel_async.selections import EventSelection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from mixpanel_async.api.source import Source
    from mixpanel_async.duck.schema import Schema
    from mixpanel_async.export.fetch import BatchHook
    from mixpanel_async.export.plan import Range
    from mixpanel_async.export.results import Outcome
    from mixpanel_async.holding import HeldDatabase
    from mixpanel_async.meter import Progress
    from mixpanel_async.records import JournalRow

MOST_DAYS = 36_500
"""The longest lookback: a hundred years."""
LATE = ("replace", "merge")


class Calendar(Protocol):
    """The project's days, asked of Mixpanel when a date depends on them."""

    async def days(self) -> ProjectDays:
        """Return them."""
        ...

    async def days_until(self, last: dt.date) -> ProjectDays:
        """Return them as far as they are known. Raises ValueError if `last` has not begun in the project."""
        ...


@dataclass(frozen=True, slots=True)
class EventSync:
    """What a call of `sync_events` brings up to date; `of` checks the call's arguments."""

    table: str
    first: dt.date | None
    """`None`: the table's first date."""
    last: dt.date | Literal["today", "yesterday"]
    events: tuple[str, ...] | None
    """`None`: those of the table, or all for a new one; so is `where`."""
    where: str | None
    lookback_days: int
    merges: bool
    chunking: Chunking

    @classmethod
    def of(  # noqa: PLR0913 - the call's arguments
        cls,
        name: str,
        from_date: str | dt.date | None,
        to_date: str | dt.date | None,
        *,
        events: Iterable[str] | None = None,
        where: str | None = None,
        lookback_days: int = 5,
        late: str = "replace",
        max_workers: int = 10,
        chunk_days: int | Literal["auto"] = "auto",
    ) -> EventSync:
        """Check the arguments.

        Raises:
            ValueError: names the argument and what it must be.
        """
        if late not in LATE:
            raise ValueError(f"late must be 'replace' or 'merge', not {late!r}.")
        if isinstance(lookback_days, bool) or not isinstance(lookback_days, int) or not 0 <= lookback_days <= MOST_DAYS:
            raise ValueError(
                f"lookback_days must be a whole number of days, 0 to {MOST_DAYS:,}, not {lookback_days!r}."
            )
        last = _last(to_date)
        first = None if from_date is None else as_date(from_date, "from_date")
        if first is not None and not isinstance(last, str):
            date_range(first, last)
        selection = EventSelection.of(events, where)
        chunking = Chunking.of(chunk_days, max_workers, None, parallel=True, stream=False)
        return cls(
            check_table_name(name), first, last, selection.events, selection.where, lookback_days, late == "merge",
            chunking,
        )  # fmt: skip

    def selection(self, held: EventSelection | None) -> EventSelection:
        """Return what to select for a table that has this selection."""
        held = held or EventSelection()
        return EventSelection(self.events or held.events, self.where or held.where)

    def fetch(
        self, selection: EventSelection | None, chunks: Sequence[JournalRow], days: ProjectDays, last: dt.date
    ) -> EventFetch:
        """Return what to fetch into a table of this selection, which may be missing. There may be no date."""
        rules = SyncRules(self.lookback_days, self.merges, days)
        return EventFetch(
            self.table, (self._first(chunks), last), self.selection(selection), self.chunking,
            append=False, resume=True, deduplicate=True, sync=rules, days=days,
            mended_by="the next sync",
        )  # fmt: skip

    def _first(self, chunks: Sequence[JournalRow]) -> dt.date:
        if self.first is not None:
            return self.first
        if not chunks:
            raise ValueError(f"Table {self.table!r} holds no dates yet: pass from_date the first time.")
        return chunks[0].first


def _last(to_date: str | dt.date | None) -> dt.date | Literal["today", "yesterday"]:
    if to_date is None or to_date == "yesterday":
        return "yesterday"
    return "today" if to_date == "today" else as_date(to_date, "to_date")


def look(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, sync: EventSync, project: str | None
) -> tuple[EventSelection | None, list[JournalRow]]:
    """Return the table's selection and chunks, after all that can be checked without the calendar."""
    selection, chunks = journal.look(cursor, schema, sync.table)
    if selection is not None and selection.limit is not None:
        raise SelectionMismatchError(
            f"Table {sync.table!r} was fetched with limit={selection.limit}, so nobody knows which events its dates "
            "lack: sync into another table."
        )
    selected = sync.selection(selection)
    journal.check_table(cursor, schema, sync.table, selected, project=project, append=False, resume=True)
    sync.fetch(selection, chunks, ProjectDays(), dt.date.max)
    return selection, chunks


async def find_fetch(
    sync: EventSync, calendar: Calendar, held: tuple[EventSelection | None, Sequence[JournalRow]]
) -> EventFetch:
    """Return what to fetch into a table that holds this. There may be no date.

    Raises:
        ValueError: the last date has not begun.
    """
    if isinstance(sync.last, dt.date):
        return sync.fetch(*held, await calendar.days_until(sync.last), sync.last)
    days, now = await calendar.days(), clock.utc_now()
    last = days.last_complete(now) if sync.last == "yesterday" else days.earliest(now)
    return sync.fetch(*held, days, last)


async def sync_events(  # noqa: PLR0913, PLR0917 - what a sync is made of
    sync: EventSync,
    calendar: Calendar,
    source: Source,
    hook: BatchHook | None,
    progress: Progress,
    held: HeldDatabase,
) -> tuple[Range, list[Outcome]]:
    """Bring the table up to date; return the dates that it should have now.

    Raises, and leaves on a cancel, what `fetch_events` does.

    Raises:
        ValueError: there is no first date, and nothing was requested; or the last date has not begun.
    """
    found = await held.look(partial(look, sync=sync, project=source.project), migrate=True)
    fetch = await find_fetch(sync, calendar, found)
    if fetch.dates[0] > fetch.dates[1]:
        return fetch.dates, []
    return fetch.dates, await fetch_events(fetch, source, hook, progress, held)
