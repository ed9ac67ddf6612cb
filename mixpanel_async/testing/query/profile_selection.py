"""Which profiles a query gets."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixpanel_async.testing.data.profiles import Snapshot, written_profile
from mixpanel_async.testing.query.profile_query import ProfileQuery

PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Chosen:
    """The profiles that a query gets, in their order, as they were when it was asked."""

    snapshot: Snapshot
    places: Sequence[int]
    without_profile: Sequence[str] = field(default=())
    """Distinct ids that follow: members of the cohort who have no profile."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.places) + len(self.without_profile)

    def written(self, start: int, count: int, properties: Collection[str] | None = None) -> list[bytes]:
        """Write ``count`` profiles from place ``start`` on, of each only these properties."""
        lines = self.snapshot.written(self.places[start : start + count])
        after = max(0, start - len(self.places))
        bare = self.without_profile[after : after + count - len(lines)]
        return [*_narrowed(lines, properties), *(written_profile(distinct_id, {}) for distinct_id in bare)]

    def all_written(self, properties: Collection[str] | None = None) -> Iterator[bytes]:
        """Write all, a page at a time."""
        for start in range(0, len(self), PAGE_SIZE):
            yield from self.written(start, PAGE_SIZE, properties)


def chosen(query: ProfileQuery, snapshot: Snapshot, counts: Mapping[str, Mapping[str, int]]) -> Chosen:
    """Choose the profiles; ``counts`` tells of each distinct id how often it did what ``behaviors`` name."""
    places, bare = _by_id(query, snapshot)
    if query.where is None:
        return Chosen(snapshot, places, bare)
    expression = query.where

    def is_kept(distinct_id: str, properties: Mapping[str, Any]) -> bool:
        return expression.keeps(properties, user=properties, behaviors=_behaviors(query, counts, distinct_id))

    kept = []
    for start in range(0, len(places), PAGE_SIZE):
        some = places[start : start + PAGE_SIZE]
        profiles = map(json.loads, snapshot.written(some))
        kept += [p for p, it in zip(some, profiles, strict=True) if is_kept(it["$distinct_id"], it["$properties"])]
    return Chosen(snapshot, kept, [distinct_id for distinct_id in bare if is_kept(distinct_id, {})])


def _by_id(query: ProfileQuery, snapshot: Snapshot) -> tuple[Sequence[int], Sequence[str]]:
    """Return the places of the profiles that are asked for by id or cohort, and the members without one."""
    wanted = query.distinct_ids
    if query.members is not None:
        wanted = frozenset(query.members) if wanted is None else wanted.intersection(query.members)
    if wanted is None:
        return range(len(snapshot)), ()
    there = {name: place for place, name in enumerate(snapshot.distinct_ids()) if name in wanted}
    if query.members is None or not query.include_all_users:
        return list(there.values()), ()
    return list(there.values()), [name for name in dict.fromkeys(query.members) if name in wanted - there.keys()]


def _behaviors(query: ProfileQuery, counts: Mapping[str, Mapping[str, int]], distinct_id: str) -> Mapping[str, int]:
    return {behavior.name: counts[behavior.name].get(distinct_id, 0) for behavior in query.behaviors}


def _narrowed(lines: list[bytes], properties: Collection[str] | None) -> Iterable[bytes]:
    """Keep only the properties that are asked for."""
    if properties is None:
        return lines
    profiles = (json.loads(line) for line in lines)
    return (
        written_profile(p["$distinct_id"], {n: v for n, v in p["$properties"].items() if n in properties})
        for p in profiles
    )
