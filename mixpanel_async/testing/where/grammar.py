"""Parses a segmentation expression into a function of a row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, TypeVar

from mixpanel_async.testing.where.values import (
    BINARY,
    FUNCTIONS,
    UNDEFINED,
    Value,
    is_true,
    negate_boolean,
    negate_number,
    within_float_range,
)

MAX_DEPTH = 50
"""How deep parentheses, lists, functions, ``not`` and ``-`` may be nested."""

_Row = Mapping[str, Mapping[str, Value]]
_Node = Callable[[_Row], Value]
_T = TypeVar("_T")

_LEVELS = (("or",), ("and",), (), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
_LEVEL = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}
_NOT_LEVEL = 3
_SCOPES = ("properties", "user", "event", "behaviors")

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<number>(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<word>[A-Za-z_]+)
      | (?P<symbol>[=!<>]=|[-+*/%<>()\[\],])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)


class WhereError(ValueError):
    """A syntax error. The message says what is wrong, and at which character (from 1)."""


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed segmentation expression. Two are equal if their texts are equal."""

    text: str
    scopes: frozenset[str]
    """Which of ``properties``, ``user``, ``event`` and ``behaviors`` it reads."""
    _node: _Node = field(compare=False, repr=False)

    def matches(
        self,
        properties: Mapping[str, Value],
        *,
        user: Mapping[str, Value] | None = None,
        event: Mapping[str, Value] | None = None,
        behaviors: Mapping[str, Value] | None = None,
    ) -> bool:
        """Return whether the expression is true for an event or a profile. UNDEFINED and other values are not true."""
        row = {"properties": properties, "user": user or {}, "event": event or {}, "behaviors": behaviors or {}}
        return is_true(self._node(row))


def parse(text: str) -> Expression:
    """Parse an expression; raises WhereError."""
    parser = _Parser(text)
    node = parser.parse_all()
    return Expression(text, frozenset(parser.scopes), node)


class _Parser:
    """Parses tokens into nodes, by precedence climbing."""

    __slots__ = ("_depth", "_next", "_tokens", "scopes")

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens)
        self._depth = 0
        self.scopes: set[str] = set()

    def parse_all(self) -> _Node:
        """Parse the whole text."""
        node = self._expression()
        if self._next.kind != "end":
            self._fail("expected an operator or the end")
        return node

    def _expression(self, level: int = 0) -> _Node:
        """Parse operands that are joined by operators of at least this level."""
        node = self._operand()
        while (next_level := self._level()) >= level:
            node = _chain(node, self._rest_of(next_level))
        return node

    def _rest_of(self, level: int) -> Iterator[tuple[str, _Node]]:
        """Parse the operators of one level that follow an operand, each with its right operand."""
        while self._level() == level:
            yield self._take().text, self._expression(level + 1)

    def _level(self) -> int:
        return _LEVEL.get(self._next.text, -1)

    def _operand(self) -> _Node:
        """Parse one operand with its prefix operators, one level deeper than the surrounding expression."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"nesting deeper than {MAX_DEPTH}")
        node = self._bare_operand()
        self._depth -= 1
        return node

    def _bare_operand(self) -> _Node:
        match self._next:
            case ("string" | "number", _, _):
                return _constant(_literal(self._take()))
            case (_, "true" | "false", _):
                return _constant(self._take().text == "true")
            case (_, "-" | "not", _):
                return self._negated()
            case (_, "(", _):
                return self._enclosed("(", ")", self._expression)
            case (_, "[", _):
                return self._enclosed("[", "]", self._items)
        return self._function_or_property()

    def _negated(self) -> _Node:
        if self._take().text == "-":
            return _apply(negate_number, self._operand())
        return _apply(negate_boolean, self._expression(_NOT_LEVEL))

    def _function_or_property(self) -> _Node:
        name = self._next.text
        if name not in FUNCTIONS and name not in _SCOPES:
            self._fail("expected a value, a property or a function")
        self._take()
        if name in FUNCTIONS:
            return _apply(FUNCTIONS[name], self._enclosed("(", ")", self._expression))
        self.scopes.add(name)
        return _property(name, self._enclosed("[", "]", self._name))

    def _enclosed(self, before: str, after: str, read: Callable[[], _T]) -> _T:
        self._symbol(before)
        inside = read()
        self._symbol(after)
        return inside

    def _items(self) -> _Node:
        """Parse the items of a list."""
        items: list[_Node] = []
        while self._next.text != "]":
            if items:
                self._symbol(",")
            items.append(self._expression())
        return lambda row: [item(row) for item in items]

    def _name(self) -> str:
        """Parse the name of a property."""
        if self._next.kind != "string":
            self._fail("expected a name in double quotes")
        return str(_literal(self._take()))

    def _symbol(self, text: str) -> None:
        if self._next.text != text:
            self._fail(f"expected {text}")
        self._take()

    def _take(self) -> _Token:
        token, self._next = self._next, next(self._tokens)
        return token

    def _fail(self, what: str) -> NoReturn:
        _fail(what, self._next)


def _tokens(text: str) -> Iterator[_Token]:
    """Yield the tokens, then the end token without limit."""
    place = 0
    while True:
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            rest = text[place:].lstrip()
            _fail("unknown token", _Token("", rest, len(text) - len(rest)))
        yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
        place = found.end()


def _fail(what: str, token: _Token) -> NoReturn:
    found = f"{token.text:.20}" if token.text else "the end"
    msg = f"{what} at character {token.place + 1}, found {found}"
    raise WhereError(msg)


def _literal(token: _Token) -> Value:
    try:
        if token.kind == "number":
            return within_float_range(json.loads(token.text))
        return json.loads(token.text, strict=False)
    except (ValueError, OverflowError):
        _fail("invalid literal", token)


# nodes


def _constant(value: Value) -> _Node:
    return lambda _: value


def _property(scope: str, name: str) -> _Node:
    return lambda row: row[scope].get(name, UNDEFINED)


def _apply(function: Callable[[Value], Value], operand: _Node) -> _Node:
    return lambda row: function(operand(row))


def _chain(first: _Node, rest: Iterable[tuple[str, _Node]]) -> _Node:
    """Join the operands of one level. Any number of operands is one level of nesting."""
    links = [(BINARY[operator], operand) for operator, operand in rest]

    def evaluate(row: _Row) -> Value:
        value = first(row)
        for operate, operand in links:
            value = operate(value, operand(row))
        return value

    return evaluate
