"""Results as HTML, for notebooks: bounded, escaped, without scripts, and in the colours of the page around them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

ROWS = 20
"""Rows that a table has at most: the first ones."""
COLUMNS = 20
"""Columns that it has at most."""
TEXT = 80
"""Characters of a text that are shown. Up to `TITLE` of them are in the tooltip."""
TITLE = 1000
NOTES = 10
"""Lines below a table at most; then how many more there are."""

Row = Sequence[object]
Mark = Literal["held", "partial", "rejected", "gap"]

MEANINGS: Mapping[Mark, str] = {
    "held": "held",
    "partial": "not over when fetched",
    "rejected": "with rejected lines",
    "gap": "not held",
}
"""What the marks of a calendar mean."""

_BOX = '<div class="mixpanel-async tex2jax_ignore mathjax_ignore" style="overflow-x:auto">{}</div>'
"""The two classes keep MathJax 2 and 3 from making formulas of `$browser and $os`."""
_DIM = "opacity:.6"
_MARKS: Mapping[Mark, tuple[str, str]] = {
    "held": ("background:#2f8f5b;color:#fff", "&nbsp;"),
    "partial": ("background:repeating-linear-gradient(45deg,#b98a1d 0 3px,#8f6a12 3px 6px);color:#fff", "~"),
    "rejected": ("background:#c0392b;color:#fff;font-weight:bold", "!"),
    "gap": ("outline:1px dashed;outline-offset:-2px", "&middot;"),
}
_SPACED = "padding:.2em .7em"
_CELL = "padding:0;width:1.15em;min-width:1.15em;text-align:center;border:1px solid transparent"


@dataclass(frozen=True, slots=True)
class Day:
    """A cell of a calendar."""

    mark: Mark
    title: str
    """What the mark means here, in words, as a tooltip and for a screen reader."""


def text_cell(value: object) -> str:
    """Return a value as escaped text, cut at `TEXT` characters; `None` is a dim NULL."""
    if value is None:
        return f'<i style="{_DIM}">NULL</i>'
    text = str(value)
    if len(text) <= TEXT:
        return _escaped(text)
    return f'<span title="{_escaped(_cut(text, TITLE))}">{_escaped(_cut(text, TEXT))}</span>'


def table(  # noqa: PLR0913 - what a table may have, each with a default
    heads: Sequence[str],
    rows: Iterable[Row],
    *,
    right: Collection[int] = (),
    types: Sequence[str] = (),
    title: str = "",
    notes: Iterable[str] = (),
) -> str:
    """Return a table of the first `ROWS` rows and `COLUMNS` columns. The notes below it must say what is left out.

    Args:
        heads: the columns' names.
        rows: no more than needed are read.
        right: places of the columns that are aligned to the right: numbers.
        types: what stands below the names.
        title: a line above the table.
        notes: lines below it.
    """
    shown = range(min(len(heads), COLUMNS))
    head = "".join(_head(heads[place], types[place] if types else "", is_right=place in right) for place in shown)
    body = "".join(
        "<tr>" + "".join(_cell(row[place], is_right=place in right) for place in shown) + "</tr>"
        for _, row in zip(range(ROWS), rows, strict=False)
    )
    whole = f'<table class="dataframe"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return _box(title, whole, notes)


def pairs(title: str, named: Iterable[tuple[str, object]], notes: Iterable[str] = ()) -> str:
    """Return a table of two columns: names, and what they have."""
    rows = "".join(
        f'<tr><th style="{_SPACED};text-align:left">{_escaped(name)}</th>{_cell(value, is_right=False)}</tr>'
        for name, value in named
    )
    return _box(title, f'<table class="dataframe"><tbody>{rows}</tbody></table>', notes)


def calendar(title: str, months: Iterable[tuple[str, Sequence[Day | None], str]], notes: Iterable[str] = ()) -> str:
    """Return a calendar: a line for each month, with its name, its days (`None` is left blank) and a text.

    The caller bounds the months. Each mark has a sign besides its colour, and the legend says what it means.
    """
    numbers = "".join(f'<th style="{_CELL}">{number if number in _NUMBERED else ""}</th>' for number in range(1, 32))
    rows = "".join(
        f'<tr><th style="text-align:left;white-space:nowrap">{_escaped(name)}</th>{"".join(map(_day, _padded(days)))}'
        f'<td style="text-align:right">{_escaped(text)}</td></tr>'
        for name, days, text in months
    )
    head = f'<thead><tr><th></th>{numbers}<th style="text-align:right">rows</th></tr></thead>'
    whole = (
        f'<table style="font-size:85%;border-collapse:separate;border-spacing:1px">{head}<tbody>{rows}</tbody></table>'
    )
    return _box(title, whole + _legend(), notes)


_NUMBERED = (1, 5, 10, 15, 20, 25, 30)


def _padded(days: Sequence[Day | None]) -> Iterable[Day | None]:
    return [*days, *[None] * (31 - len(days))]


def _day(day: Day | None) -> str:
    if day is None:
        return f'<td style="{_CELL}"></td>'
    style, sign = _MARKS[day.mark]
    title = _escaped(day.title)
    return f'<td style="{_CELL};{style}" title="{title}" aria-label="{title}">{sign}</td>'


def _legend() -> str:
    marks = "".join(
        f'<span style="display:inline-block;width:1.15em;text-align:center;{style}">{sign}</span>'
        f'<span style="margin:0 1.2em 0 .4em">{MEANINGS[mark]}</span>'
        for mark, (style, sign) in _MARKS.items()
    )
    return f'<div style="font-size:85%;margin:.4em 0">{marks}</div>'


def _head(name: str, kind: str, *, is_right: bool) -> str:
    below = f'<br><small style="{_DIM};font-weight:normal">{text_cell(kind)}</small>' if kind else ""
    return f'<th style="{_SPACED};text-align:{_side(is_right=is_right)}">{text_cell(name)}{below}</th>'


def _cell(value: object, *, is_right: bool) -> str:
    return f'<td style="{_SPACED};text-align:{_side(is_right=is_right)};white-space:pre">{text_cell(value)}</td>'


def _side(*, is_right: bool) -> str:
    return "right" if is_right else "left"


def _box(title: str, whole: str, notes: Iterable[str]) -> str:
    above = f"<div><b>{text_cell(title)}</b></div>" if title else ""
    lines = list(notes)
    if len(lines) > NOTES:
        lines[NOTES:] = [f"and {len(lines) - NOTES:,} more"]
    below = "".join(f'<div style="font-size:85%">{_escaped(_cut(note, TITLE))}</div>' for note in lines)
    return _BOX.format(above + whole + below)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _escaped(text: str) -> str:
    """Escape it; a control character, which no HTML may have, becomes a picture of it."""
    pictures = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}
    return escape(text.translate(pictures | {127: 0x2421}))
