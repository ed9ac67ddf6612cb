"""`plan_events`: what a fetch would do. Pure: the journal and the budget were read before."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from mixpanel_async.dates import days_in
from mixpanel_async.export.weights import Weights
from mixpanel_async.types import FetchPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixpanel_async.api.limits import Budget
    from mixpanel_async.export.fetch import EventFetch
    from mixpanel_async.export.plan import Plan
    from mixpanel_async.records import JournalRow


def preview(fetch: EventFetch, plan: Plan, journal: Sequence[JournalRow], budget: Budget, wait: float) -> FetchPlan:
    """Describe a plan; `wait` is for how many seconds the limits hold up its last request."""
    days = sum(map(days_in, plan.chunks))
    first, last = fetch.dates
    inside = sum(_overlap(chunk, first, last) for chunk in plan.chunks)
    return FetchPlan(
        chunks=tuple(plan.chunks),
        requests=len(plan.chunks),
        requests_left=budget.left,
        wait_seconds=wait,
        days=days,
        settled_days=max(0, (last - first).days + 1) - inside,
        expected_bytes=_expected(plan, journal),
    )


def _overlap(chunk: tuple[str, str], first: dt.date, last: dt.date) -> int:
    begin, end = max(first, dt.date.fromisoformat(chunk[0])), min(last, dt.date.fromisoformat(chunk[1]))
    return max(0, (end - begin).days + 1)


def _expected(plan: Plan, journal: Sequence[JournalRow]) -> int | None:
    weights = Weights(journal)
    ordinals = [
        [dt.date.fromisoformat(date).toordinal() for date in chunk] for chunk in plan.chunks if chunk not in plan.merges
    ]
    return sum(weights.bytes_of(*each) for each in ordinals) if any(row.bytes for row in journal) else None
