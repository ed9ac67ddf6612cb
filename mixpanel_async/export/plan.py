"""The plan of a fetch or a stream: from arguments, journal rows and limits to chunks. Pure: nothing is read or
written.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Literal

from mixpanel_async.dates import ONE_DAY, check_chunk_days, split_date_range
from mixpanel_async.export.weights import Weights
from mixpanel_async.tasks import check_workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mixpanel_async.api.limits import Budget
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.records import JournalRow

    Range = tuple[dt.date, dt.date]
    """First and last date, both inclusive."""

CHUNKS_A_WORKER = 3
"""With `chunk_days="auto"`, if there are days and requests enough. Chunks are written while others download, and the
first smaller one sooner: with 1 s to the first byte and 4 MB/s, three were 8 % faster than two.
"""
USUAL_DAYS = 7
"""The most dates of a chunk with `chunk_days="auto"`, if the hour has enough requests left."""
MOST_DAYS = 28
"""The most dates of a chunk that is longer because little is left of the hour; more only if a full hour needs more."""


@dataclass(frozen=True, slots=True)
class Chunking:
    """How a range of dates is cut into chunks, and how many of them are fetched at once; `of` checks the arguments."""

    chunk_days: int | Literal["auto"] | None
    """`None`: the whole range is one request."""
    max_workers: int

    @classmethod
    def of(
        cls, chunk_days: int | Literal["auto"], max_workers: int, limit: int | None, *, parallel: bool, stream: bool
    ) -> Chunking:
        """Check a caller's arguments.

        Raises:
            ValueError: names the argument and what it must be.
        """
        check_chunk_days(chunk_days)
        check_workers(max_workers)
        if parallel and limit is not None:
            raise ValueError("limit belongs to one request: pass parallel=False, or leave limit out.")
        one_request = limit is not None or not (parallel or stream)
        return cls(None if one_request else chunk_days, max_workers if parallel else 1)

    @property
    def is_auto(self) -> bool:
        """Whether the library chooses, and may request a chunk in parts."""
        return self.chunk_days == "auto"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call requests."""

    chunks: Sequence[DateChunk]
    """In order."""
    merges: Mapping[DateChunk, dt.datetime] = field(default_factory=dict)
    """Chunks of which only the rows are requested that Mixpanel processed since a time; the others are requested
    whole.
    """


Keep = Callable[["JournalRow"], "Range | None"]
"""Returns which dates of a journal row need not be fetched again: its first ones, or none."""


def keep_nothing(_: JournalRow) -> Range | None:
    """Fetch all dates."""
    return None


def keep_final(row: JournalRow) -> Range | None:
    """Fetch what is missing, and dates that were not over when they were fetched: `resume`."""
    return (row.first, row.last) if row.is_final else None


def plan_chunks(
    dates: Range,
    chunking: Chunking,
    journal: Sequence[JournalRow],
    budget: Budget,
    keep: Keep = keep_nothing,
) -> list[DateChunk]:
    """Return the chunks to fetch, in order.

    A chunk that can only be replaced as a whole is fetched as a whole, even if it reaches beyond `dates`.
    """
    completed = [kept for row in journal if (kept := keep(row)) is not None]
    atomic = [(row.first, row.last) for row in journal if row.is_atomic]
    ranges = [_widened(*each, atomic) for each in _without(*dates, completed)]
    days = sum((last - first).days + 1 for first, last in ranges)
    if chunking.chunk_days == "auto":
        chunks = _auto_chunks(ranges, days, chunking.max_workers, Weights(journal), budget)
    else:
        chunk_days = chunking.chunk_days or max(days, 1)
        chunks = [chunk for first, last in ranges for chunk in split_date_range(first, last, chunk_days)]
    return _join_across(chunks, atomic)


def _auto_chunks(
    ranges: Sequence[Range], days: int, max_workers: int, weights: Weights, budget: Budget
) -> list[DateChunk]:
    """Return what `chunk_days="auto"` means; docs/reference/events.md has the rule."""
    busy = min(USUAL_DAYS, ceil(days / (CHUNKS_A_WORKER * max_workers)))
    longest = max(MOST_DAYS, ceil(days / budget.per_hour))
    fewest = next(
        (size for requests in (budget.left, budget.per_hour) if (size := _least(ranges, weights, requests, longest))),
        longest,
    )
    return list(_cut(ranges, weights, max(busy, fewest)))


def _least(ranges: Sequence[Range], weights: Weights, requests: int, longest: int) -> int | None:
    """Return the least days of a chunk, up to `longest`, with which the ranges need at most so many requests."""

    def fits(days: int) -> bool:
        return sum(1 for _ in islice(_cut(ranges, weights, days), requests + 1)) <= requests

    days = 1 + bisect_left(range(1, longest + 1), True, key=fits)  # noqa: FBT003 - fits is False, then True
    return days if days <= longest else None


def _cut(ranges: Iterable[Range], weights: Weights, most_days: int) -> Iterator[DateChunk]:
    """Cut ranges into as few chunks as the weights and `most_days` allow."""
    for first, last in ranges:
        start, end = first.toordinal(), last.toordinal()
        while start <= end:
            days = weights.days_within(start, min(most_days, end - start + 1))
            yield _iso(start), _iso(start + days - 1)
            start += days


def _iso(ordinal: int) -> str:
    return dt.date.fromordinal(ordinal).isoformat()


def _without(first: dt.date, last: dt.date, completed: Iterable[Range]) -> list[Range]:
    """Return what is left of a range without the `completed` ones (in order, disjoint)."""
    left = []
    for begin, end in completed:
        if end < first or begin > last:
            continue
        if begin > first:
            left.append((first, begin - ONE_DAY))
        if end >= last:
            return left
        first = end + ONE_DAY
    return [*left, (first, last)] if first <= last else left


def _widened(first: dt.date, last: dt.date, atomic: Iterable[Range]) -> Range:
    """Return a range, grown to contain each of the `atomic` ones (disjoint) that it overlaps."""
    touched = [(begin, end) for begin, end in atomic if begin <= last and end >= first]
    return min([first, *(begin for begin, _ in touched)]), max([last, *(end for _, end in touched)])


def _join_across(chunks: Sequence[DateChunk], atomic: Sequence[Range]) -> list[DateChunk]:
    """Join neighbours whose border would cut one of the `atomic` ranges."""
    joined: list[DateChunk] = []
    for first, last in chunks:
        is_cut = any(begin.isoformat() < first <= end.isoformat() for begin, end in atomic)
        joined.append((joined.pop()[0], last) if is_cut and joined else (first, last))
    return joined
