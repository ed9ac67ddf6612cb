"""Generated profiles: each made when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mixpanel_async.testing.data.profile_templates import POOL_SIZE, profile_templates
from mixpanel_async.testing.data.profiles import Snapshot
from mixpanel_async.testing.data.users import users

_MASK = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedProfiles:
    """Profiles as a real project has them: the same for the same arguments, each made when it is asked for.

    About 1.5 kB each, some 25 properties; ``$last_seen`` and ``$created`` without a zone, ``$last_seen``
    missing in one of twenty; ``"<null>"`` and ``"<undefined>"`` where a name or system is not known,
    ``$transactions``, lists, nested objects, text in many scripts. No two have the same distinct id.

    The first are of those of GeneratedEvents's users that have a user id, if both have the same ``seed``
    and ``users``. It is its own snapshot.
    """

    count: int = 1000
    seed: int = 0
    users: int = 5000
    """How many users the events have."""

    def __len__(self) -> int:
        """Return how many there are."""
        return self.count

    def snapshot(self) -> Snapshot:
        """Return itself: it never changes."""
        return self

    def distinct_ids(self) -> Iterator[str]:
        """Yield the distinct ids, in order."""
        known = _known(self.seed, self.users)
        yield from known[: self.count]
        for place in range(len(known), self.count):
            yield _distinct_id(_mixed(self.seed, place))

    def written(self, places: Sequence[int]) -> list[bytes]:
        """Write the profiles at these places."""
        known, pool = _known(self.seed, self.users), profile_templates(self.seed)
        rows = []
        for place in places:
            lot = _mixed(self.seed, place)
            distinct_id = known[place] if place < len(known) else _distinct_id(lot)
            template, seen = pool[lot % POOL_SIZE]
            created = 1 + lot % 12, 1 + lot % 28
            last_seen = (1 + lot % 2, 1 + lot % 9, lot // 7 % 24, lot // 11 % 60, lot // 13 % 60) if seen else ()
            rest = (lot % 5000, lot)
            rows.append(template % (_quoted(distinct_id), *created, place, *last_seen, place, *rest))
        return rows


def _mixed(seed: int, place: int) -> int:
    """Return 64 bits for a place that look drawn by lot; no two places of a seed get the same."""
    bits = (place + seed * 0x2545F4914F6CDD1D) * 0x9E3779B97F4A7C15 & _MASK
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    return bits ^ bits >> 31


def _distinct_id(bits: int) -> str:
    """Return an id of one of the kinds that projects use; none that ``templates.users`` makes."""
    match bits >> 62:
        case 0:
            return f"{bits:020}"
        case 1:
            return f"member.{bits:x}@example.org"
        case 2:
            return f"顧客-{bits:x}"
        case _:
            return f"{bits:016x}-{bits % 997:03d}"


def _quoted(distinct_id: str) -> bytes:
    """Write an id that needs no escapes."""
    return f'"{distinct_id}"'.encode()


@lru_cache(maxsize=8)
def _known(seed: int, count: int) -> tuple[str, ...]:
    """Return the distinct ids of the events' users that are more than a device."""
    fields = (user.distinct_id for user in users(seed, count) if user.user_id)
    return tuple(dict.fromkeys(json.loads(b"{" + field[:-1] + b"}")["distinct_id"] for field in fields))
