"""Columns of a view: the type that loses nothing of a property's values, and the SQL that makes them.

A value that does not fit its column is NULL there, never rounded and never an error: `properties` beside it has it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from mixpanel_async.duck.properties import ISO, pointer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from mixpanel_async.description import PropertyType

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
_INTEGERS |= {f"U{each}" for each in _INTEGERS}

_TOKENS = r"""((?:"(?:[^"\\]|\\.)*"|[^"0-9-])*)(-?[0-9][0-9.eE+-]*)"""
"""What precedes a number in a JSON text, and the number."""

_AS_WRITTEN = rf"""left(regexp_replace(properties::VARCHAR || '0', '{_TOKENS}', '\1"\2"', 'g'), -3)"""
"""In SQL: the properties with each number as a string, as it is written. DuckDB itself writes 1.50 as 1.5. A last
number is added and cut off again, so that each match begins where the one before ends, and never within a string.
"""

_REWRITTEN = "'^-[0-9]|^0$|^[0-9]+[.e]'"
"""JSON text of DuckDB's that matches is a number that may have come in another form: 0 as -0."""


class ColumnType(NamedTuple):
    """The type of a column, and how its values are made of the property's."""

    type: str
    """As DuckDB names it."""
    note: str = ""
    form: PropertyType | None = None
    """The type of the strings that a TIMESTAMP is made of; `None` for those with a `Z` and those without."""


def infer(types: AbstractSet[PropertyType]) -> ColumnType:  # noqa: PLR0911 - one for each answer
    """Return the narrowest type that loses nothing of values of these types."""
    if not types:
        return ColumnType("VARCHAR", "no row has it yet")
    if types <= {"boolean"}:
        return ColumnType("BOOLEAN")
    if types <= {"integer", "long integer"}:
        return ColumnType("BIGINT")
    if types <= {"integer", "number"}:
        return ColumnType("DOUBLE")
    if types == {"date"}:
        return ColumnType("DATE")
    if types == {"datetime"}:
        return ColumnType("TIMESTAMP", form="datetime")
    if types == {"datetime UTC"}:
        return ColumnType("TIMESTAMP", "UTC", "datetime UTC")
    if types & {"object", "array"}:
        return ColumnType("JSON", "" if types <= {"object", "array"} else f"{_listed(types)}: as JSON")
    if types <= {"string", "date", "datetime", "datetime UTC"}:
        return ColumnType("VARCHAR")
    return ColumnType("VARCHAR", f"{_listed(types)}: numbers as written" if _numbers(types) else _listed(types))


def chosen(type_: str) -> ColumnType:
    """Return what a caller chose, by the name that DuckDB gives the type."""
    return ColumnType(type_, "chosen")


def value(column: ColumnType, json: str, name: str) -> str:  # noqa: PLR0911 - one for each type
    """Return the SQL expression of a column's values; `json` is that of the property's JSON text."""
    text = f"({json})::VARCHAR"
    match column.type:
        case "VARCHAR":
            return _as_text(json, name)
        case "JSON":
            return f"CASE WHEN {text} <> 'null' THEN {json} END"
        case "BOOLEAN":
            return _cast(text, "^(true|false)$", "BOOLEAN")
        case "DOUBLE":  # an integer of more digits may not fit, and a huge number is infinite
            number = _cast(text, "^(-?(?:[0-9]{1,15}|[0-9]+[.e].*))$", "DOUBLE")
            return f"CASE WHEN isfinite({number}) THEN {number} END"
        case "DATE":
            return _cast(text, f"^{ISO['date']}$", "DATE")
    if column.type.startswith("TIMESTAMP") and not column.type.endswith("ZONE"):  # a cast ignores an offset
        form = ISO[column.form] if column.form else ISO["datetime"].replace(')"', ')Z?"')
        return _cast(text, f"^{form}$", column.type)
    if column.type in _INTEGERS:
        return _cast(text, "^(-?[0-9]+)$", column.type)
    if column.type.endswith("]") or re.match(r"(STRUCT|MAP|UNION)\(", column.type):
        return f"TRY_CAST({json} AS {column.type})"
    return f"TRY_CAST({_as_text(json, name)} AS {column.type})"


def _cast(text: str, pattern: str, type_: str) -> str:
    """Without a match it is a cast of an empty text, which is NULL. A cast of 1.5 to an integer would round it."""
    return f"TRY_CAST(regexp_extract({text}, '{pattern}', 1) AS {type_})"


def _as_text(json: str, name: str) -> str:
    written = f"json_extract_string({_AS_WRITTEN}::JSON, {pointer(name)})"
    is_rewritten = f"regexp_matches(({json})::VARCHAR, {_REWRITTEN})"
    return f"CASE WHEN {is_rewritten} THEN {written} ELSE json_extract_string({json}, '$') END"


def _numbers(types: AbstractSet[PropertyType]) -> bool:
    return bool(types & {"integer", "long integer", "big integer", "number", "huge number"})


def _listed(types: Iterable[PropertyType]) -> str:
    return " and ".join(sorted(types))
