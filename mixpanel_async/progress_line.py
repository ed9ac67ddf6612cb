"""What a progress bar says, in one line: as much as fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tqdm.utils import disp_len  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixpanel_async.types import FetchProgress

BAR = "{bar} "
"""Where the bar is, as tqdm's formats have it; it fills the columns that are left."""
_LEAST_BAR = 6
"""Columns of the shortest bar, and of the space after it."""


class Part(NamedTuple):
    """One part of the line."""

    text: str
    rank: int
    """Where there is no room for all parts, those with a low rank are there first."""


def line(  # noqa: PLR0913 - all that it says
    now: FetchProgress, columns: int | None, *, table: str, chunks: str, elapsed: str, rate: float
) -> str:
    """Return the line, with a `BAR` if that fits. No part is cut: where one does not fit, it is left out.

    Args:
        now: how far the call is.
        columns: how many there are; `None` for any number.
        table: what is fetched.
        chunks: what chunks are called.
        elapsed: how long the call has taken.
        rate: bytes a second.
    """
    parts = list(_parts(now, table, chunks, elapsed, rate))
    left = columns
    shown = set()
    for part in sorted(parts, key=lambda part: part.rank):
        width = _LEAST_BAR if part.text == BAR else disp_len(part.text)
        if left is None or width <= left:
            shown.add(part)
            left = None if left is None else left - width
    return "".join(part.text for part in parts if part in shown)


def _parts(now: FetchProgress, table: str, chunks: str, elapsed: str, rate: float) -> Iterator[Part]:
    yield Part(f"{table}: ", 10)
    yield Part(BAR, 9)
    yield Part(f"{now.chunks:,}/{now.total_chunks:,}", 0)
    yield Part(f" {chunks}", 4)
    if now.rows or now.chunks:
        yield Part(f", {now.rows:,} rows", 5)
    if rate >= 100:
        yield Part(f", {_rate(rate)}", 8)
    yield Part(f", {elapsed}", 7)
    if now.retries:
        yield Part(f", {now.retries:,} {'retry' if now.retries == 1 else 'retries'}", 6)
    if now.failed_chunks:
        yield Part(f", {now.failed_chunks:,} failed", 1)
    if now.waiting_until is not None:
        yield Part(f", waiting until {now.waiting_until:%H:%M}", 2)
        yield Part(f" for {now.waiting_for}", 3)


def _rate(rate: float) -> str:
    return f"{rate / 1e6:,.1f} MB/s" if rate >= 1e5 else f"{rate / 1e3:,.1f} kB/s"
