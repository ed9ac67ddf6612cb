"""A table of profiles: its pages are kept aside as they come, and it is replaced when all of them are there.

The pages wait in a table of ours, each committed with its row in `_mixpanel_pages`. A download that was broken off
so leaves the fetched table as it was, and all that the next one needs to go on.
"""

from __future__ import annotations

import json
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import duckdb
from arro3.core import DataType, Field, RecordBatch, Schema

from mixpanel_async.duck.arrow_input import JSON, Feed
from mixpanel_async.duck.connection import explained
from mixpanel_async.duck.schema import OURS, PROFILES_COLUMNS, check_columns, table_exists
from mixpanel_async.errors import SelectionMismatchError, StoreError, TableNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixpanel_async.duck.connection import Database

PAGE = Schema(
    [Field("distinct_id", DataType.utf8()), Field("last_seen", DataType.int64()), JSON.with_name("properties")]
)
"""Profiles on their way into the table; `last_seen` in microseconds since 1970."""

_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class KeptPage:
    """One row of `_mixpanel_pages`, the table's name aside."""

    part: int
    """Which of the download's sessions it is of, from 0."""
    page: int
    rows: int
    session_id: str | None
    total: int | None
    page_size: int


class ProfilesTable:
    """One table of an open database, on a cursor of its own. Its methods block: one thread at a time."""

    def __init__(self, database: Database, name: str, selection: str, *, append: bool) -> None:
        """`selection` is JSON. `append`: what comes replaces profiles one by one, and the others stay."""
        schema = database.schema
        self._database = database
        self._name = name
        self._kept = f"{OURS}profiles_{name.lower()}"
        self._table, self._aside = schema.table(name), schema.table(self._kept)
        self._pages, self._selections = f"{schema}._mixpanel_pages", f"{schema}._mixpanel_selections"
        self._selection = selection
        self._append = append
        self._download = "profiles to append" if append else "profiles to come"
        self._began_at: int | None = None
        self._is_open = False

    def open(self) -> None:
        """Open the cursor; `close` lets it go."""
        self._cursor = self._database.cursor()
        self._feed = Feed(self._cursor, "page", PAGE)
        self._is_open = True

    def check(self) -> None:
        """Check that the table is missing, or may take this selection.

        Raises:
            TableNotFoundError, SelectionMismatchError: by `append`.
            StoreError: a table of that name is there that is no profiles table of ours.
        """
        with explained(self._name):
            if not self._is_there(self._name):
                if self._append:
                    raise TableNotFoundError(f"There is no table {self._name!r} to append to: fetch it first.")
                return
            kind, held = self._known(self._name)
        if kind != "profiles":
            what = f"holds {kind}" if kind else "was not made by this library"
            raise StoreError(f"Table {self._name!r} {what}: choose another name.")
        with explained(self._name):
            check_columns(self._cursor, self._table, "profiles")  # a table made where ours was dropped is not ours
        if self._append:
            held, asked = map(_shape, (held, self._selection))
        else:
            asked = self._selection
        if held != asked:
            raise SelectionMismatchError(
                f"Table {self._name!r} holds the selection {held[:_EXCERPT]}, and {asked[:_EXCERPT]} is asked for: use "
                "the same selection, or another table."
            )

    def begin(self) -> int:
        """Forget a download that was broken off, and begin another; gives when, in epoch seconds."""
        with self._transaction():
            self._forget(self._kept)
            self._cursor.execute(f"DROP TABLE IF EXISTS {self._aside}")
            self._cursor.execute(f"CREATE TABLE {self._aside} {PROFILES_COLUMNS}")
            self._remember(self._kept, self._download)
            return self._take()

    def go_on(self) -> tuple[int, list[KeptPage]] | None:
        """When the download that was broken off began, and its pages; `None` where there are none.

        Raises:
            SelectionMismatchError: it is one of other profiles.
        """
        with explained(self._name):
            kind, selection = self._known(self._kept)
            if not kind or not self._is_there(self._kept):
                return None
            if (kind, selection) != (self._download, self._selection):
                raise SelectionMismatchError(
                    f"The download for {self._name!r} that was broken off is of {selection[:_EXCERPT]} ({kind}), and "
                    f"{self._selection[:_EXCERPT]} is asked for: pass the same, or begin anew without resume."
                )
            query = (
                f"SELECT part, page, rows, session_id, total, page_size FROM {self._pages} WHERE table_name = ? "
                "ORDER BY part, page"
            )
            rows = self._cursor.execute(query, [self._kept]).fetchall()
            if not rows:  # killed before its first page: when it began is not now
                return None
            return self._take(), [KeptPage(*row) for row in rows]

    def keep(self, page: KeptPage, profiles: RecordBatch) -> None:
        """Keep a page aside, in one transaction. Raises StoreError, also where it would be among another's pages."""
        self._database.make_room(profiles.nbytes // max(1, profiles.num_rows))
        with self._feed.of([profiles]), self._transaction():
            self._check_mine()
            self._cursor.execute(
                f"INSERT INTO {self._aside} SELECT distinct_id, make_timestamp(last_seen), properties FROM page"
            )
            self._cursor.execute(
                f"INSERT INTO {self._pages} VALUES (?, ?, ?, ?, ?, ?, ?, now())", [self._kept, *astuple(page)]
            )

    def publish(self) -> int:
        """Let the pages be the table, in one transaction; gives how many profiles came.

        Of a profile that came more than once the last is taken.

        Raises:
            StoreError: DuckDB cannot write, or another download began meanwhile; the table is as before.
        """
        with self._transaction():
            self._check_mine()
            self._drop_repeated()
            rows = int(self._cursor.execute(f"SELECT count(*) FROM {self._aside}").fetchall()[0][0])
            if self._append:
                self._cursor.execute(
                    f"DELETE FROM {self._table} WHERE distinct_id IN (SELECT distinct_id FROM {self._aside})"
                )
                self._cursor.execute(f"INSERT INTO {self._table} SELECT * FROM {self._aside}")
                self._cursor.execute(f"DROP TABLE {self._aside}")
            else:
                self._cursor.execute(f"DROP TABLE IF EXISTS {self._table}")
                self._cursor.execute(f'ALTER TABLE {self._aside} RENAME TO "{self._name}"')
                self._remember(self._name.lower(), "profiles")
            self._forget(self._kept)
        return rows

    def close(self) -> None:
        """Let go. What was kept stays for a download that goes on, unless it is nothing."""
        if not self._is_open:
            return
        with closing(self._cursor), suppress(StoreError), self._transaction():  # the next fetch clears up too
            query = f"SELECT count(*) FROM {self._pages} WHERE table_name = ?"
            if self._began() == self._began_at and not self._cursor.execute(query, [self._kept]).fetchall()[0][0]:
                self._cursor.execute(f"DROP TABLE IF EXISTS {self._aside}")
                self._forget(self._kept)

    def _drop_repeated(self) -> None:
        repeated = f"SELECT distinct_id FROM {self._aside} GROUP BY distinct_id HAVING count(*) > 1"
        if self._cursor.execute(f"SELECT 1 FROM ({repeated}) LIMIT 1").fetchall():
            self._cursor.execute(
                f"DELETE FROM {self._aside} WHERE rowid NOT IN "
                f"(SELECT max(rowid) FROM {self._aside} GROUP BY distinct_id)"
            )

    def _is_there(self, name: str) -> bool:
        return table_exists(self._cursor, self._database.schema, name)

    def _known(self, name: str) -> tuple[str, str]:
        """What type a table is, and what it holds; empty texts where it is none of ours."""
        query = f"SELECT type, selection FROM {self._selections} WHERE table_name = lower(?)"
        found = self._cursor.execute(query, [name]).fetchone()
        return ("", "") if found is None else (found[0], found[1])

    def _take(self) -> int:
        """Take what is kept for this call's own; gives when it began, in epoch seconds."""
        self._began_at = self._began()
        return (self._began_at or 0) // 1_000_000

    def _began(self) -> int | None:
        """When the download that is kept began, in epoch microseconds: what tells it from any other of the table."""
        query = f"SELECT epoch_us(created_at) FROM {self._selections} WHERE table_name = ?"
        found = self._cursor.execute(query, [self._kept]).fetchone()
        return None if found is None else int(found[0])

    def _check_mine(self) -> None:
        """Another client of the same connection takes no turns with this one."""
        if self._began() != self._began_at:
            raise StoreError(f"Table {self._name!r}: another client fetches into it. Use one client for both calls.")

    def _remember(self, name: str, kind: str) -> None:
        self._cursor.execute(
            f"INSERT OR REPLACE INTO {self._selections} VALUES (?, ?, ?, now())", [name, kind, self._selection]
        )

    def _forget(self, name: str) -> None:
        for table in (self._pages, self._selections):
            self._cursor.execute(f"DELETE FROM {table} WHERE table_name = ?", [name])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with explained(self._name):
            self._cursor.execute("BEGIN")
            try:
                yield
                self._cursor.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.Error):  # a COMMIT that failed, or a lost database, has ended it already
                    self._cursor.execute("ROLLBACK")
                raise


def _shape(selection: str) -> str:
    """What of a selection all profiles of a table have in common."""
    told = json.loads(selection)
    return json.dumps({name: told[name] for name in ("group_id", "output_properties")}, ensure_ascii=False)
