"""Where the fake server's profiles come from: the protocol, profiles given one by one, and generated ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from mixpanel_async.testing.data.event_templates import users
from mixpanel_async.testing.data.events import written
from mixpanel_async.testing.data.profile_templates import POOL_SIZE, profile_templates

Profile = Mapping[str, Any]
"""One profile as Mixpanel returns it: ``{"$distinct_id": id, "$properties": {...}}``."""

_MASK = 2**64 - 1


class Snapshot(Protocol):
    """Profiles as they were at one moment; they do not change any more."""

    def __len__(self) -> int:
        """Return how many there are."""

    def distinct_ids(self) -> Iterator[str]:
        """Yield their distinct ids, in order; no two are the same."""

    def written(self, places: Sequence[int]) -> list[bytes]:
        """Return the profiles at these places, counted from 0: JSON as ``written_profile`` puts it."""


class ProfileSource(Protocol):
    """Anything that can say which profiles Mixpanel holds."""

    def snapshot(self) -> Snapshot:
        """Return the profiles of now."""


def written_profile(distinct_id: str, properties: Mapping[str, Any]) -> bytes:
    """Write a profile as Mixpanel does: compact JSON, the distinct id first."""
    return written({"$distinct_id": distinct_id, "$properties": properties})


class GivenProfiles:
    """Profiles given one by one. They may be changed while the server runs."""

    __slots__ = ("_held",)

    def __init__(self, profiles: Iterable[Profile] = ()) -> None:
        """Hold the profiles given; the last of several with the same distinct id counts.

        Raises ValueError for one without a ``$distinct_id`` that is a string, or without ``$properties``.
        """
        self._held: dict[str, bytes] = {}
        for profile in profiles:
            distinct_id, properties = profile.get("$distinct_id"), profile.get("$properties")
            if not isinstance(distinct_id, str) or not isinstance(properties, Mapping):
                msg = f'a profile is {{"$distinct_id": "...", "$properties": {{...}}}}: {profile!r:.200}'
                raise ValueError(msg)  # noqa: TRY004 - what is wrong is the profile, not the type of an argument
            self.set(distinct_id, properties)

    def set(self, distinct_id: str, properties: Mapping[str, Any]) -> None:
        """Replace a profile, or add one at the end."""
        self._held[distinct_id] = written_profile(distinct_id, properties)

    def delete(self, distinct_id: str) -> None:
        """Delete a profile; raises KeyError if there is none."""
        del self._held[distinct_id]

    def snapshot(self) -> Snapshot:
        """Return the profiles of now, in the order in which they were added."""
        held = self._held.copy()  # in one step, since another thread may be changing it
        return _Held(tuple(held), tuple(held.values()))


@dataclass(frozen=True, slots=True)
class _Held:
    """Profiles that were written at once."""

    ids: tuple[str, ...]
    profiles: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def distinct_ids(self) -> Iterator[str]:
        return iter(self.ids)

    def written(self, places: Sequence[int]) -> list[bytes]:
        return [self.profiles[place] for place in places]


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
