"""The export's query string, judged as Mixpanel judges it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from mixpanel_async.testing.http.error_wording import Wording
from mixpanel_async.testing.http.response import RefusedError, json_error
from mixpanel_async.testing.where import Expression, WhereError, parse

MOST_LINES = 100_000
"""The highest ``limit`` (Mixpanel's docs)."""

_FIRST_YEAR = 2000


class BadParameterError(RefusedError):
    """A parameter that is missing or wrong."""

    def __init__(self, text: str) -> None:
        """Say what is wrong, as Mixpanel does where that is known."""
        super().__init__(json_error(400, text))
        self.text = text


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """What an export asks for; both days belong to it."""

    from_date: date
    to_date: date
    events: frozenset[str] | None = None
    where: Expression | None = None
    limit: int | None = None
    time_in_ms: bool = False

    @property
    def asks_profiles(self) -> bool:
        """Whether the answer depends on profiles too."""
        return self.where is not None and "user" in self.where.scopes


def judged(params: Mapping[str, str], *, today: date, wording: Wording) -> ExportQuery:
    """Return what is asked for; raises RefusedError with a 400. Unknown parameters are ignored."""
    try:
        query = _read(params, clamped=wording.high_limit == "clamped")
    except BadParameterError as error:
        raise RefusedError(wording.bad_parameter_answer(error.text)) from None
    if query.to_date > today:
        raise RefusedError(wording.future_answer())
    return query


def _read(params: Mapping[str, str], *, clamped: bool) -> ExportQuery:
    from_date, to_date = date_of(params, "from_date"), date_of(params, "to_date")
    if from_date > to_date:
        raise BadParameterError("to_date cannot be before from_date")
    return ExportQuery(
        from_date=from_date,
        to_date=to_date,
        events=_events(params.get("event")),
        where=_where(params.get("where")),
        limit=_limit(params.get("limit"), clamped=clamped),
        time_in_ms=params.get("time_in_ms", "").lower() in {"true", "1"},
    )


def date_or_none(text: str | None) -> date | None:
    """Read ``yyyy-mm-dd``, the one form that is taken; None for anything else."""
    if text is None or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def date_of(params: Mapping[str, str], name: str) -> date:
    """Read a date that has to be there; raises BadParameterError."""
    if not params.get(name):
        raise BadParameterError(f"Error in {name}: required parameter is missing")
    day = date_or_none(params[name])
    if day is None:
        raise BadParameterError(f"Error in {name}: invalid date, expected yyyy-mm-dd")
    if day.year < _FIRST_YEAR:
        raise BadParameterError(f"Error in {name}: invalid date, bad year")
    return day


def _events(text: str | None) -> frozenset[str] | None:
    """Read the event names: a JSON array of strings, nothing looser."""
    if not text:
        return None
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadParameterError('Error in event: expected a JSON array of strings, such as ["Signed up"]')
    return frozenset(names)


def _where(text: str | None) -> Expression | None:
    try:
        return parse(text) if text else None
    except WhereError as error:
        raise BadParameterError(f"Error in where: {error}") from None


def _limit(text: str | None, *, clamped: bool) -> int | None:
    if text is None:
        return None
    limit = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
    if limit < 1 or (limit > MOST_LINES and not clamped):
        raise BadParameterError(f"Error in limit: expected a whole number from 1 to {MOST_LINES}")
    return min(limit, MOST_LINES)
