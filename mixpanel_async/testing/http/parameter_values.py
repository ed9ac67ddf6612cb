"""Converts single parameters from text: dates, whole numbers, JSON, filter expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from mixpanel_async.testing import where
from mixpanel_async.testing.http.response import RefusedError, json_error

_FIRST_YEAR = 2000


class BadParameterError(RefusedError):
    """A parameter is missing or wrong. Its response is 400 with JSON; ``text`` is the message."""

    def __init__(self, text: str) -> None:
        """Say what is wrong, in Mixpanel's words where they are known."""
        super().__init__(json_error(400, text))
        self.text = text


def required(params: Mapping[str, str], name: str) -> str:
    """Return a parameter; raises BadParameterError if it is missing or empty."""
    if not params.get(name):
        raise BadParameterError(f"Error in {name}: required parameter is missing")
    return params[name]


def read_date(params: Mapping[str, str], name: str) -> date:
    """Return a required date. Raises BadParameterError unless it is ``yyyy-mm-dd`` and from 2000 on."""
    text = required(params, name)
    day = _parse_date(text)
    if day is None:
        raise BadParameterError(f"Error in {name}: invalid date, expected yyyy-mm-dd")
    if day.year < _FIRST_YEAR:
        raise BadParameterError(f"Error in {name}: invalid date, bad year")
    return day


def read_optional_date(params: Mapping[str, str], name: str) -> date | None:
    """Return a date as ``read_date`` does; None if the parameter is missing or empty."""
    return read_date(params, name) if params.get(name) else None


def read_number(params: Mapping[str, str], name: str, *, least: int, most: int = 10**18) -> int | None:
    """Return a whole number from ``least`` to ``most``; None if the parameter is missing or empty.

    Raises BadParameterError for any other value.
    """
    text = params.get(name)
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise BadParameterError(f"Error in {name}: expected a whole number from {least} to {most}")
    return int(text)


def read_json(params: Mapping[str, str], name: str) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Return a parameter parsed as JSON; None if it is missing or empty. Raises BadParameterError if it is not JSON."""
    if not params.get(name):
        return None
    try:
        return json.loads(params[name])
    except (ValueError, RecursionError):
        raise BadParameterError(f"Error in {name}: invalid JSON") from None


def read_names(params: Mapping[str, str], name: str) -> frozenset[str] | None:
    """Return a JSON array of strings as a set; None if the parameter is missing or empty.

    Raises BadParameterError for any other value.
    """
    names = read_json(params, name)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        raise BadParameterError(f"Error in {name}: expected a JSON array of strings")
    return frozenset(names)


def read_where(params: Mapping[str, str]) -> where.Expression | None:
    """Return the parsed ``where``; None if it is missing or empty. Raises BadParameterError for a syntax error."""
    text = params.get("where")
    try:
        return where.parse(text) if text else None
    except where.WhereError as error:
        raise BadParameterError(f"Error in where: {error}") from None


def _parse_date(text: str) -> date | None:
    """Return the date in ``yyyy-mm-dd``, the only accepted form; None for any other text."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
