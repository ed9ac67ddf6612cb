"""The values of segmentation expressions and what operators and functions make of them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

Value = Any
"""What JSON holds, a Moment, or UNDEFINED."""


class Undefined(Enum):
    """The type of UNDEFINED."""

    UNDEFINED = "undefined"


UNDEFINED = Undefined.UNDEFINED
"""What a property that is not there has, and what comes of operands that do not fit."""


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A moment in the project's clock, in seconds since 1970."""

    seconds: float


_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2})?", re.ASCII)


def is_true(value: Value) -> bool:
    """Say whether ``and``, ``or`` and the whole expression take a value for true."""
    return value is True


def same(one: Value, other: Value) -> bool:
    """Compare as ``==`` does: values of two types differ."""
    if _kind(one) is not _kind(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _kind(value: Value) -> type:
    """Return the type of a value; all numbers are of one."""
    return float if type(value) is int else type(value)


def _are_numbers(*values: Value) -> bool:
    return all(_kind(value) is float for value in values)


# operators


def _calculated(calculate: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    """Apply to two numbers; anything else, and what is no number, is undefined."""

    def calculated(one: Value, other: Value) -> Value:
        if not _are_numbers(one, other):
            return UNDEFINED
        try:
            return within_reach(calculate(one, other))
        except (ZeroDivisionError, OverflowError):
            return UNDEFINED

    return calculated


def within_reach(number: float) -> float:
    """Return a number as it is; raises OverflowError for a whole one that is beyond all floats."""
    float(number)
    return number


def _compared(holds: Callable[[Any, Any], bool]) -> Callable[[Value, Value], Value]:
    """Compare two numbers, two strings or two moments; a string may be a moment if the other is one."""

    def compared(one: Value, other: Value) -> Value:
        if isinstance(one, Moment) and isinstance(other, str):
            other = as_moment(other)
        elif isinstance(one, str) and isinstance(other, Moment):
            one = as_moment(one)
        comparable = _kind(one) is _kind(other) and isinstance(one, (int, float, str, Moment))
        return holds(one, other) if comparable and not isinstance(one, bool) else UNDEFINED

    return compared


def _added(one: Value, other: Value) -> Value:
    if isinstance(one, str) and isinstance(other, str):
        return one + other
    return _calculated(operator.add)(one, other)


def _remainder(one: float, other: float) -> float:
    rest = abs(one) % abs(other)
    return rest if one >= 0 else -rest


def _contained(one: Value, other: Value) -> Value:
    if isinstance(other, list):
        return any(same(one, item) for item in other)
    return one in other if isinstance(one, str) and isinstance(other, str) else UNDEFINED


BINARY: Mapping[str, Callable[[Value, Value], Value]] = {
    "or": lambda one, other: is_true(one) or is_true(other),
    "and": lambda one, other: is_true(one) and is_true(other),
    "==": same,
    "!=": lambda one, other: not same(one, other),
    "<": _compared(operator.lt),
    "<=": _compared(operator.le),
    ">": _compared(operator.gt),
    ">=": _compared(operator.ge),
    "in": _contained,
    "+": _added,
    "-": _calculated(operator.sub),
    "*": _calculated(operator.mul),
    "/": _calculated(operator.truediv),
    "%": _calculated(_remainder),
}


def negated(value: Value) -> Value:
    """Apply ``not``."""
    if value is UNDEFINED:
        return True
    return not value if isinstance(value, bool) else UNDEFINED


def minus(value: Value) -> Value:
    """Apply ``-`` to one operand."""
    return -value if _are_numbers(value) else UNDEFINED


# functions


def _rounded(to_whole: Callable[[float], int]) -> Callable[[Value], Value]:
    def rounded(value: Value) -> Value:
        try:
            return to_whole(value) if _are_numbers(value) else UNDEFINED
        except (OverflowError, ValueError):
            return UNDEFINED

    return rounded


def _nearest(value: float) -> int:
    below = math.floor(abs(value))
    return int(math.copysign(1, value)) * (below + (abs(value) - below >= 0.5))


def _as_boolean(value: Value) -> Value:
    if value is UNDEFINED or value is None or isinstance(value, str):
        return value not in {UNDEFINED, None, "", "false"}
    return value != 0 if _are_numbers(value) else value is not False


def _as_number(value: Value) -> Value:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, Moment):
        return value.seconds
    if isinstance(value, str):
        return float(value) if _DECIMAL.fullmatch(value) else UNDEFINED
    return value if _are_numbers(value) else UNDEFINED


def _as_string(value: Value) -> Value:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    if isinstance(value, int):
        return f"{value:d}"
    if isinstance(value, float):
        return repr(value)
    return value if value is None or isinstance(value, str) else UNDEFINED


def as_moment(value: Value) -> Value:
    """Read a moment: seconds, or a date with or without a time of day in the project's clock."""
    if isinstance(value, Moment):
        return value
    if _are_numbers(value):
        return Moment(value)
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return Moment(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp())
        except ValueError:
            return UNDEFINED
    return UNDEFINED


FUNCTIONS: Mapping[str, Callable[[Value], Value]] = {
    "floor": _rounded(math.floor),
    "round": _rounded(_nearest),
    "ceil": _rounded(math.ceil),
    "boolean": _as_boolean,
    "number": _as_number,
    "string": _as_string,
    "defined": lambda value: value is not UNDEFINED and value is not None,
    "datetime": as_moment,
}
