"""GeneratedProfiles: realistic profiles, each generated when it is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mixpanel_async.testing.data.profile_templates import TEMPLATE_COUNT, profile_templates
from mixpanel_async.testing.data.profiles import Snapshot
from mixpanel_async.testing.data.users import make_users

_64_BITS = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedProfiles:
    """Realistic profiles. The same arguments always give the same profiles.

    Each has about 1.5 kB and 25 properties. They contain lists, nested objects, ``$transactions`` and text in many
    scripts. ``$created`` and ``$last_seen`` have no time zone; one profile in twenty has no ``$last_seen``. Some names
    and operating systems are ``"<null>"`` or ``"<undefined>"``. Distinct ids are unique.

    The first profiles belong to the users of GeneratedEvents that have a user id, if both have the same ``seed`` and
    ``users``. GeneratedProfiles is its own snapshot.
    """

    count: int = 1000
    """How many profiles there are."""
    seed: int = 0
    users: int = 5000
    """How many users the events have."""

    def __len__(self) -> int:
        """Return the number of profiles."""
        return self.count

    def snapshot(self) -> Snapshot:
        """Return itself, because it never changes."""
        return self

    def distinct_ids(self) -> Iterator[str]:
        """Yield the distinct ids, in order."""
        known = _known_user_ids(self.seed, self.users)
        yield from known[: self.count]
        for place in range(len(known), self.count):
            yield _distinct_id(_mix_bits(self.seed, place))

    def written(self, places: Sequence[int]) -> list[bytes]:
        """Return the profiles at these places, each as JSON."""
        known, templates = _known_user_ids(self.seed, self.users), profile_templates(self.seed)
        rows = []
        for place in places:
            bits = _mix_bits(self.seed, place)
            distinct_id = known[place] if place < len(known) else _distinct_id(bits)
            template, has_last_seen = templates[bits % TEMPLATE_COUNT]
            created = 1 + bits % 12, 1 + bits % 28
            last_seen = (1 + bits % 2, 1 + bits % 9, bits // 7 % 24, bits // 11 % 60, bits // 13 % 60)
            lifetime_value, referral_code = bits % 5000, bits
            rows.append(
                template
                % (
                    f'"{distinct_id}"'.encode(),  # generated ids need no escapes
                    *created,
                    place,
                    *(last_seen if has_last_seen else ()),
                    place,
                    lifetime_value,
                    referral_code,
                )
            )
        return rows


def _mix_bits(seed: int, place: int) -> int:
    """Return 64 pseudo-random bits for a place. Each place of a seed gets different bits."""
    bits = (place + seed * 0x2545F4914F6CDD1D) * 0x9E3779B97F4A7C15 & _64_BITS
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
    return bits ^ bits >> 31


def _distinct_id(bits: int) -> str:
    """Return a distinct id in one of the forms that projects use, but never one of ``make_users``."""
    match bits >> 62:
        case 0:
            return f"{bits:020}"
        case 1:
            return f"member.{bits:x}@example.org"
        case 2:
            return f"顧客-{bits:x}"
        case _:
            return f"{bits:016x}-{bits % 997:03d}"


@lru_cache(maxsize=8)
def _known_user_ids(seed: int, count: int) -> tuple[str, ...]:
    """Return the distinct ids of the events' users that are not anonymous."""
    fields = (user.distinct_id for user in make_users(seed, count) if user.user_id)
    return tuple(dict.fromkeys(json.loads(b"{" + field[:-1] + b"}")["distinct_id"] for field in fields))
