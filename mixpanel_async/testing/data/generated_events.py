"""GeneratedEvents: realistic events, any number for each day, generated fast and in constant memory."""

# ruff: noqa: S311 - random values must be reproducible, not secret

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from typing import NamedTuple
from zoneinfo import ZoneInfo

from mixpanel_async.testing.data.event_templates import TEMPLATE_COUNT, event_templates, template_names
from mixpanel_async.testing.data.time_zones import ProjectDay
from mixpanel_async.testing.data.users import IDENTITY_EVENTS, User, make_users

ROWS = 512
"""How many rows a batch has: about 450 KB of lines."""

_HALF_AN_HOUR_MS = 1_800_000
_MAX_DELAY_MS = 2 * 3_600_000
_DAY_MS = 86_400_000
_INSERT_ID_LENGTH = 36
_HALF = 0.5
_IDENTITY_SHARE = 0.02
_EMPTY_DISTINCT_ID = b'"distinct_id":"",'
_RESHUFFLED = b'"$is_reshuffled":true,'


class _Row(NamedTuple):
    """The values for the holes of a template, in the order of the holes."""

    time: int
    """In milliseconds, as those below."""
    distinct_id: bytes
    device_id: bytes
    insert_id: bytes
    api_ms: int
    user_id: bytes
    amount: int
    processing_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows that are generated together."""

    templates: list[int]
    """For each row the number of its template."""
    rows: list[_Row]
    duplicates: set[int]
    """The places of rows that duplicate another row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedEvents:
    """Realistic events. The same arguments and day always give the same lines, whatever dates are exported.

    There are about a dozen event names, some far more frequent than others, and 20 to 40 properties in each line of
    about 900 bytes. Values are text in many scripts, lists, nested objects, nulls, floats and integers above 2**53.
    Property names contain spaces, dots and quotes, and some differ only in case. 30% of the users are known by their
    device only (``$device:...``). Times have milliseconds. Lines of a day are not sorted by time. ``sequence`` numbers
    a day's rows; a duplicate has the number of the row that it repeats.

    Shares are fractions of a day's lines, from 0 to 1; each day has about this share. Memory does not grow with
    ``per_day``: 512 lines are generated at a time.

    Raises ValueError for a share outside 0 to 1.
    """

    per_day: int | Callable[[date], int] = 1000
    """The number of lines of each day once all have arrived, duplicates included; or a function of the day."""
    seed: int = 0
    users: int = 5000
    """The number of different users."""
    duplicates: float = 0.01
    """The share of rows that duplicate another row of the day: the same event, distinct_id, time and $insert_id. Half
    of them have a later ``mp_processing_time_ms``. Mixpanel's export does not remove duplicates."""
    shared_insert_id: float = 0.001
    """The share of rows with the $insert_id of a row of another event."""
    missing_insert_id: float = 0.002
    """The share of rows without $insert_id."""
    missing_distinct_id: float = 0.001
    """The share of rows without distinct_id. The same share has an empty one."""
    late: float = 0.0
    """The share of rows that arrive 1 to ``late_days`` days after their day. They are not exported before."""
    late_days: int = 5
    rekeyed: float = 0.0
    """The share of rows of anonymous users whose distinct_id changes on ``rekeyed_on``."""
    rekeyed_on: date | None = None
    """From midnight (UTC) of this day on, the ``rekeyed`` rows have the distinct_id of a known user, and
    ``$distinct_id_before_identity`` and ``$is_reshuffled``. Their number and $insert_id do not change."""
    compacted_after: int | None = None
    """This many days after the end of a day, Mixpanel removes its duplicates, except those without $insert_id. None: it
    never does."""
    original_ids: bool = False
    """Whether rows are those of a project with original ID merge: an anonymous row's distinct_id is the device id
    without prefix, and 2% of the rows are ``$identify``, ``$create_alias`` or ``$merge``."""
    since: date | None = None
    """The first day with events; None for no first day."""
    until: date | None = None
    """The last day with events; None for no last day."""

    def __post_init__(self) -> None:
        """Check the shares."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not 0.0 <= value <= 1.0:
                msg = f"{field.name} is a share and must be from 0 to 1, not {value}"
                raise ValueError(msg)

    def count(self, day: date) -> int:
        """Return the number of the day's lines once all have arrived."""
        if (self.since and day < self.since) or (self.until and day > self.until):
            return 0
        return self.per_day(day) if callable(self.per_day) else self.per_day

    def pieces(self, day: date, *, now: datetime, order: int = 0, zone: ZoneInfo | None = None) -> Iterator[bytes]:
        """Yield the day's lines as an export at the moment ``now`` returns them, in pieces of about 450 KB.

        If the clock of ``zone`` goes forward on this day, one row has a wall time that does not exist. Real projects
        have such rows.
        """
        count = self.count(day)
        starts = list(range(0, count, ROWS))
        project_day = ProjectDay(day, zone)
        first = self._batch(project_day, 0, now, None) if starts else None
        if order:
            random.Random(f"{order}:{day}").shuffle(starts)
        for start in starts:
            batch = self._batch(project_day, start, now, first) if start else first
            if batch is not None:
                yield self._format(batch, project_day, now, order)

    def _format(self, batch: _Batch, project_day: ProjectDay, now: datetime, order: int) -> bytes:
        """Return the lines of the rows that have arrived by ``now``."""
        templates, now_ms = event_templates(self.seed), now.timestamp() * 1000
        end_ms = project_day.end
        rows: Iterable[tuple[int, _Row]] = zip(batch.templates, batch.rows, strict=True)
        if self.compacted_after is not None and now_ms >= end_ms + self.compacted_after * _DAY_MS:
            rows = [row for place, row in enumerate(rows) if place not in batch.duplicates or not row[1].insert_id]
        if self.late or now_ms < end_ms + _MAX_DELAY_MS:
            lines = [templates[number] % row for number, row in rows if row.processing_ms <= now_ms]
        else:
            lines = [templates[number] % row for number, row in rows]
        if order:
            random.Random(f"{order}:{project_day.day}:{len(lines)}").shuffle(lines)
        return b"".join(lines)

    def _batch(self, project_day: ProjectDay, start: int, now: datetime, first: _Batch | None) -> _Batch:
        """Generate the rows from ``start`` on, at most ROWS; ``first`` is the day's first batch."""
        rng = random.Random(f"{self.seed}:{project_day.day}:{start}")
        size = min(ROWS, self.count(project_day.day) - start)
        templates = rng.choices(range(TEMPLATE_COUNT), k=size)
        all_users = make_users(self.seed, self.users, "") if self.original_ids else make_users(self.seed, self.users)
        users = rng.choices(all_users, k=size)
        rows = _plain_rows(rng, project_day, start, users)
        batch = _Batch(templates, rows, set())
        self._remove_ids(rng, rows)
        self._share_insert_ids(rng, batch)
        self._make_late(rng, rows)
        self._add_identity_events(rng, batch, users)
        self._rekey(rng, rows, users, now)
        self._duplicate(rng, batch, first)
        return batch

    def _remove_ids(self, rng: random.Random, rows: list[_Row]) -> None:
        """Remove ids from some rows, and make the distinct_id of others empty."""
        for place in _random_places(rng, self.missing_insert_id, len(rows)):
            rows[place] = rows[place]._replace(insert_id=b"")
        for place in _random_places(rng, self.missing_distinct_id, len(rows)):
            rows[place] = rows[place]._replace(distinct_id=b"")
        for place in _random_places(rng, self.missing_distinct_id, len(rows)):
            rows[place] = rows[place]._replace(distinct_id=_EMPTY_DISTINCT_ID)

    def _share_insert_ids(self, rng: random.Random, batch: _Batch) -> None:
        """Give some rows the $insert_id of an earlier row of another event."""
        names, rows = template_names(self.seed), batch.rows
        for place in _random_places(rng, self.shared_insert_id, len(rows)):
            other = rng.randrange(place + 1)
            if names[batch.templates[other]] != names[batch.templates[place]]:
                rows[place] = rows[place]._replace(insert_id=rows[other].insert_id)

    def _make_late(self, rng: random.Random, rows: list[_Row]) -> None:
        """Make some rows arrive days later."""
        for place in _random_places(rng, self.late, len(rows)):
            row, delay = rows[place], rng.randint(1, self.late_days) * _DAY_MS
            rows[place] = row._replace(api_ms=row.api_ms + delay, processing_ms=row.processing_ms + delay)

    def _add_identity_events(self, rng: random.Random, batch: _Batch, users: list[User]) -> None:
        """Turn some rows into ``$identify``, ``$create_alias`` and ``$merge``."""
        for place in _random_places(rng, _IDENTITY_SHARE if self.original_ids else 0.0, len(users)):
            kind = rng.randrange(len(IDENTITY_EVENTS))
            device_id, user_id = users[place].identity_fields(kind)
            batch.templates[place] = TEMPLATE_COUNT + kind
            batch.rows[place] = batch.rows[place]._replace(device_id=device_id, user_id=user_id)

    def _rekey(self, rng: random.Random, rows: list[_Row], users: list[User], now: datetime) -> None:
        """Give some anonymous rows the distinct_id of a known user, from ``rekeyed_on`` on."""
        places = list(_random_places(rng, self.rekeyed, len(rows)))
        if self.rekeyed_on is None or now < datetime.combine(self.rekeyed_on, time(), UTC):
            return
        for place in places:
            row, user = rows[place], users[place]
            is_unchanged = (row.distinct_id, row.device_id) == (user.distinct_id, user.device_id)
            if not user.user_id and is_unchanged:
                rows[place] = row._replace(
                    distinct_id=user.merged_distinct_id,
                    device_id=user.merged_device_id,
                    insert_id=row.insert_id + _RESHUFFLED,
                )

    def _duplicate(self, rng: random.Random, batch: _Batch, first: _Batch | None) -> None:
        """Replace some rows by duplicates of earlier rows of the same batch or of the day's first batch."""
        for place in _random_places(rng, self.duplicates, len(batch.rows)):
            from_first = first is not None and (place == 0 or rng.random() < _HALF)
            source = first if first is not None and from_first else batch
            other = rng.randrange(len(source.rows)) if from_first else rng.randrange(max(1, place))
            later_ms = rng.randrange(60_000) if rng.random() < _HALF else 0
            row = source.rows[other]
            if source is not batch or other != place:
                batch.duplicates.add(place)
            batch.templates[place] = source.templates[other]
            batch.rows[place] = row._replace(processing_ms=row.processing_ms + later_ms)


def _plain_rows(rng: random.Random, project_day: ProjectDay, start: int, users: list[User]) -> list[_Row]:
    """Generate rows without anomalies, except a wall time that does not exist; column by column, which is fast."""
    size = len(users)
    moments = rng.choices(range(project_day.start, project_day.end), k=size)
    times = project_day.wall_times(moments)
    if start == 0 and (skipped := project_day.first_skipped_time()) is not None:
        times[0] = skipped + _HALF_AN_HOUR_MS
    arrivals = [t + delay for t, delay in zip(moments, rng.choices(_DELAYS_MS, k=size), strict=True)]
    digits = rng.randbytes(size * _INSERT_ID_LENGTH // 2).hex().encode()
    places = range(0, len(digits), _INSERT_ID_LENGTH)
    insert_ids = [b'"$insert_id":"' + digits[place : place + _INSERT_ID_LENGTH] + b'",' for place in places]
    columns = (
        times,
        [user.distinct_id for user in users],
        [user.device_id for user in users],
        insert_ids,
        [arrival - 40 for arrival in arrivals],
        [user.user_id for user in users],
        rng.choices(range(2000), k=size),
        arrivals,
        range(start, start + size),
    )
    return list(map(_Row._make, zip(*columns, strict=True)))


def _random_places(rng: random.Random, share: float, size: int) -> Iterator[int]:
    """Yield random places below ``size``, ascending; each place with probability ``share``.

    The cost is proportional to the number of places yielded, not to ``size``.
    """
    place = -1
    while share > 0.0:
        gap = 0 if share >= 1.0 else int(math.log(1.0 - rng.random()) / math.log(1.0 - share))
        place += 1 + gap
        if place >= size:
            return
        yield place


_DELAYS_MS = (*range(40, 500), *range(1000, 600_000, 7919))
"""The possible delays from an event's time to its arrival: most below half a second, some of several minutes."""
