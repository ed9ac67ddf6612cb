"""Selects the profiles that a query returns."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixpanel_async.testing.data.profiles import GivenProfiles, Snapshot, dump_profile
from mixpanel_async.testing.query.behaviors import count_behaviors
from mixpanel_async.testing.query.profile_query import ProfileQuery
from mixpanel_async.testing.query.query_context import QueryContext

_READ_AT_ONCE = 1000
_NO_PROFILES = GivenProfiles()


@dataclass(frozen=True, slots=True)
class SelectedProfiles:
    """The profiles that a query selects, in order, as they were when it was sent."""

    snapshot: Snapshot
    places: Sequence[int]
    """The places of the selected profiles in the snapshot."""
    without_profile: Sequence[str] = field(default=())
    """The distinct ids of cohort members without a profile. They follow the profiles."""

    def __len__(self) -> int:
        """Return the number of profiles, members without a profile included."""
        return len(self.places) + len(self.without_profile)

    def slice(self, start: int, count: int, properties: Collection[str] | None = None) -> list[bytes]:
        """Return ``count`` profiles from place ``start`` on, as JSON, with only these properties (None: all)."""
        lines = self.snapshot.written(self.places[start : start + count])
        after = max(0, start - len(self.places))
        ids = self.without_profile[after : after + count - len(lines)]
        return [*_keep_properties(lines, properties), *(dump_profile(distinct_id, {}) for distinct_id in ids)]

    def all(self, properties: Collection[str] | None = None) -> Iterator[bytes]:
        """Yield all profiles, as JSON, with only these properties (None: all)."""
        for start in range(0, len(self), _READ_AT_ONCE):
            yield from self.slice(start, _READ_AT_ONCE, properties)


def select_profiles(context: QueryContext, query: ProfileQuery) -> SelectedProfiles:
    """Select the present profiles that match a query."""
    source = context.profiles if query.group is None else context.groups.get(query.group, _NO_PROFILES)
    selected = _select_by_id(query, source.snapshot())
    return _filter(query, selected, count_behaviors(query.behaviors, context.events, query.as_of))


def _select_by_id(query: ProfileQuery, snapshot: Snapshot) -> SelectedProfiles:
    """Select by distinct ids and by cohort."""
    wanted = query.distinct_ids
    if query.members is not None:
        wanted = frozenset(query.members) if wanted is None else wanted.intersection(query.members)
    if wanted is None:
        return SelectedProfiles(snapshot, range(len(snapshot)))
    found = {name: place for place, name in enumerate(snapshot.distinct_ids()) if name in wanted}
    if query.members is None or not query.include_all_users:
        return SelectedProfiles(snapshot, list(found.values()))
    missing = [name for name in dict.fromkeys(query.members) if name in wanted - found.keys()]
    return SelectedProfiles(snapshot, list(found.values()), missing)


def _filter(
    query: ProfileQuery, selected: SelectedProfiles, counts: Mapping[str, Mapping[str, int]]
) -> SelectedProfiles:
    """Keep the profiles that match ``where``; ``counts`` has each behavior's count for each distinct id."""
    if query.where is None:
        return selected
    expression, snapshot, places = query.where, selected.snapshot, selected.places

    def is_match(distinct_id: str, properties: Mapping[str, Any]) -> bool:
        behaviors = {behavior.name: counts[behavior.name].get(distinct_id, 0) for behavior in query.behaviors}
        return expression.matches(properties, user=properties, behaviors=behaviors)

    kept = []
    for start in range(0, len(places), _READ_AT_ONCE):
        some = places[start : start + _READ_AT_ONCE]
        profiles = map(json.loads, snapshot.written(some))
        kept += [p for p, it in zip(some, profiles, strict=True) if is_match(it["$distinct_id"], it["$properties"])]
    return SelectedProfiles(snapshot, kept, [name for name in selected.without_profile if is_match(name, {})])


def _keep_properties(lines: list[bytes], properties: Collection[str] | None) -> Iterable[bytes]:
    """Drop all other properties."""
    if properties is None:
        return lines
    profiles = (json.loads(line) for line in lines)
    return (
        dump_profile(p["$distinct_id"], {n: v for n, v in p["$properties"].items() if n in properties})
        for p in profiles
    )
