"""Generated events: what a real project's export looks like, as much of it as is wanted, and fast."""

# ruff: noqa: S311 - what is random here has to be the same again for the same seed

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from typing import NamedTuple
from zoneinfo import ZoneInfo

from mixpanel_async.testing.data.event_templates import POOL_SIZE, names_of, templates
from mixpanel_async.testing.data.time_zones import Span
from mixpanel_async.testing.data.users import IDENTITY_EVENTS, User, users

ROWS = 512
"""Rows made at once; some 450 KB of lines."""

_HALF_AN_HOUR = 1800
_LONGEST_DELAY_MS = 2 * 3_600_000
_DAY_MS = 86_400_000
_INSERT_ID = 36
_HALF = 0.5
_ABOUT_IDENTITY = 0.02
_EMPTY_DISTINCT_ID = b'"distinct_id":"",'
_RESHUFFLED = b'"$is_reshuffled":true,'


class _Row(NamedTuple):
    """What fills the holes of a template, in their order."""

    time: int
    distinct_id: bytes
    device_id: bytes
    insert_id: bytes
    api_ms: int
    user_id: bytes
    amount: int
    processing_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows, each with the number of its template, before they are written."""

    which: list[int]
    rows: list[_Row]
    repeats: set[int]
    """The places of rows that are there once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedEvents:
    """Events as a real project has them: the same for the same arguments and day, whatever range is asked.

    About a dozen event names, some far more frequent than others; 20 to 40 properties a line, about 900
    bytes; text in many scripts, lists, nested objects, nulls, floats, integers beyond 2**53; names with
    spaces, dots, quotes, and names that differ in case only. Three users in ten are known by their device
    only (``$device:...``). Lines stand in no order of time within a day. ``sequence`` numbers a day's
    rows; a repeated row repeats its number.

    Shares are of a day's lines, each from 0 to 1; they are met on average. Memory does not grow with
    ``per_day``: lines are made a few hundred at a time.

    Raises ValueError for a share outside 0 to 1.
    """

    per_day: int | Callable[[date], int] = 1000
    """Lines of a day, repeated rows included, once all have arrived; or what says so for each day."""
    seed: int = 0
    users: int = 5000
    """How many different users there are."""
    duplicates: float = 0.01
    """Rows that repeat another of the day: the same event, distinct_id, time and $insert_id. Half of them
    have a later ``mp_processing_time_ms``. Mixpanel's export does not remove such rows."""
    shared_insert_id: float = 0.001
    """Rows with the $insert_id of a row of another event."""
    missing_insert_id: float = 0.002
    """Rows without $insert_id."""
    missing_distinct_id: float = 0.001
    """Rows without distinct_id; as many again have an empty one."""
    late: float = 0.0
    """Rows that arrive 1 to ``late_days`` days after their day. Until the clock is there, they are absent."""
    late_days: int = 5
    rekeyed: float = 0.0
    """Rows of anonymous users whose distinct_id becomes another on ``rekeyed_on``."""
    rekeyed_on: date | None = None
    """From the midnight (UTC) of this day on, the ``rekeyed`` rows have the id of a known user, and
    ``$distinct_id_before_identity`` and ``$is_reshuffled``. Their number and $insert_id stay."""
    compacted_after: int | None = None
    """So many days after a day is over, Mixpanel removes its repeated rows; None for never. Rows without
    $insert_id stay."""
    original_ids: bool = False
    """As in projects with original ID merge: an anonymous row's distinct_id is its bare device id, and two rows
    in a hundred are ``$identify``, ``$create_alias`` or ``$merge``."""
    since: date | None = None
    """The first day that has events."""
    until: date | None = None
    """The last day that has events."""

    def __post_init__(self) -> None:
        """Reject shares that are none."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not 0.0 <= value <= 1.0:
                msg = f"{field.name} is a share, from 0 to 1: {value}"
                raise ValueError(msg)

    def count(self, day: date) -> int:
        """Return how many lines the day has once all have arrived."""
        if (self.since and day < self.since) or (self.until and day > self.until):
            return 0
        return self.per_day(day) if callable(self.per_day) else self.per_day

    def pieces(self, day: date, *, now: datetime, order: int = 0, zone: ZoneInfo | None = None) -> Iterator[bytes]:
        """Yield the day's lines as of ``now``, some 450 KB at a time.

        On a day when the clock of ``zone`` goes forward, one row has a time that it skips: real projects
        have such rows.
        """
        count = self.count(day)
        starts = list(range(0, count, ROWS))
        span = Span(day, zone)
        first = self._block(span, 0, now, None) if starts else None
        if order:
            random.Random(f"{order}:{day}").shuffle(starts)
        for start in starts:
            block = self._block(span, start, now, first) if start else first
            if block is not None:
                yield self._written(block, span, now, order)

    def _written(self, block: _Block, span: Span, now: datetime, order: int) -> bytes:
        """Write the rows that have arrived by ``now``."""
        pool, moment = templates(self.seed), now.timestamp() * 1000
        lines: Iterable[tuple[int, _Row]] = zip(block.which, block.rows, strict=True)
        if self.compacted_after is not None and moment >= span.end * 1000 + self.compacted_after * _DAY_MS:
            lines = [line for place, line in enumerate(lines) if place not in block.repeats or not line[1].insert_id]
        if self.late or moment < span.end * 1000 + _LONGEST_DELAY_MS:
            written = [pool[which] % row for which, row in lines if row.processing_ms <= moment]
        else:
            written = [pool[which] % row for which, row in lines]
        if order:
            random.Random(f"{order}:{span.day}:{len(written)}").shuffle(written)
        return b"".join(written)

    def _block(self, span: Span, start: int, now: datetime, first: _Block | None) -> _Block:
        """Make the rows from ``start`` on, at most ROWS of them; ``first`` is the day's first block."""
        rng = random.Random(f"{self.seed}:{span.day}:{start}")
        size = min(ROWS, self.count(span.day) - start)
        which = rng.choices(range(POOL_SIZE), k=size)
        everyone = users(self.seed, self.users, "") if self.original_ids else users(self.seed, self.users)
        who = rng.choices(everyone, k=size)
        rows = _plain_rows(rng, span, start, who)
        block = _Block(which, rows, set())
        self._take_away(rng, rows)
        self._share_insert_ids(rng, block)
        self._delay(rng, rows)
        self._identify(rng, block, who)
        self._rekey(rng, rows, who, now)
        self._repeat(rng, block, first)
        return block

    def _take_away(self, rng: random.Random, rows: list[_Row]) -> None:
        """Let some rows lack an id, or have an empty one."""
        for place in _places(rng, self.missing_insert_id, len(rows)):
            rows[place] = rows[place]._replace(insert_id=b"")
        for place in _places(rng, self.missing_distinct_id, len(rows)):
            rows[place] = rows[place]._replace(distinct_id=b"")
        for place in _places(rng, self.missing_distinct_id, len(rows)):
            rows[place] = rows[place]._replace(distinct_id=_EMPTY_DISTINCT_ID)

    def _share_insert_ids(self, rng: random.Random, block: _Block) -> None:
        """Let some rows have the $insert_id of an earlier row of another event."""
        names, rows = names_of(self.seed), block.rows
        for place in _places(rng, self.shared_insert_id, len(rows)):
            other = rng.randrange(place + 1)
            if names[block.which[other]] != names[block.which[place]]:
                rows[place] = rows[place]._replace(insert_id=rows[other].insert_id)

    def _delay(self, rng: random.Random, rows: list[_Row]) -> None:
        """Let some rows arrive days later."""
        for place in _places(rng, self.late, len(rows)):
            row, wait = rows[place], rng.randint(1, self.late_days) * _DAY_MS
            rows[place] = row._replace(api_ms=row.api_ms + wait, processing_ms=row.processing_ms + wait)

    def _identify(self, rng: random.Random, block: _Block, who: list[User]) -> None:
        """Let some rows be about who is who."""
        for place in _places(rng, _ABOUT_IDENTITY if self.original_ids else 0.0, len(who)):
            kind = rng.randrange(len(IDENTITY_EVENTS))
            device_id, user_id = who[place].identity_event(kind)
            block.which[place] = POOL_SIZE + kind
            block.rows[place] = block.rows[place]._replace(device_id=device_id, user_id=user_id)

    def _rekey(self, rng: random.Random, rows: list[_Row], who: list[User], now: datetime) -> None:
        """Give some anonymous rows the id of a known user, once the day for it has come."""
        places = list(_places(rng, self.rekeyed, len(rows)))
        if self.rekeyed_on is None or now < datetime.combine(self.rekeyed_on, time(), UTC):
            return
        for place in places:
            row, user = rows[place], who[place]
            is_plain = (row.distinct_id, row.device_id) == (user.distinct_id, user.device_id)
            if not user.user_id and is_plain:
                rows[place] = row._replace(
                    distinct_id=user.merged_distinct_id,
                    device_id=user.merged_device_id,
                    insert_id=row.insert_id + _RESHUFFLED,
                )

    def _repeat(self, rng: random.Random, block: _Block, first: _Block | None) -> None:
        """Let some rows repeat an earlier one: of the same block, or of the day's first."""
        for place in _places(rng, self.duplicates, len(block.rows)):
            far = first is not None and (place == 0 or rng.random() < _HALF)
            source = first if first is not None and far else block
            other = rng.randrange(len(source.rows)) if far else rng.randrange(max(1, place))
            later = rng.randrange(60_000) if rng.random() < _HALF else 0
            row = source.rows[other]
            if source is not block or other != place:
                block.repeats.add(place)
            block.which[place] = source.which[other]
            block.rows[place] = row._replace(processing_ms=row.processing_ms + later)


def _plain_rows(rng: random.Random, span: Span, start: int, who: list[User]) -> list[_Row]:
    """Make rows with nothing odd about them; columns first, which is what makes it fast."""
    size = len(who)
    moments = rng.choices(range(span.start, span.end), k=size)
    times = span.walls(moments)
    if start == 0 and (skipped := span.skipped()) is not None:
        times[0] = skipped + _HALF_AN_HOUR
    arrivals = [t * 1000 + delay for t, delay in zip(moments, rng.choices(_DELAYS_MS, k=size), strict=True)]
    digits = rng.randbytes(size * _INSERT_ID // 2).hex().encode()
    starts = range(0, len(digits), _INSERT_ID)
    insert_ids = [b'"$insert_id":"' + digits[place : place + _INSERT_ID] + b'",' for place in starts]
    columns = (
        times,
        [user.distinct_id for user in who],
        [user.device_id for user in who],
        insert_ids,
        [arrival - 40 for arrival in arrivals],
        [user.user_id for user in who],
        rng.choices(range(2000), k=size),
        arrivals,
        range(start, start + size),
    )
    return list(map(_Row._make, zip(*columns, strict=True)))


def _places(rng: random.Random, share: float, size: int) -> Iterator[int]:
    """Yield the rows, ascending, that a share falls upon; costs as much as it yields."""
    place = -1
    while share > 0.0:
        gap = 0 if share >= 1.0 else int(math.log(1.0 - rng.random()) / math.log(1.0 - share))
        place += 1 + gap
        if place >= size:
            return
        yield place


_DELAYS_MS = (*range(40, 500), *range(1000, 600_000, 7919))
"""From an event's time to its arrival: mostly below half a second, at times some minutes."""
