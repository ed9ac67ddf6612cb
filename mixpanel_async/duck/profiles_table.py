"""A table of profiles: its pages are kept aside as they arrive, and replace it when all of them are there.

The pages wait in a table of the library's own, each committed with its row in `_mixpanel_pages`. So a download that is
broken off leaves the fetched table as it was, and keeps what the next call needs to resume it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Literal

from mixpanel_async.decode.layout import PROFILES
from mixpanel_async.duck.arrow_input import ArrowInput
from mixpanel_async.duck.connection import table_cursor
from mixpanel_async.duck.held_profiles import (
    find_selection,
    held_selection,
    read_selection,
    record_full,
    record_merge,
)
from mixpanel_async.duck.projects import check_project, other_project, record_project, recorded_project
from mixpanel_async.duck.schema import OWN_PREFIX, PROFILES_COLUMNS, UTC_NOW, has_rows, stored_time, table_exists
from mixpanel_async.duck.transactions import transaction
from mixpanel_async.errors import SelectionMismatchError, StoreError, TableNotFoundError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from arro3.core import RecordBatch

    from mixpanel_async.duck.connection import Database
    from mixpanel_async.selections import ProfileSelection

Mode = Literal["replace", "append", "sync"]
"""What a download does to the table. It becomes the table; or each profile replaces the one with its distinct id, and
the others stay; or the same, and these profiles are all that were seen since the table's last sync.
"""

_EXCERPT = 200
_DOWNLOADS: Mapping[Mode, str] = {
    "replace": "profiles to come",
    "append": "profiles to append",
    "sync": "profiles to sync",
}
"""What a download that is not complete is called in `_mixpanel_selections`."""


@dataclass(frozen=True, slots=True)
class KeptPage:
    """One row of `_mixpanel_pages`, the table's name aside."""

    part: int
    """Which of the download's sessions, from 0."""
    page: int
    rows: int
    session_id: str | None
    total: int | None
    page_size: int


class ProfilesTable:
    """One table of a database, for one download. Its methods block: one thread at a time, while the database is open.
    It may be closed and opened again between them.
    """

    def __init__(
        self, database: Database, name: str, selection: ProfileSelection, mode: Mode, *, project: str | None = None
    ) -> None:
        """`project`: whose profiles they are, if that is known."""
        self._database = database
        self._project = project
        self._name = name
        self._kept = f"{OWN_PREFIX}profiles_{name.lower()}"
        self._selection = selection
        self._mode = mode
        self._began_at: int | None = None

    def check(self) -> None:
        """Check that the table is missing, or may take this selection.

        Raises:
            TableNotFoundError, SelectionMismatchError: by the mode, and by the project.
            StoreError: a table of that name is not a profiles table of this library.
        """
        with self._opened():
            self._check()

    def begin(self, now: dt.datetime | None = None) -> int:
        """Forget a download that was broken off, and begin another; return when, in seconds since 1970.

        `now`: the time, if it is not DuckDB's.
        """
        with self._transaction():
            self._forget(self._kept)
            self._cursor.execute(f"DROP TABLE IF EXISTS {self._aside}")
            self._cursor.execute(f"CREATE TABLE {self._aside} {PROFILES_COLUMNS}")
            self._record(self._kept, _DOWNLOADS[self._mode], self._project, now)
            return self._own()

    def resume(self) -> tuple[int, list[KeptPage]] | None:
        """Return when the download that was broken off began, and its pages; `None` if no page is kept, or it was that
        of a sync.

        Raises:
            SelectionMismatchError: it selected other profiles, or is of another project.
        """
        with self._opened():
            kind, selection = find_selection(self._cursor, self._database.schema, self._kept)
            if kind in ("", _DOWNLOADS["sync"]) or not table_exists(self._cursor, self._database.schema, self._kept):
                return None
            if kind != _DOWNLOADS[self._mode] or read_selection(selection) != self._selection:
                raise SelectionMismatchError(
                    f"The download for {self._name!r} that was broken off selected {selection[:_EXCERPT]} ({kind}), "
                    f"and this call selects {self._selection.to_json()[:_EXCERPT]}: pass the same selection, or start "
                    "again without resume."
                )
            if (held := other_project(self._cursor, self._database.schema, self._kept, self._project)) is not None:
                raise SelectionMismatchError(
                    f"The download for {self._name!r} that was broken off is of project {held}, and this call is of "
                    f"project {self._project}: start again without resume."
                )
            query = (
                f"SELECT part, page, rows, session_id, total, page_size FROM {self._pages} WHERE table_name = ? "
                "ORDER BY part, page"
            )
            rows = self._cursor.execute(query, [self._kept]).fetchall()
            if not rows:  # killed before its first page: its `as_of_timestamp` is old
                return None
            return self._own(), [KeptPage(*row) for row in rows]

    def has_new(self, profiles: RecordBatch) -> bool:
        """Whether any of these profiles is not on a page that is kept."""
        with self._opened(), ArrowInput(self._cursor, "page", PROFILES).holding([profiles]):
            query = (
                f"SELECT 1 FROM page ANTI JOIN {self._aside} AS aside "
                "ON encode(page.distinct_id) = encode(aside.distinct_id) LIMIT 1"
            )
            return bool(self._cursor.execute(query).fetchall())

    def keep(self, page: KeptPage, profiles: RecordBatch) -> None:
        """Keep a page aside, in one transaction. Raises StoreError, also if another client began a download of its
        own.
        """
        self._database.make_room(profiles.nbytes // max(1, profiles.num_rows))
        with (
            self._opened(),
            ArrowInput(self._cursor, "page", PROFILES).holding([profiles]),
            transaction(self._cursor),
        ):
            self._check_owner()
            self._cursor.execute(
                f"INSERT INTO {self._aside} (distinct_id, last_seen, properties) "
                "SELECT distinct_id, make_timestamp(last_seen), properties FROM page"
            )
            self._cursor.execute(
                f"INSERT INTO {self._pages} (table_name, part, page, rows, session_id, total, page_size, fetched_at) "
                f"VALUES (?, ?, ?, ?, ?, ?, ?, {UTC_NOW})",
                [self._kept, *astuple(page)],
            )
            record_project(self._cursor, self._database.schema, self._kept, self._project)

    def publish(self) -> int:
        """Make the pages the table, in one transaction; return how many profiles they have.

        Of a profile that is on several pages, or twice on one, the last that was kept is taken.

        Raises:
            StoreError: DuckDB cannot write, or another download began meanwhile, or the table is another one now, as
                `check` says; it is as before, and the pages stay kept.
        """
        with self._transaction():
            self._check_owner()
            self._check()
            self._delete_repeated()
            rows = int(self._cursor.execute(f"SELECT count(*) FROM {self._aside}").fetchall()[0][0])
            if self._mode == "replace":
                self._replace(rows)
            else:
                self._merge(rows)
            self._forget(self._kept)
        return rows

    def finish(self) -> None:
        """End the download. Pages that were kept stay for `resume`; those of a sync are dropped."""
        with self._transaction():
            if self._began() == self._began_at and (self._mode == "sync" or not self._has_pages()):
                self._cursor.execute(f"DROP TABLE IF EXISTS {self._aside}")
                self._forget(self._kept)

    def _check(self) -> None:
        held = held_selection(self._cursor, self._database.schema, self._name)
        if held is None:
            if self._mode != "replace":
                what = "append to" if self._mode == "append" else "sync"
                raise TableNotFoundError(f"There is no table {self._name!r} to {what}: fetch it first.")
            return
        check_project(self._cursor, self._database.schema, self._name, self._project)
        if not self._may_take(held):
            selection, ours = read_selection(held), self._selection
            if selection is not None and self._mode == "append":  # only these need to be the same
                ours = replace(selection, group_id=ours.group_id, output_properties=ours.output_properties)
            there, here = selection.differences(ours) if selection else (held, ours.to_json())
            raise SelectionMismatchError(
                f"Table {self._name!r} was fetched with {there[:_EXCERPT]}, and this call has {here[:_EXCERPT]}: pass "
                "the same, or another table name."
            )

    def _may_take(self, held: str) -> bool:
        """Whether profiles of this selection belong into a table that holds another: they must have the same shape."""
        selection, ours = read_selection(held), self._selection
        if selection is None or self._mode != "append":
            return selection == ours
        return (selection.group_id, selection.output_properties) == (ours.group_id, ours.output_properties)

    def _replace(self, rows: int) -> None:
        project = self._project_of_pages()
        if table_exists(self._cursor, self._database.schema, self._name):  # else its record is of one that is gone
            project = project or recorded_project(self._cursor, self._database.schema, self._name)
        self._cursor.execute(f"DROP TABLE IF EXISTS {self._table}")
        self._cursor.execute(f'ALTER TABLE {self._aside} RENAME TO "{self._name}"')
        self._record(self._name.lower(), "profiles", project)
        record_full(self._cursor, self._database.schema, self._name, self._began_at or 0, rows)

    def _merge(self, rows: int) -> None:
        deleted = self._cursor.execute(
            f"DELETE FROM {self._table} WHERE encode(distinct_id) IN (SELECT encode(distinct_id) FROM {self._aside})"
        ).fetchall()[0][0]
        self._cursor.execute(f"INSERT INTO {self._table} BY NAME SELECT * FROM {self._aside}")
        self._cursor.execute(f"DROP TABLE {self._aside}")
        record_project(self._cursor, self._database.schema, self._name, self._project_of_pages())
        began_at = self._began_at if self._mode == "sync" else None
        record_merge(self._cursor, self._database.schema, self._name, began_at, rows - deleted)

    def _delete_repeated(self) -> None:
        repeated = f"SELECT 1 FROM {self._aside} GROUP BY encode(distinct_id) HAVING count(*) > 1"
        if self._cursor.execute(f"SELECT 1 FROM ({repeated}) LIMIT 1").fetchall():
            self._cursor.execute(
                f"DELETE FROM {self._aside} WHERE rowid NOT IN "
                f"(SELECT max(rowid) FROM {self._aside} GROUP BY encode(distinct_id))"
            )

    def _has_pages(self) -> bool:
        return has_rows(self._cursor, self._database.schema, "pages", self._kept)

    def _own(self) -> int:
        """Make the kept download this object's own; return when it began, in seconds since 1970."""
        self._began_at = self._began()
        return (self._began_at or 0) // 1_000_000

    def _began(self) -> int | None:
        """Return when the kept download began, in microseconds since 1970, which tells it from any other of the
        table.
        """
        query = f"SELECT epoch_us(created_at) FROM {self._selections} WHERE table_name = ?"
        found = self._cursor.execute(query, [self._kept]).fetchall()
        return int(found[0][0]) if found else None

    def _check_owner(self) -> None:
        """Check that no other client or process began a download of its own meanwhile."""
        if self._began() != self._began_at:
            raise StoreError(f"Table {self._name!r}: another client fetches into it. Use one client for both calls.")

    def _project_of_pages(self) -> str | None:
        """Return whose profiles the pages hold: a resumed download may know it from the call that it goes on from."""
        return self._project or recorded_project(self._cursor, self._database.schema, self._kept)

    def _record(self, name: str, kind: str, project: str | None, created_at: dt.datetime | None = None) -> None:
        """Write a row of `_mixpanel_selections`; created now, unless a time is given."""
        self._cursor.execute(
            f"INSERT OR REPLACE INTO {self._selections} (table_name, type, selection, created_at, project) "
            f"VALUES (?, ?, ?, coalesce(?::TIMESTAMP, {UTC_NOW}), ?)",
            [name, kind, self._selection.to_json(), created_at and stored_time(created_at), project],
        )

    def _forget(self, name: str) -> None:
        for table in (self._pages, self._selections):
            self._cursor.execute(f"DELETE FROM {table} WHERE table_name = ?", [name])

    @contextmanager
    def _opened(self) -> Iterator[None]:
        """Open a cursor for one piece of work."""
        schema = self._database.schema
        self._table, self._aside = schema.table(self._name), schema.table(self._kept)
        self._pages, self._selections = f"{schema}._mixpanel_pages", f"{schema}._mixpanel_selections"
        with table_cursor(self._database, self._name) as self._cursor:
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._opened(), transaction(self._cursor):
            yield
