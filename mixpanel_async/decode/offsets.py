r"""Finds the offsets of the texts in ordinary lines, for a whole block at once, without an object for each line.

An ordinary line, in Mixpanel's own spelling, begins `{"event":"`, contains `","properties":{` and ends `}}\n`. DuckDB's
parser checks what is between, and whether it is UTF-8. But that parser also accepts a comma before a closing bracket.
Lines that may have one are found here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

_HEAD = b'{"event":"'
_MARK = b'","properties":{'
_TAIL = b"}}\n"

_SHORTEST = len(_HEAD) + len(_MARK) + len(_TAIL) - 1
"""Bytes of the shortest ordinary line."""
_NEAR = 80
"""Bytes of a line after its head in which the mark is looked for first, for all lines at once."""

_SLICE = 1 << 18
"""Bytes that are examined at a time: they and what is computed from them stay in a core's cache."""

_NEWLINE, _SPACE, _COMMA, _CLOSING = b"\n ,}"
_NOWHERE = np.empty(0, np.intp)


class Offsets(NamedTuple):
    """Where the texts of a block's events begin, and which events need the slow parser."""

    texts: NDArray[np.int32]
    """One row per event: begin and end of its name (with the quotes), begin and end of its properties."""
    suspects: NDArray[np.uint8]
    """1 where an event may hold text that DuckDB accepts as JSON and other parsers refuse."""


def find_offsets(block: bytes) -> Offsets | None:
    """Find the texts of a block of whole lines; `None` where one of them is not ordinary."""
    if len(block) < _SHORTEST:
        return None
    ends, suspicious = _examine(np.frombuffer(block, np.uint8))
    starts = np.zeros_like(ends)
    np.add(ends[:-1], 1, out=starts[1:])
    if len(ends) == 0 or (ends - starts).min() < _SHORTEST - 1:
        return None
    names = starts + len(_HEAD)
    marks = _marks(block, names, ends)
    heads, tails = _texts_at(block, starts, len(_HEAD)), _texts_at(block, ends - 2, len(_TAIL))
    if not ((heads == _HEAD) & (tails == _TAIL) & (marks >= names) & (marks + len(_MARK) < ends)).all():
        return None
    # From the mark's quote to its comma, and from the mark's brace to the line's last.
    texts = np.stack([names - 1, marks + 1, marks + len(_MARK) - 1, ends - 1], axis=1).astype(np.int32)
    suspects = np.zeros(len(ends), np.uint8)
    suspects[ends.searchsorted(suspicious)] = 1
    if b"\t" in block or b"\r" in block:  # never within a text: another spelling than Mixpanel's
        suspects[:] = 1
    return Offsets(texts, suspects)


def _examine(text: Bytes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the line breaks, and the commas that only DuckDB accepts."""
    ends, suspicious = [], []
    scratch = np.empty((2, _SLICE), np.uint8)
    for start in range(0, len(text), _SLICE):
        here, after = text[start : start + _SLICE], text[start + 1 : start + _SLICE + 1]
        is_end = np.equal(here, _NEWLINE, out=scratch[0, : len(here)].view(np.bool_))
        ends.append(np.flatnonzero(is_end) + start)
        suspicious.append(_commas(text, start, here, after, scratch))
    return np.concatenate(ends), np.concatenate([*suspicious, _NOWHERE])


def _commas(text: Bytes, start: int, before: Bytes, after: Bytes, scratch: Bytes) -> NDArray[np.intp]:
    """Find commas before a closing bracket, with or without blanks between them."""
    first, second = scratch[0, : len(before)], scratch[1, : len(after)]
    # 0 for "," and " ", and for "$" and "(", which are sorted out below; then 0 for "}" and "]".
    np.bitwise_and(before, 0xF3, out=first)
    np.bitwise_xor(first, _SPACE, out=first)
    np.bitwise_or(after, 0x20, out=second)
    np.bitwise_xor(second, _CLOSING, out=second)
    pairs = np.bitwise_or(first[: len(after)], second, out=second)
    if pairs.min(initial=1):
        return _NOWHERE
    at = np.flatnonzero(pairs == 0) + start
    blank = (text[at] == _SPACE) & np.isin(text[at - 1], (_SPACE, _COMMA))
    found: NDArray[np.intp] = at[blank | (text[at] == _COMMA)]
    return found


def _marks(block: bytes, names: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.intp]:
    """Find the mark of each line; the place before its name where it has none."""
    marks = names - 1
    near = names[: names.searchsorted(len(block) - _NEAR)]
    marks[: len(near)] = near + np.strings.find(_texts_at(block, near, _NEAR), _MARK)
    for line in np.flatnonzero(marks < names):
        marks[line] = block.find(_MARK, names[line], ends[line] - 1)
    return marks


def _texts_at(block: bytes, places: NDArray[np.intp], size: int) -> NDArray[np.bytes_]:
    """Return the `size` bytes at each of these places."""
    if not len(places):
        return np.empty(0, f"S{size}")
    return np.ndarray((len(block) - size + 1,), f"S{size}", block, 0, (1,))[places]
