"""Which profiles a query asks for: its parameters, judged as Mixpanel judges them, and the choice itself."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mixpanel_async.testing import where
from mixpanel_async.testing.data.catalog import Catalog, QueryRules
from mixpanel_async.testing.data.profiles import Snapshot, written_profile
from mixpanel_async.testing.http.response import RefusedError, json_error
from mixpanel_async.testing.query.behaviors import Behavior, behaviors_of

PAGE_SIZE = 1000
LARGEST_PAGE = 10_000
"""The highest ``page_size``, which higher ones are lowered to (inferred)."""

_LAST_MOMENT = 253_402_300_799
"""The end of the year 9999, in seconds."""

_CHOOSING = (
    "where", "distinct_id", "distinct_ids", "filter_by_cohort", "include_all_users",
    "data_group_id", "behaviors", "as_of_timestamp",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProfileQuery:
    """What a query asks for."""

    chosen_by: Mapping[str, str]
    """The parameters that choose profiles, as they came."""
    where: where.Expression | None = None
    distinct_ids: frozenset[str] | None = None
    members: tuple[str, ...] | None = None
    """The distinct ids of a cohort's members."""
    include_all_users: bool = True
    group: str | None = None
    behaviors: tuple[Behavior, ...] = ()
    as_of: int | None = None
    output_properties: frozenset[str] | None = None


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


def judged(params: Mapping[str, str], catalog: Catalog, rules: QueryRules) -> ProfileQuery:
    """Return what is asked for; raises RefusedError with a 400. Unknown parameters are ignored."""
    behaviors = behaviors_of(params.get("behaviors"))
    cohort = _json(params, "filter_by_cohort")
    if behaviors and cohort is not None and rules.behaviors_with_cohort == "400":
        _refuse("behaviors and filter_by_cohort are mutually exclusive")
    return ProfileQuery(
        chosen_by={name: params[name] for name in _CHOOSING if params.get(name)},
        where=_where(params.get("where")),
        distinct_ids=_distinct_ids(params),
        members=None if cohort is None else _members(cohort, catalog, rules),
        include_all_users=params.get("include_all_users", "true").lower() not in {"false", "0"},
        group=params.get("data_group_id") or None,
        behaviors=behaviors,
        as_of=number(params, "as_of_timestamp", least=0, most=_LAST_MOMENT),
        output_properties=_names(params, "output_properties"),
    )


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


def _where(text: str | None) -> where.Expression | None:
    if not text:
        return None
    try:
        return where.parse(text)
    except where.WhereError as error:
        _refuse(f"Error in where: {error}")


def _distinct_ids(params: Mapping[str, str]) -> frozenset[str] | None:
    several = _names(params, "distinct_ids")
    one = params.get("distinct_id")
    if not one:
        return several
    return frozenset([one]) if several is None else several & {one}


def _members(cohort: object, catalog: Catalog, rules: QueryRules) -> tuple[str, ...]:
    """Return who is in a cohort: ``{"id": 7}``."""
    named = str(cohort.get("id")) if isinstance(cohort, dict) else ""
    if not re.fullmatch(r"[0-9]{1,18}", named):
        _refuse('Error in filter_by_cohort: expected {"id": number}; this fake knows no raw cohorts')
    found = catalog.cohort(int(named))
    if found is None and rules.unknown_cohort == "400":
        _refuse(f"Error in filter_by_cohort: cohort {named} not found")
    return tuple(found.members) if found else ()


def _names(params: Mapping[str, str], name: str) -> frozenset[str] | None:
    """Read a JSON array of strings."""
    names = _json(params, name)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        _refuse(f"Error in {name}: expected a JSON array of strings")
    return frozenset(names)


def _json(params: Mapping[str, str], name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Read a parameter that holds JSON; None if it is not there."""
    if not params.get(name):
        return None
    try:
        return json.loads(params[name])
    except (ValueError, RecursionError):
        _refuse(f"Error in {name}: invalid JSON")


def number(params: Mapping[str, str], name: str, *, least: int, most: int = 10**18) -> int | None:
    """Read a whole number from ``least`` to ``most``; None if there is none. Raises RefusedError."""
    text = params.get(name)
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", text) or not least <= int(text) <= most:
        _refuse(f"Error in {name}: expected a whole number from {least} to {most}")
    return int(text)


def _refuse(text: str) -> NoReturn:
    raise RefusedError(json_error(400, text))
