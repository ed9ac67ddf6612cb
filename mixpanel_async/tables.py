"""TableInfo: one table of a database, and what is known of it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mixpanel_async import html, terminal

_HEADS = ("table", "type", "rows", "first date", "last date", "fetched at (UTC)", "size", "selection")
_RIGHT = (2, 6)
_SELECTED = 40
"""Characters of a selection in a terminal."""


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table that this library made, or a view that reads one."""

    name: str
    type: str
    """`events`, `profiles`, the name of a lookup, such as `cohorts`, or `view`."""
    selection: Mapping[str, Any]
    """What was selected for it: `events`, `where` and so on; empty for all. For a lookup, the parameters of the last
    request.
    """
    rows: int | None
    """Rows that it has now; `None` for a view, which would have to be run."""
    first_date: str | None
    """The first day of events that is held, `YYYY-MM-DD`, in the project's days; `None` if it does not hold events."""
    last_date: str | None
    """The last day. There may be gaps between the two: `Store.coverage` has them."""
    fetched_at: dt.datetime | None
    """When the newest of it was requested, aware, in UTC; `None` for a view, and if nothing was fetched yet."""
    bytes: int | None
    """Bytes of the blocks in the file that hold it. A block, usually 256 KiB, that two tables share counts for both.
    Rows that are not in the file yet (in its write-ahead log, or in a database in memory) do not count. `None` for a
    view.
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order, the time as ISO 8601."""
        fetched_at = None if self.fetched_at is None else self.fetched_at.isoformat()
        return {**asdict(self), "fetched_at": fetched_at}

    def __str__(self) -> str:
        return terminal.pairs(*self._parts())

    def _repr_html_(self) -> str:
        return html.pairs(*self._parts())

    def _parts(self) -> tuple[str, Sequence[tuple[str, str]]]:
        cells = zip(_HEADS[1:], _cells(self, html.TITLE)[1:], strict=True)
        kind = "View" if self.type == "view" else "Table"
        return f"{kind} {self.name}", [(head, cell) for head, cell in cells if cell]


class Tables(tuple[TableInfo, ...]):
    """A tuple of `TableInfo` that prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        if not self:
            return html.pairs(_NOTHING, [])
        left_out = len(self) - html.ROWS
        notes = [f"and {left_out:,} more"] if left_out > 0 else []
        rows = [_cells(table, html.TITLE) for table in self[: html.ROWS]]
        return html.table(_HEADS, rows, right=_RIGHT, notes=notes)


_NOTHING = "There are no tables of this library yet."


def _lines(tables: Tables) -> Iterator[str]:
    """Yield the lines of a table; a column with nothing in it is left out."""
    if not tables:
        yield _NOTHING
        return
    rows = [_cells(table, _SELECTED) for table in tables]
    used = [place for place in range(len(_HEADS)) if any(row[place] for row in rows)]
    heads, *shown = ([line[place] for place in used] for line in (_HEADS, *rows))
    yield from terminal.table(heads, shown, right=[used.index(place) for place in _RIGHT if place in used])


def _cells(table: TableInfo, most: int) -> tuple[str, ...]:
    return (
        table.name,
        table.type,
        "" if table.rows is None else f"{table.rows:,}",
        table.first_date or "",
        table.last_date or "",
        "" if table.fetched_at is None else f"{table.fetched_at.astimezone(dt.UTC):%Y-%m-%d %H:%M}",
        "" if table.bytes is None else terminal.as_size(table.bytes),
        _selected(table, most),
    )


def _selected(table: TableInfo, most: int) -> str:
    """What was selected, in at most so many characters."""
    if not table.selection:
        return "all" if table.type in {"events", "profiles"} else ""
    text = "; ".join(f"{name}: {_plain(value)}" for name, value in table.selection.items())
    return terminal.printable(text, most)


def _plain(value: object) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
