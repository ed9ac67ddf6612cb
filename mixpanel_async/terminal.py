"""Results as plain text, for terminals and logs: bounded, and without control characters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

NOTES = 10
"""Lines below the pairs at most."""
TEXT = 1000
"""Characters of a value or a note at most."""


def pairs(title: str, named: Iterable[tuple[str, object]], notes: Iterable[str] = ()) -> str:
    """Return a line for each name with what it has, the title above them and the notes below. See `html.pairs`."""
    both, below = list(named), list(map(printable, notes))
    if len(below) > NOTES:
        below[NOTES:] = [f"and {len(below) - NOTES:,} more"]
    width = max((len(name) for name, _ in both), default=0)
    lines = [f"{name:<{width}}  {printable(str(value))}" for name, value in both]
    return "\n".join([*([printable(title)] if title else []), *lines, *below])


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """Yield the lines of a table, each column as wide as its longest text; those in `right` are aligned right."""
    lines = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            f"{text:{'>' if place in right else '<'}{width}}"
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def printable(text: str, width: int = TEXT) -> str:
    """Return a text in at most `width` characters, on one line: others are shown as an escape or cut off."""
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"


def span(first: str, last: str) -> str:
    """Return two dates, both inclusive, as a text: `2026-01-01 to 2026-01-07`; one if they are the same."""
    return first if first == last else f"{first} to {last}"


def without_span(message: str, first: str, last: str) -> str:
    """Return an error's message without the dates that it begins with, for what names them anyway."""
    return message.removeprefix(f"{span(first, last)}: ")


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with what it counts: `1 row`, `1,000 rows`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def as_size(size: int) -> str:
    """Return a number of bytes as a text of three digits or so: `262 kB`, `30.4 MB`."""
    if size < 1000:
        return count(size, "byte")
    if size < 1e6:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"
