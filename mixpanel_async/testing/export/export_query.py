"""ExportQuery: the parameters of an export, checked as Mixpanel checks them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from mixpanel_async.testing.http.error_wording import Wording
from mixpanel_async.testing.http.parameter_values import BadParameterError, read_date, read_where
from mixpanel_async.testing.http.response import RefusedError
from mixpanel_async.testing.where import Expression

MAX_LIMIT = 100_000
"""The highest ``limit`` (Mixpanel's docs)."""


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """The parameters of an export. Both dates are inclusive."""

    from_date: date
    to_date: date
    events: frozenset[str] | None = None
    """The event names to export; None for all."""
    where: Expression | None = None
    limit: int | None = None
    time_in_ms: bool = False

    @property
    def needs_profiles(self) -> bool:
        """Whether ``where`` reads profiles."""
        return self.where is not None and "user" in self.where.scopes


def parse_export_query(params: Mapping[str, str], *, today: date, wording: Wording) -> ExportQuery:
    """Parse the parameters; raises RefusedError with a 400. Unknown parameters are ignored.

    ``today`` is the project's date; a later ``to_date`` is refused.
    """
    try:
        query = _parse(params, clamp_limit=wording.high_limit == "clamped")
    except BadParameterError as error:
        raise RefusedError(wording.bad_parameter_response(error.text)) from None
    if query.to_date > today:
        raise RefusedError(wording.future_date_response())
    return query


def _parse(params: Mapping[str, str], *, clamp_limit: bool) -> ExportQuery:
    from_date, to_date = read_date(params, "from_date"), read_date(params, "to_date")
    if from_date > to_date:
        raise BadParameterError("to_date cannot be before from_date")
    return ExportQuery(
        from_date=from_date,
        to_date=to_date,
        events=_parse_event_names(params.get("event")),
        where=read_where(params),
        limit=_parse_limit(params.get("limit"), clamp=clamp_limit),
        time_in_ms=params.get("time_in_ms", "").lower() in {"true", "1"},
    )


def _parse_event_names(text: str | None) -> frozenset[str] | None:
    """Parse the event names. Only a JSON array of strings is accepted."""
    if not text:
        return None
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadParameterError('Error in event: expected a JSON array of strings, such as ["Signed up"]')
    return frozenset(names)


def _parse_limit(text: str | None, *, clamp: bool) -> int | None:
    if text is None:
        return None
    limit = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
    if limit < 1 or (limit > MAX_LIMIT and not clamp):
        raise BadParameterError(f"Error in limit: expected a whole number from 1 to {MAX_LIMIT}")
    return min(limit, MAX_LIMIT)
