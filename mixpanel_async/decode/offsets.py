r"""Where the events' texts stand in a block: found for all lines at once, and no line becomes an object.

An ordinary line, in Mixpanel's own spelling, begins `{"event":"`, holds `","properties":{` and ends `}}\n`. What stands
between, and whether it is UTF-8, is for the JSON parser to judge, but for one thing that DuckDB's lets pass: a comma
before the end of an object or array. So that is looked for here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEAD = b'{"event":"'
_MARK = b'","properties":{'
_TAIL = b"}}\n"

_LEAST = len(_HEAD) + len(_MARK) + len(_TAIL) - 1
"""Bytes of the shortest ordinary line."""
_NEAR = 80
"""Bytes of a line after its head in which the mark is looked for first, for all lines at once."""

_SPACE, _COMMA, _CLOSING = b" ,}"
_SLICE = 1 << 18
"""Bytes that are looked over at a time: they and what is made of them stay in a core's cache."""
_NEWLINE = b"\n"[0]


class Cuts(NamedTuple):
    """Where the texts of a block's events stand, and which need a stricter look."""

    offsets: NDArray[np.int32]
    """A row an event: where its name begins and ends, and its properties; the name with its quotes."""
    suspects: NDArray[np.uint8]
    """1 where an event may hold what only DuckDB takes for JSON."""


def cut(block: bytes) -> Cuts | None:
    """Cut a block of whole lines; `None` where one of them is not ordinary."""
    if len(block) < _LEAST:
        return None
    ends, commas = _look_over(np.frombuffer(block, np.uint8))
    starts = np.zeros_like(ends)
    np.add(ends[:-1], 1, out=starts[1:])
    if len(ends) == 0 or (ends - starts).min() < _LEAST - 1:
        return None
    names = starts + len(_HEAD)
    marks = _marks(block, names, ends)
    heads, tails = _texts(block, starts, len(_HEAD)), _texts(block, ends - 2, len(_TAIL))
    if not ((heads == _HEAD) & (tails == _TAIL) & (marks >= names) & (marks + len(_MARK) < ends)).all():
        return None
    # From the mark's quote to its comma, and from the mark's brace to the line's last.
    offsets = np.stack([names - 1, marks + 1, marks + len(_MARK) - 1, ends - 1], axis=1).astype(np.int32)
    suspects = np.zeros(len(ends), np.uint8)
    suspects[ends.searchsorted(commas)] = 1
    if b"\t" in block or b"\r" in block:  # never within a text: somebody else's spelling
        suspects[:] = 1
    return Cuts(offsets, suspects)


def _look_over(text: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the lines end, and where a comma may stand before a closing bracket, blanks between them or not."""
    ends, commas = [], []
    scratch = np.empty((2, _SLICE), np.uint8)
    for start in range(0, len(text), _SLICE):
        here, after = text[start : start + _SLICE], text[start + 1 : start + _SLICE + 1]
        before, closing = scratch[0, : len(here)], scratch[1, : len(after)]
        ends.append(np.flatnonzero(np.equal(here, _NEWLINE, out=before.view(np.bool_))) + start)
        # 0 for "," and " ", and "$" and "(", which are sorted out below; then for "}" and "]".
        np.bitwise_and(here, 0xF3, out=before)
        np.bitwise_xor(before, _SPACE, out=before)
        np.bitwise_or(after, 0x20, out=closing)
        np.bitwise_xor(closing, _CLOSING, out=closing)
        pairs = np.bitwise_or(before[: len(after)], closing, out=closing)
        if not pairs.min(initial=1):
            at = np.flatnonzero(pairs == 0) + start
            blank = (text[at] == _SPACE) & np.isin(text[at - 1], (_SPACE, _COMMA))
            commas.append(at[blank | (text[at] == _COMMA)])
    return np.concatenate(ends), np.concatenate([*commas, np.empty(0, np.intp)])


def _marks(block: bytes, names: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where the mark of each line is; before its name where it has none."""
    marks = names - 1
    near = names[: names.searchsorted(len(block) - _NEAR)]
    marks[: len(near)] = near + np.strings.find(_texts(block, near, _NEAR), _MARK)
    for line in np.flatnonzero(marks < names):
        marks[line] = block.find(_MARK, names[line], ends[line] - 1)
    return marks


def _texts(block: bytes, places: NDArray[np.intp], size: int) -> NDArray[np.bytes_]:
    """The bytes at each of these places, so many."""
    if not len(places):
        return np.empty(0, f"S{size}")
    return np.ndarray((len(block) - size + 1,), f"S{size}", block, 0, (1,))[places]
