"""JSON text, read strictly and exactly.

Strictly: no `NaN`, no trailing comma, nothing that other JSON parsers refuse. Exactly: no number is rounded, an object
may be nested to any depth, and of a name that occurs twice in an object the first counts, as in DuckDB.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import msgspec

_BLANKS = re.compile(r"[ \t\r\n]*")
_SURROGATE_PAIR_OR_LONE = re.compile(
    r"\\(?:u([dD][89aAbB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
_CLOSING = {"{": "}", "[": "]"}


class ConstantError(ValueError):
    """`NaN` or `Infinity`, which JSON does not have."""


def mend_surrogates(text: str) -> str:
    r"""Replace each lone surrogate (`"\ud800"`) of a JSON text by U+FFFD, because UTF-8 cannot hold it."""
    return _SURROGATE_PAIR_OR_LONE.sub(_mend_surrogate, text) if "\\u" in text else text


def members(text: str) -> dict[str, str] | None:
    """Read an object's members, each value as the JSON text it came as; `None` for JSON that is not an object.

    Raises:
        ConstantError: it contains `NaN` or `Infinity`.
        ValueError: it is not JSON.
    """
    at = _after_blanks(text, 0)
    if text[at : at + 1] != "{":
        at = _after_blanks(text, _value_end(text, at))
        _expect_end(text, at, "value")
        return None
    values: dict[str, str] = {}
    at = _after_blanks(text, at + 1)
    while text[at : at + 1] != "}":
        name, start = _name(text, at)
        end = _value_end(text, start)
        values.setdefault(name, text[start:end])
        at = _after_blanks(text, end)
        if text[at : at + 1] != ",":
            break
        at = _after_blanks(text, at + 1)
        if text[at : at + 1] == "}":
            raise ValueError(f"a name is missing at character {at}")
    if text[at : at + 1] != "}":
        raise ValueError(f"the object does not end at character {at}")
    _expect_end(text, _after_blanks(text, at + 1), "object")
    return values


def is_json_but_for_constants(text: str) -> bool:
    """Whether a text would be JSON if JSON had `NaN` and `Infinity`."""
    try:
        _LENIENT.decode(text.strip())
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def parse(text: bytes) -> Any:  # noqa: ANN401 - whatever the JSON holds
    """Parse a JSON text, nested to any depth, without losing a number.

    An integer becomes an `int`, whatever its size; another number a `float`; a number that Python has no `int` or
    `float` for (more than 4,300 digits, beyond 1.8e308) a `Decimal`, and one with an exponent of 19 digits its text. Of
    a name that occurs twice the last counts, as in Python's `json`.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        return _EXACT.decode(text.decode())
    except RecursionError:
        return _parse_nested(text.decode())


def _value_end(text: str, at: int) -> int:
    """Check the value that begins here, and return where it ends."""
    try:
        return _STRICT.raw_decode(text, at)[1]
    except RecursionError:
        return _nested(text, at)[1]


def _parse_nested(text: str) -> Any:  # noqa: ANN401 - as above
    value, end = _nested(text, _after_blanks(text, 0))
    _expect_end(text, _after_blanks(text, end), "value")
    return value


def _nested(text: str, at: int) -> tuple[Any, int]:
    """Parse the value that begins here, without recursion: slower than `json`, but at any depth."""
    containers: list[dict[str, Any] | list[Any]] = []
    names: list[str] = []
    while True:
        if text[at : at + 1] in _CLOSING:
            closing, at = _CLOSING[text[at]], _after_blanks(text, at + 1)
            containers.append({} if closing == "}" else [])
            if text[at : at + 1] != closing:
                names.append("")
                if closing == "}":
                    names[-1], at = _name(text, at)
                continue
            value: Any = containers.pop()
            at += 1
        else:
            value, at = _EXACT.raw_decode(text, at)
        while containers:
            container = containers[-1]
            if isinstance(container, dict):
                container[names[-1]] = value
            else:
                container.append(value)
            at = _after_blanks(text, at)
            if text[at : at + 1] == ",":
                at = _after_blanks(text, at + 1)
                if isinstance(container, dict):
                    names[-1], at = _name(text, at)
                break
            if text[at : at + 1] != ("}" if isinstance(container, dict) else "]"):
                raise ValueError(f"a container does not end at character {at}")
            value, at = containers.pop(), at + 1
            names.pop()
        else:
            return value, at


def _name(text: str, at: int) -> tuple[str, int]:
    """Read an object's next name and its colon; return the name and where its value begins."""
    if text[at : at + 1] != '"':
        raise ValueError(f"a name is missing at character {at}")
    name, at = _EXACT.raw_decode(text, at)
    at = _after_blanks(text, at)
    if text[at : at + 1] != ":":
        raise ValueError(f"a colon is missing at character {at}")
    return name, _after_blanks(text, at + 1)


def _after_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return at if blanks is None else blanks.end()


def _expect_end(text: str, at: int, what: str) -> None:
    if at != len(text):
        raise ValueError(f"more follows the {what} at character {at}")


def _mend_surrogate(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape[3] else escape[0]


def _refuse_constant(name: str) -> NoReturn:
    raise ConstantError(f"{name} is not JSON")


def _int(text: str) -> int | Decimal:
    try:
        return int(text)
    except ValueError:  # more digits than Python turns into an int
        return Decimal(text)


def _float(text: str) -> float | Decimal | str:
    return number if math.isfinite(number := float(text)) else _decimal(text)


def _decimal(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of 19 digits
        return text


# The first keeps numbers as text: a number of 5,000 digits is not an error there.
_STRICT = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)
_LENIENT = json.JSONDecoder(parse_int=str, parse_float=str)
_EXACT = json.JSONDecoder(parse_int=_int, parse_float=_float, parse_constant=_refuse_constant)
