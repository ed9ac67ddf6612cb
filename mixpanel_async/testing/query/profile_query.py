"""Which profiles a query asks for: its parameters, judged as Mixpanel judges them, and the choice itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from mixpanel_async.testing import where
from mixpanel_async.testing.data.catalog import Catalog
from mixpanel_async.testing.http.response import RefusedError, json_error
from mixpanel_async.testing.query.behaviors import Behavior, behaviors_of
from mixpanel_async.testing.query.query_rules import QueryRules

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
