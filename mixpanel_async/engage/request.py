"""What to ask Mixpanel's profile query for. No I/O here.

Source: Mixpanel's docs of `POST /api/query/engage`, and what its clients have met. The first page opens a session,
which holds the profiles as they were then; the others name it, in any order. They cost no token of the hour.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from mixpanel_async.api.query import Query
from mixpanel_async.errors import QueryError
from mixpanel_async.export.request import check_where, is_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixpanel_async.errors import ExportError

PATH = "/api/query/engage"

IDS = 1000
"""Distinct ids in one request: as many as a page holds, so that they come in one."""


class SessionExpiredError(QueryError):
    """Mixpanel no longer knows the session of a page, so all pages are to be asked for anew."""


class ProfileArguments(TypedDict, total=False):
    """How a caller chooses profiles; see `MixpanelClient.fetch_profiles`."""

    where: str | None
    cohort_id: int | None
    output_properties: Sequence[str] | None
    distinct_id: str | None
    distinct_ids: Sequence[str] | None
    group_id: int | str | None
    behaviors: Sequence[Mapping[str, Any]] | None
    as_of_timestamp: int | None
    include_all_users: bool


@dataclass(frozen=True, slots=True)
class ProfileSelection:
    """Which profiles, and which of their properties; `check_profiles` makes it of checked arguments."""

    where: str | None = None
    cohort_id: int | None = None
    output_properties: tuple[str, ...] | None = None
    distinct_ids: tuple[str, ...] | None = None
    group_id: str | None = None
    behaviors: str | None = None
    """As JSON."""
    as_of_timestamp: int | None = None
    include_all_users: bool = False

    def as_json(self) -> str:
        """The same text for the same selection."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def parts(self, now: int) -> list[dict[str, str]]:
        """The parameters of each session that it takes: more than one where there are many distinct ids.

        `now`, in epoch seconds, is what `behaviors` are counted up to where no `as_of_timestamp` says so: without
        one Mixpanel serves no second page.
        """
        given: dict[str, object] = {
            "where": self.where,
            "output_properties": self.output_properties,
            "data_group_id": self.group_id,
            "behaviors": self.behaviors,
        }
        if self.cohort_id is not None:
            given["filter_by_cohort"] = {"id": self.cohort_id}
            given["include_all_users"] = self.include_all_users  # Mixpanel's own default is true
        if self.behaviors is not None:
            given["as_of_timestamp"] = now if self.as_of_timestamp is None else self.as_of_timestamp
        if self.distinct_ids is None:
            return [_form(given)]
        starts = range(0, len(self.distinct_ids), IDS)
        return [_form({**given, "distinct_ids": self.distinct_ids[start : start + IDS]}) for start in starts]


def page_query(parameters: Mapping[str, str], number: int, session_id: str | None, name: str) -> Query:
    """What to ask for a page; without a session it is the first, which opens one."""
    session = {} if session_id is None else {"session_id": session_id, "page": str(number)}
    return Query(PATH, {**parameters, **session}, name, posted=True, counted=session_id is None)


def is_expired(error: ExportError) -> bool:
    """Whether a page beyond the first is refused because its session is over.

    The one wording known is `request for page in uncached query for params`; its status is not, and errors come in a
    200 too.
    """
    words = {400: "uncached|session", 200: "uncached"}.get(error.status or 0)
    return words is not None and re.search(words, str(error), re.IGNORECASE) is not None


def check_profiles(  # noqa: PLR0913 - the call's arguments
    *,
    where: str | None,
    cohort_id: int | None,
    output_properties: Sequence[str] | None,
    distinct_id: str | None,
    distinct_ids: Sequence[str] | None,
    group_id: int | str | None,
    behaviors: Sequence[Mapping[str, Any]] | None,
    as_of_timestamp: int | None,
    include_all_users: bool,
) -> ProfileSelection:
    """Hold the selection's rules.

    Raises:
        ValueError: names the argument and what it must be.
    """
    check_where(where)
    if distinct_id is not None:
        if distinct_ids is not None:
            raise ValueError("distinct_id is one id and distinct_ids are several: pass one of them.")
        distinct_ids = [distinct_id]
    if behaviors is not None and cohort_id is not None:
        raise ValueError("behaviors and cohort_id exclude each other (Mixpanel's docs): pass one of them.")
    if as_of_timestamp is not None and behaviors is None:
        raise ValueError("as_of_timestamp says what behaviors are counted up to: pass it with behaviors.")
    if include_all_users and cohort_id is None:
        raise ValueError("include_all_users adds a cohort's members without a profile: pass it with cohort_id.")
    return ProfileSelection(
        where,
        _whole("cohort_id", cohort_id, least=1),
        _names("output_properties", output_properties, "names of properties"),
        _names("distinct_ids", distinct_ids, "ids"),
        _group(group_id),
        _behaviors(behaviors),
        _whole("as_of_timestamp", as_of_timestamp, least=0),
        bool(include_all_users),
    )


def _form(given: Mapping[str, object]) -> dict[str, str]:
    """Text as it is, all else as JSON; `None` is left out."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in given.items()
        if value is not None
    }


def _names(argument: str, names: Sequence[str] | None, what: str) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str):
        raise ValueError(f"{argument} must be a list, such as [{names!r}], not one text.")  # noqa: TRY004
    listed = tuple(names) if isinstance(names, Iterable) else ()  # an iterator can be looked at once only
    if not (listed and all(map(is_text, listed))):
        raise ValueError(
            f"{argument} must be {what} that are not empty and have no lone surrogate, at least one, or None for all."
        )
    return tuple(sorted(set(listed)))  # the same selection, whatever their order


def _whole(argument: str, value: int | None, *, least: int) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise ValueError(f"{argument} must be a whole number, {least} or more, not {value!r}.")
    return value


def _group(group_id: int | str | None) -> str | None:
    """As text: such a number may be beyond what a double holds, as most JSON readers read it."""
    if group_id is None:
        return None
    if isinstance(group_id, bool) or not re.fullmatch(r"[0-9]{1,20}", str(group_id), re.ASCII):
        raise ValueError(f"group_id must be a data group's number, such as 8453995111420155989, not {group_id!r}.")
    return str(group_id)


def _behaviors(behaviors: Sequence[Mapping[str, Any]] | None) -> str | None:
    if behaviors is None:
        return None
    example = '[{"window": "30d", "name": "bought", "event_selectors": [{"event": "Purchase"}]}]'
    if isinstance(behaviors, str) or not behaviors or not all(isinstance(each, dict) for each in behaviors):
        raise ValueError(f"behaviors must be a list such as {example}.")
    try:
        text = json.dumps(behaviors, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        text = ""
    if not is_text(text):
        raise ValueError(f"behaviors must be what JSON can hold, with no lone surrogate, such as {example}.")
    return text
