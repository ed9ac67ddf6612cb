"""Requests to Mixpanel's profile query.

Source: Mixpanel's docs of `POST /api/query/engage`, and what its clients have met. The first page opens a session,
which holds the profiles as they were then. The other pages name the session, come in any order, and do not count in the
hourly limit.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from mixpanel_async.api.query import Query
from mixpanel_async.errors import QueryError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from mixpanel_async.errors import ExportError
    from mixpanel_async.selections import ProfileSelection

PATH = "/api/query/engage"

IDS = 1000
"""Distinct ids in one request: as many as a page holds, so that they come on one page."""

LAST_SEEN = "$last_seen"
"""The property that the column `last_seen` has, requested whichever properties are selected."""


class SessionExpiredError(QueryError):
    """Mixpanel no longer knows the session of a page, so all pages must be requested again."""


def session_parameters(
    selection: ProfileSelection, now: int, seen_since: dt.datetime | None = None
) -> list[dict[str, str]]:
    """Return the parameters of each session that a selection takes: several where it has many distinct ids.

    `now`, in seconds since 1970, is up to when `behaviors` are counted if there is no `as_of_timestamp`: without one
    Mixpanel serves no second page. `seen_since` leaves out profiles that were not seen since, or have no `$last_seen`.
    """
    parameters: dict[str, object] = {
        "where": _seen_since(selection.where, seen_since),
        "output_properties": _output_properties(selection),
        "data_group_id": selection.group_id,
        "behaviors": selection.behaviors,
    }
    if selection.cohort_id is not None:
        parameters["filter_by_cohort"] = {"id": selection.cohort_id}
        parameters["include_all_users"] = selection.include_all_users  # Mixpanel's own default is true
    if selection.behaviors is not None:
        parameters["as_of_timestamp"] = now if selection.as_of_timestamp is None else selection.as_of_timestamp
    if selection.distinct_ids is None:
        return [_form(parameters)]
    ids = selection.distinct_ids
    return [_form({**parameters, "distinct_ids": ids[start : start + IDS]}) for start in range(0, len(ids), IDS)]


def page_query(parameters: Mapping[str, str], number: int, session_id: str | None, name: str) -> Query:
    """Return the request for a page; without a session, for the first page, which opens one."""
    session = {} if session_id is None else {"session_id": session_id, "page": str(number)}
    return Query(PATH, {**parameters, **session}, name, is_post=True, is_counted=session_id is None)


def is_expired(error: ExportError) -> bool:
    """Whether a page after the first is refused because its session has expired.

    One wording is known, `request for page in uncached query for params`. Its status is not known, and a 200 may hold
    an error, too.
    """
    words = {400: "uncached|session", 200: "uncached"}.get(error.status or 0)
    return words is not None and re.search(words, str(error), re.IGNORECASE) is not None


def _seen_since(where: str | None, time: dt.datetime | None) -> str | None:
    """Add a condition to a filter: Mixpanel compares `$last_seen` as text, as Airbyte's connector relies on."""
    if time is None:
        return where
    seen = f'properties["{LAST_SEEN}"] >= "{time.strftime("%Y-%m-%dT%H:%M:%S")}"'
    return seen if where is None else f"({where}) and {seen}"


def _output_properties(selection: ProfileSelection) -> list[str] | None:
    names = selection.output_properties
    return None if names is None else sorted({*names, LAST_SEEN})


def _form(parameters: Mapping[str, object]) -> dict[str, str]:
    """Return a form: text as it is, other values as JSON, without `None`."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in parameters.items()
        if value is not None
    }
