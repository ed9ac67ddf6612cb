"""Views: what the typed columns of a view stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mixpanel_async import html
from mixpanel_async.terminal import count, printable, table


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a view."""

    name: str
    """Quote it in SQL: `"$browser"`."""
    property: str | None
    """The property whose values it has; `None` for a column of the table itself."""
    type: str
    """As DuckDB names it."""
    note: str = ""
    """Why the column has this type, or this name, where that is not plain."""


@dataclass(frozen=True, slots=True)
class ViewInfo:
    """A view, and its columns. It prints as a table for a terminal."""

    name: str
    columns: tuple[ViewColumn, ...]
    """In order: the table's own, then one for each property."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order; tuples as lists."""
        return {"name": self.name, "columns": list(map(asdict, self.columns))}

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        rows = [(each.name, each.property, each.type, each.note) for each in self.columns[: html.ROWS]]
        left_out = len(self.columns) - html.ROWS
        notes = [f"and {left_out:,} more"] if left_out > 0 else []
        return html.table(("column", "property", "type", "note"), rows, title=f"View {self.name}", notes=notes)


def _lines(view: ViewInfo) -> Iterator[str]:
    yield f"View {view.name}: {count(len(view.columns), 'column')}"
    rows = [
        (
            printable(column.name, 30),
            "" if column.property is None else printable(column.property, 30) or '""',
            printable(column.type, 30),
            column.note,
        )
        for column in view.columns
    ]
    yield from table(("column", "property", "type", "note"), rows)
