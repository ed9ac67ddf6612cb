"""Descriptions: which properties a table holds, and how they changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mixpanel_async import html, terminal

_HEADS = ("property", "share", "types", "distinct", "example", "days")

LINES = 60
"""Properties or changes that are printed at most."""

PropertyType = Literal[
    "string", "date", "datetime", "datetime UTC", "integer", "long integer", "big integer", "number", "huge number",
    "boolean", "object", "array",
]  # fmt: skip
"""JSON's types, with these told apart:

- `date`, `datetime`, `datetime UTC`: strings that are ISO 8601: `2024-01-31`; `2024-01-31T10:00:00`, also with a space
  for the `T`, and with a fraction of up to six digits; the same with a `Z` at the end. Another offset is a `string`.
- `integer`, `long integer`, `big integer`: no fraction and no exponent; up to 15 digits, which a double holds exactly;
  up to 64 bits, with a sign; beyond these.
- `number`, `huge number`: with a fraction or an exponent; beyond the range of a double.
"""


@dataclass(frozen=True, slots=True)
class Property:
    """A property, in the rows that were read."""

    name: str
    rows: int
    """Rows that have it. A row where it is null does not."""
    share: float
    """The same, as a part of the rows that were read: more than 0, up to 1."""
    types: tuple[tuple[PropertyType, float], ...]
    """Each type seen, with its share of the rows that have the property; the most frequent type first."""
    distinct: int
    """About how many different values: within some percent (DuckDB's `approx_count_distinct`)."""
    example: str
    """A value, as JSON text. The first 200 characters of it."""
    first_day: str | None
    """First date of the rows that have it, `YYYY-MM-DD`, in the days of `event_time` (of profiles: of `last_seen`).
    `None` if these rows have no time, which happens with profiles only."""
    last_day: str | None
    """Last date of these rows."""


@dataclass(frozen=True, slots=True)
class Description:
    """The properties of a table. It prints as a table for a terminal."""

    table: str
    event: str | None
    """The event that it is restricted to."""
    rows: int
    """Rows of the table, or of the event."""
    sampled_rows: int
    """Rows that were read. If these are all, everything but `distinct` is exact."""
    properties: tuple[Property, ...]
    """Those that most rows have first; those that equally many rows have by name."""

    @property
    def is_exact(self) -> bool:
        """Whether all rows were read."""
        return self.sampled_rows == self.rows

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order, tuples as lists; then `is_exact`."""
        properties = [asdict(each) | {"types": [list(pair) for pair in each.types]} for each in self.properties]
        return {
            "table": self.table,
            "event": self.event,
            "rows": self.rows,
            "sampled_rows": self.sampled_rows,
            "properties": properties,
            "is_exact": self.is_exact,
        }

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        rows = list(map(_cells, self.properties[: html.ROWS]))
        left_out = len(self.properties) - html.ROWS
        notes = [f"and {left_out:,} more, which fewer rows have: see .properties"] if left_out > 0 else []
        return html.table(_HEADS, rows, right=(1, 3), title=_title(self), notes=notes)


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A property of an event that came, went or changed its types at a day."""

    event: str
    property: str | None
    """`None` if the event itself came or went: its properties are not listed then."""
    kind: Literal["new", "gone", "type"]
    before: tuple[PropertyType, ...]
    """Types of its values before the day, sorted; none if it is new."""
    after: tuple[PropertyType, ...]
    """Types from the day on; none if it is gone."""
    rows: int
    """Rows whose value has a type that the other side does not have; for an event, its rows."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in order; tuples as lists."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def __str__(self) -> str:
        types = f": {' or '.join(self.before) or 'none'} -> {' or '.join(self.after) or 'none'}"
        what = _ITSELF if self.property is None else f"{self.property!r}{types}"
        return f"{self.kind:<5}{self.event!r}: {what} ({terminal.count(self.rows, 'row')})"


class SchemaChanges(tuple[SchemaChange, ...]):
    """A tuple of `SchemaChange` that prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        if not self:
            return _NO_CHANGES
        left_out = [f"and {len(self) - LINES:,} more"] if len(self) > LINES else []
        shown = [_change_cells(each, 30) for each in self[:LINES]]
        return "\n".join([*terminal.table(_CHANGE_HEADS, shown, right=(5,)), *left_out])

    def _repr_html_(self) -> str:
        if not self:
            return html.pairs(_NO_CHANGES, [])
        rows = [_change_cells(each, html.TITLE) for each in self[: html.ROWS]]
        notes = [f"and {len(self) - html.ROWS:,} more"] if len(self) > html.ROWS else []
        return html.table(_CHANGE_HEADS, rows, right=(5,), notes=notes)


_CHANGE_HEADS = ("kind", "event", "property", "before", "after", "rows")
_ITSELF = "the event itself"
_NO_CHANGES = "No property came, went or changed."


def _change_cells(change: SchemaChange, most: int) -> tuple[str, ...]:
    return (
        change.kind,
        terminal.printable(change.event, most),
        _ITSELF if change.property is None else _name(change.property, most),
        " or ".join(change.before),
        " or ".join(change.after),
        f"{change.rows:,}",
    )


def _name(property_: str, most: int) -> str:
    return terminal.printable(property_, most) or '""'


def _title(description: Description) -> str:
    of = "" if description.event is None else f", event {description.event!r}"
    read = "" if description.is_exact else f", a sample of {description.sampled_rows:,} of them was read"
    rows, properties = description.rows, terminal.count(len(description.properties), "property", "properties")
    return f"Table {description.table}{of}: {terminal.count(rows, 'row')}{read}, {properties}"


def _lines(description: Description) -> Iterator[str]:
    yield _title(description)
    shown = description.properties[:LINES]
    if shown:
        yield from terminal.table(_HEADS, list(map(_cells, shown)), right=(1, 3))
    if len(description.properties) > LINES:
        yield f"and {len(description.properties) - LINES:,} more, which fewer rows have: see .properties"


def _cells(each: Property) -> tuple[str, ...]:
    types = (name if share == 1 else f"{name} {_percent(share)}" for name, share in each.types)
    days = "" if each.first_day is None or each.last_day is None else terminal.span(each.first_day, each.last_day)
    return (
        _name(each.name, 30),
        _percent(each.share),
        terminal.printable(", ".join(types), 40),
        f"{each.distinct:,}",
        terminal.printable(each.example, 24),
        days,
    )


def _percent(share: float) -> str:
    """Neither 0% nor 100% stands for a share that is a little more or less."""
    if share == 1:
        return "100%"
    return "<0.1%" if share < 0.001 else f"{min(share, 0.999):.1%}"
