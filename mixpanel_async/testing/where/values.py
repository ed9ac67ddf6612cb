"""The values of segmentation expressions, and their operators and functions."""

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
"""A JSON value, a Moment, or UNDEFINED."""


class Undefined(Enum):
    """The type of UNDEFINED."""

    UNDEFINED = "undefined"


UNDEFINED = Undefined.UNDEFINED
"""The value of a missing property, and the result of an operator whose operands have the wrong types."""


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A moment, in seconds since 1970 by the project's clock."""

    seconds: float


_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2})?", re.ASCII)


def is_true(value: Value) -> bool:
    """Return whether a value counts as true in ``and``, in ``or`` and as the result of an expression."""
    return value is True


def equals(one: Value, other: Value) -> bool:
    """Apply ``==``: values of different types are not equal."""
    if _value_type(one) is not _value_type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equals, one, other))
    return bool(one == other)


def _value_type(value: Value) -> type:
    """Return the type of a value; all numbers have the same type."""
    return float if type(value) is int else type(value)


def _are_numbers(*values: Value) -> bool:
    return all(_value_type(value) is float for value in values)


# operators


def _arithmetic(calculate: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    """Make an operator of two numbers. It is undefined for other operands, and if the result is not a number."""

    def operate(one: Value, other: Value) -> Value:
        if not _are_numbers(one, other):
            return UNDEFINED
        try:
            return within_float_range(calculate(one, other))
        except (ZeroDivisionError, OverflowError):
            return UNDEFINED

    return operate


def within_float_range(number: float) -> float:
    """Return the number unchanged; raises OverflowError for an integer that is too large for a float."""
    float(number)
    return number


def _comparison(compare_values: Callable[[Any, Any], bool]) -> Callable[[Value, Value], Value]:
    """Make a comparison of two numbers, strings or moments. If one is a moment, a string is parsed as a moment."""

    def compare(one: Value, other: Value) -> Value:
        if isinstance(one, Moment) and isinstance(other, str):
            other = as_moment(other)
        elif isinstance(one, str) and isinstance(other, Moment):
            one = as_moment(one)
        comparable = _value_type(one) is _value_type(other) and isinstance(one, (int, float, str, Moment))
        return compare_values(one, other) if comparable and not isinstance(one, bool) else UNDEFINED

    return compare


def _add(one: Value, other: Value) -> Value:
    if isinstance(one, str) and isinstance(other, str):
        return one + other
    return _arithmetic(operator.add)(one, other)


def _remainder(one: float, other: float) -> float:
    rest = abs(one) % abs(other)
    return rest if one >= 0 else -rest


def _contains(one: Value, other: Value) -> Value:
    if isinstance(other, list):
        return any(equals(one, item) for item in other)
    return one in other if isinstance(one, str) and isinstance(other, str) else UNDEFINED


BINARY: Mapping[str, Callable[[Value, Value], Value]] = {
    "or": lambda one, other: is_true(one) or is_true(other),
    "and": lambda one, other: is_true(one) and is_true(other),
    "==": equals,
    "!=": lambda one, other: not equals(one, other),
    "<": _comparison(operator.lt),
    "<=": _comparison(operator.le),
    ">": _comparison(operator.gt),
    ">=": _comparison(operator.ge),
    "in": _contains,
    "+": _add,
    "-": _arithmetic(operator.sub),
    "*": _arithmetic(operator.mul),
    "/": _arithmetic(operator.truediv),
    "%": _arithmetic(_remainder),
}


def negate_boolean(value: Value) -> Value:
    """Apply ``not``."""
    if value is UNDEFINED:
        return True
    return not value if isinstance(value, bool) else UNDEFINED


def negate_number(value: Value) -> Value:
    """Apply ``-`` to one operand."""
    return -value if _are_numbers(value) else UNDEFINED


# functions


def _rounding(to_integer: Callable[[float], int]) -> Callable[[Value], Value]:
    def round_value(value: Value) -> Value:
        try:
            return to_integer(value) if _are_numbers(value) else UNDEFINED
        except (OverflowError, ValueError):
            return UNDEFINED

    return round_value


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
    """Return a moment from seconds, or from an ISO date or datetime in the project's clock; otherwise UNDEFINED."""
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
    "floor": _rounding(math.floor),
    "round": _rounding(_nearest),
    "ceil": _rounding(math.ceil),
    "boolean": _as_boolean,
    "number": _as_number,
    "string": _as_string,
    "defined": lambda value: value is not UNDEFINED and value is not None,
    "datetime": as_moment,
}
