"""ProfileQuery: the parameters that select profiles, checked as Mixpanel checks them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mixpanel_async.testing import where
from mixpanel_async.testing.data.catalog import Catalog
from mixpanel_async.testing.http.parameter_values import (
    BadParameterError,
    read_json,
    read_names,
    read_number,
    read_where,
)
from mixpanel_async.testing.query.behaviors import Behavior, parse_behaviors
from mixpanel_async.testing.query.query_rules import QueryRules

_MAX_TIMESTAMP = 253_402_300_799
"""The end of the year 9999 in UTC, in seconds."""

_SELECTING = (
    "where", "distinct_id", "distinct_ids", "filter_by_cohort", "include_all_users",
    "data_group_id", "behaviors", "as_of_timestamp",
)  # fmt: skip
"""The parameters that select profiles. A session is bound to their values."""


@dataclass(frozen=True, slots=True)
class ProfileQuery:
    """The profiles and properties that a query selects."""

    selected_by: Mapping[str, str]
    """The parameters that select profiles, as they were sent."""
    where: where.Expression | None = None
    distinct_ids: frozenset[str] | None = None
    members: tuple[str, ...] | None = None
    """The distinct ids of a cohort's members; None without ``filter_by_cohort``."""
    include_all_users: bool = True
    """Whether members without a profile are included."""
    group: str | None = None
    """The ``data_group_id``; None for user profiles."""
    behaviors: tuple[Behavior, ...] = ()
    as_of: int | None = None
    """``as_of_timestamp``, in seconds since 1970 (UTC)."""
    output_properties: frozenset[str] | None = None
    """The properties in the response; None for all."""


def parse_profile_query(params: Mapping[str, str], catalog: Catalog, rules: QueryRules) -> ProfileQuery:
    """Parse the parameters; raises BadParameterError. Unknown parameters are ignored."""
    behaviors = parse_behaviors(params.get("behaviors"))
    cohort = read_json(params, "filter_by_cohort")
    if behaviors and cohort is not None and rules.behaviors_with_cohort == "400":
        raise BadParameterError("behaviors and filter_by_cohort are mutually exclusive")
    return ProfileQuery(
        selected_by={name: params[name] for name in _SELECTING if params.get(name)},
        where=read_where(params),
        distinct_ids=_distinct_ids(params),
        members=None if cohort is None else _members(cohort, catalog, rules),
        include_all_users=params.get("include_all_users", "true").lower() not in {"false", "0"},
        group=params.get("data_group_id") or None,
        behaviors=behaviors,
        as_of=read_number(params, "as_of_timestamp", least=0, most=_MAX_TIMESTAMP),
        output_properties=read_names(params, "output_properties"),
    )


def _distinct_ids(params: Mapping[str, str]) -> frozenset[str] | None:
    several = read_names(params, "distinct_ids")
    one = params.get("distinct_id")
    if not one:
        return several
    return frozenset([one]) if several is None else several & {one}


def _members(cohort: object, catalog: Catalog, rules: QueryRules) -> tuple[str, ...]:
    """Return the members of a cohort, given as ``{"id": 7}``."""
    cohort_id = str(cohort.get("id")) if isinstance(cohort, dict) else ""
    if not re.fullmatch(r"[0-9]{1,18}", cohort_id):
        raise BadParameterError(
            'Error in filter_by_cohort: expected {"id": number}; the fake does not support raw cohorts'
        )
    found = catalog.cohort(int(cohort_id))
    if found is None and rules.unknown_cohort == "400":
        raise BadParameterError(f"Error in filter_by_cohort: cohort {cohort_id} not found")
    return tuple(found.members) if found else ()
