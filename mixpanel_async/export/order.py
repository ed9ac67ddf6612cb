"""What a caller wants in which table: each argument held to its range, and the chunks that come of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mixpanel_async.dates import (
    check_chunk_days,
    chunk_days_for,
    date_range,
    split_date_range,
    widened,
    without,
)
from mixpanel_async.duck.journal import Selection
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.export.request import check_selection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.engage.request import ProfileSelection

    Range = tuple[dt.date, dt.date]


@dataclass(frozen=True, slots=True)
class Order:
    """A caller's order; `order_for` makes it of checked arguments."""

    table: str
    first: dt.date
    last: dt.date
    selection: Selection
    append: bool
    resume: bool
    deduplicate: bool
    chunk_days: int | Literal["auto"] | None
    """`None`: the whole range in one request."""
    max_workers: int


def order_for(  # noqa: PLR0913 - the call's arguments
    name: str,
    from_date: str | dt.date,
    to_date: str | dt.date,
    *,
    events: Sequence[str] | None,
    where: str | None,
    limit: int | None,
    append: bool,
    resume: bool,
    deduplicate: bool,
    parallel: bool,
    max_workers: int,
    chunk_days: int | Literal["auto"],
) -> Order:
    """Hold each argument of a call to its range.

    Raises:
        ValueError: names the argument and what it must be.
    """
    first, last = date_range(from_date, to_date)
    selection = Selection(check_selection(events, where, limit), where, limit)
    _check_cut(limit, chunk_days, max_workers, parallel=parallel)
    if append and resume:
        raise ValueError("append fetches the dates anew and resume only those that are missing: pass one of them.")
    return Order(
        check_table_name(name), first, last, selection, append, resume, deduplicate,
        chunk_days if parallel else None, max_workers if parallel else 1,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StreamOrder:
    """A caller's order of a stream; `stream_order_for` makes it of checked arguments."""

    first: dt.date
    last: dt.date
    selection: Selection
    chunk_days: int | Literal["auto"] | None
    """`None`: the whole range in one request."""
    max_workers: int


def stream_order_for(  # noqa: PLR0913 - the call's arguments
    from_date: str | dt.date,
    to_date: str | dt.date,
    *,
    events: Sequence[str] | None,
    where: str | None,
    limit: int | None,
    parallel: bool,
    max_workers: int,
    chunk_days: int | Literal["auto"],
) -> StreamOrder:
    """Hold each argument of a stream to its range.

    Raises:
        ValueError: names the argument and what it must be.
    """
    first, last = date_range(from_date, to_date)
    selection = Selection(check_selection(events, where, limit), where, limit)
    _check_cut(limit, chunk_days, max_workers, parallel=parallel)
    return StreamOrder(first, last, selection, chunk_days if limit is None else None, max_workers if parallel else 1)


@dataclass(frozen=True, slots=True)
class ProfileOrder:
    """A caller's order of profiles; `profile_order_for` makes it of checked arguments."""

    table: str
    selection: ProfileSelection
    append: bool
    resume: bool
    parallel: bool
    max_workers: int


def profile_order_for(  # noqa: PLR0913 - the call's arguments
    name: str, selection: ProfileSelection, *, append: bool, resume: bool, parallel: bool, max_workers: int
) -> ProfileOrder:
    """Hold each argument of a call to its range; the selection is already. Raises ValueError."""
    _check_workers(max_workers)
    return ProfileOrder(check_table_name(name), selection, append, resume, parallel, max_workers if parallel else 1)


def _check_workers(max_workers: int) -> None:
    if isinstance(max_workers, bool) or not isinstance(max_workers, int) or max_workers < 1:
        raise ValueError(f"max_workers must be a whole number, 1 or more, not {max_workers!r}.")


def _check_cut(limit: int | None, chunk_days: int | str, max_workers: int, *, parallel: bool) -> None:
    check_chunk_days(chunk_days)
    _check_workers(max_workers)
    if parallel and limit is not None:
        raise ValueError("limit belongs to one request: pass parallel=False, or leave limit out.")


def chunks_of(
    order: Order | StreamOrder, settled: Sequence[Range], indivisible: Sequence[Range], requests: int
) -> list[DateChunk]:
    """The order's chunks: without the dates that are settled, and with all of a chunk that can only be replaced whole.

    `requests` is how many the limit allows an hour.
    """
    ranges = [widened(*dates, indivisible) for dates in without(order.first, order.last, settled)]
    days = sum((last - first).days + 1 for first, last in ranges)
    if order.chunk_days == "auto":
        size = chunk_days_for(days, order.max_workers, requests)
    else:
        size = order.chunk_days or max(days, 1)
    return _joined([chunk for first, last in ranges for chunk in split_date_range(first, last, size)], indivisible)


def _joined(chunks: Sequence[DateChunk], indivisible: Sequence[Range]) -> list[DateChunk]:
    """Join neighbours between which a chunk that can only be replaced whole would be cut."""
    joined: list[DateChunk] = []
    for first, last in chunks:
        is_cut = any(begin.isoformat() < first <= end.isoformat() for begin, end in indivisible)
        joined.append((joined.pop()[0], last) if is_cut and joined else (first, last))
    return joined
