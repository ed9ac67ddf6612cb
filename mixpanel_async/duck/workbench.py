"""What chunks are loaded with, one after the other: a cursor, its inputs, and the statements that are bound to it.

To make one takes as long as to load a few hundred rows.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mixpanel_async.duck.arrow_input import ArrowInput
from mixpanel_async.duck.parser import EventParser
from mixpanel_async.duck.row_buffer import MARKED

if TYPE_CHECKING:
    import duckdb

    from mixpanel_async.duck.connection import Database


class Workbench:
    """One chunk's at a time. After an error it must be closed."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, instance: duckdb.DuckDBPyConnection | None = None) -> None:
        self.instance = instance
        """Which DuckDB instance of ours it belongs to, if any."""
        self.cursor = cursor
        self.parser = EventParser(self.cursor)
        self.held = ArrowInput(self.cursor, "held", MARKED)
        self.to_insert = ArrowInput(self.cursor, "to_insert", MARKED)

    def close(self) -> None:
        """Close the cursor, which rolls back a transaction that is open."""
        self.cursor.close()


class Workbenches:
    """The workbenches of one call. Its methods may be called in several threads at the same time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._free: list[Workbench] = []

    def take(self) -> Workbench:
        """Return one that is free, or a new one, while the database is open."""
        with suppress(IndexError):
            while (bench := self._free.pop()).instance is not self._database.instance:
                bench.close()
            return bench
        return Workbench(self._database.cursor(), self._database.instance)

    def give_back(self, bench: Workbench) -> None:
        """Keep one for the next chunk, unless it would keep somebody else's database open."""
        if bench.instance is None:
            bench.close()
        else:
            self._free.append(bench)

    def close(self) -> None:
        """Close those that are free."""
        while self._free:
            self._free.pop().close()
