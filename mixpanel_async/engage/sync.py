"""`sync_profiles`: keeps a table of profiles up to date, by those that were seen since the last sync.

The plan is made without I/O; `fetch` carries it out. Mixpanel says of a profile only when it was last seen. A profile
that was deleted or changed without a visit shows in a download of all profiles, which is made every few days.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixpanel_async import clock
from mixpanel_async.duck.held_profiles import read_held
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.engage.fetch import ProfileFetch, fetch_profiles
from mixpanel_async.errors import SelectionMismatchError
from mixpanel_async.tasks import check_workers

if TYPE_CHECKING:
    from mixpanel_async.api.source import Source
    from mixpanel_async.duck.held_profiles import HeldProfiles, SyncTimes
    from mixpanel_async.engage.fetch import PageHook
    from mixpanel_async.engage.results import ProfileOutcome
    from mixpanel_async.holding import HeldDatabase
    from mixpanel_async.meter import Progress
    from mixpanel_async.selections import ProfileSelection

OVERLAP = dt.timedelta(hours=26)
"""How long before the last sync a profile may have been seen, to be requested again.

`$last_seen` has no zone: it may be UTC, or the project's time, which is up to 12 hours behind UTC (and up to 14 before
it, which only asks for more). The other 14 hours are for Mixpanel, which shows an update some time after it took place,
and for the clock of this machine: even one that has the time of Kiritimati (UTC+14) for UTC loses nothing.
"""

SLACK = dt.timedelta(hours=1)
"""By how much a full download may come early: a job of every night never begins at quite the same second."""

_DAY = dt.timedelta(days=1)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProfileSync:
    """What a call of `sync_profiles` keeps up to date; `of` checks the call's arguments."""

    table: str
    selection: ProfileSelection
    """As the call gives it: `None` in `where`, `output_properties` and `group_id` is what the table has."""
    full_every_days: int
    max_workers: int

    @classmethod
    def of(cls, name: str, selection: ProfileSelection, *, full_every_days: int, max_workers: int) -> ProfileSync:
        """Check the arguments; the selection is checked already. Raises ValueError."""
        if isinstance(full_every_days, bool) or not isinstance(full_every_days, int) or full_every_days < 0:
            raise ValueError(
                f"full_every_days must be a whole number of days, 0 (always) or more, not {full_every_days!r}."
            )
        check_workers(max_workers)
        return cls(check_table_name(name), selection, full_every_days, max_workers)


async def sync_profiles(
    sync: ProfileSync, source: Source, hook: PageHook | None, progress: Progress, held: HeldDatabase
) -> ProfileOutcome:
    """Download all profiles, or merge those seen since the last sync. Raises as `fetch_profiles`, and `plan`."""
    table = await held.run(read_held, held.database, sync.table, create=True)
    planned = plan(sync, table, clock.utc_now())
    which = "all profiles" if planned.seen_since is None else f"profiles seen since {planned.seen_since}"
    logger.info("Table %r: %s are requested.", sync.table, which)
    return await fetch_profiles(planned, source, hook, progress, held)


def plan(sync: ProfileSync, table: HeldProfiles | None, now: dt.datetime) -> ProfileFetch:
    """Return what to fetch.

    Raises:
        SelectionMismatchError: the table selects other profiles, or such as a sync cannot keep up to date.
    """
    selection = sync.selection if table is None else _selection(sync, table.selection)
    everything = ProfileFetch(
        sync.table, selection,
        append=False, resume=False, parallel=True, max_workers=sync.max_workers, is_sync=True,
    )  # fmt: skip
    times = None if table is None else table.times
    if times is None or _is_full_due(times, sync.full_every_days, now):
        return everything
    return replace(everything, seen_since=(times.synced_at - OVERLAP).replace(tzinfo=None))


def _is_full_due(times: SyncTimes, every_days: int, now: dt.datetime) -> bool:
    """Whether all profiles are to be fetched; they are, too, if the clock was ahead when a time was taken."""
    return max(times.full_at, times.synced_at) > now or (now - times.full_at + SLACK) // _DAY >= every_days


def _selection(sync: ProfileSync, held: ProfileSelection) -> ProfileSelection:
    for argument in ("cohort_id", "behaviors", "distinct_ids"):
        if getattr(held, argument) is not None:
            raise SelectionMismatchError(
                f"Table {sync.table!r} was fetched with {argument}, and whether a profile belongs to it may change "
                "without a visit, which no sync would see: use fetch_profiles with the same arguments."
            )
    for argument in ("where", "output_properties", "group_id"):
        given, has = getattr(sync.selection, argument), getattr(held, argument)
        if given not in (None, has):
            raise SelectionMismatchError(
                f"Table {sync.table!r} was fetched with {argument}={has!r:.200}, and this call has {given!r:.200}: "
                "leave it out, which keeps the table's own, or use another table name."
            )
    return held
