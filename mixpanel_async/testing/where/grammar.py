"""From the text of a segmentation expression to a function of a row: tokens, precedence, functions."""

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
    minus,
    negated,
    within_reach,
)

DEEPEST = 50
"""How deep parentheses, lists, functions, ``not`` and ``-`` may be nested."""

_Row = Mapping[str, Mapping[str, Value]]
_Node = Callable[[_Row], Value]
_T = TypeVar("_T")

_LEVELS = (("or",), ("and",), (), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
_LEVEL = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}
_OF_NOT = 3
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
    """A text that is no segmentation expression; the message says what is wrong, and at which character."""


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


@dataclass(frozen=True, slots=True)
class Expression:
    """A segmentation expression that was understood; two are equal if their texts are."""

    text: str
    scopes: frozenset[str]
    """Which of ``properties``, ``user``, ``event`` and ``behaviors`` it looks at."""
    _node: _Node = field(compare=False, repr=False)

    def keeps(
        self,
        properties: Mapping[str, Value],
        *,
        user: Mapping[str, Value] | None = None,
        event: Mapping[str, Value] | None = None,
        behaviors: Mapping[str, Value] | None = None,
    ) -> bool:
        """Say whether it is true of one event or profile; undefined, and all that is no boolean, is not."""
        row = {"properties": properties, "user": user or {}, "event": event or {}, "behaviors": behaviors or {}}
        return is_true(self._node(row))


def parse(text: str) -> Expression:
    """Read an expression; raises WhereError."""
    reader = _Reader(text)
    node = reader.whole()
    return Expression(text, frozenset(reader.scopes), node)


class _Reader:
    """Reads tokens into nodes, by precedence climbing."""

    __slots__ = ("_depth", "_next", "_tokens", "scopes")

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens)
        self._depth = 0
        self.scopes: set[str] = set()

    def whole(self) -> _Node:
        """Read all there is."""
        node = self._expression()
        if self._next.kind != "end":
            self._refuse("expected an operator or the end")
        return node

    def _expression(self, level: int = 0) -> _Node:
        """Read operands that are joined by operators of this level and above."""
        node = self._operand()
        while (here := self._level()) >= level:
            node = _chained(node, self._rest_of(here))
        return node

    def _rest_of(self, level: int) -> Iterator[tuple[str, _Node]]:
        """Read what follows an operand on one level: operators, each with its operand."""
        while self._level() == level:
            yield self._taken().text, self._expression(level + 1)

    def _level(self) -> int:
        return _LEVEL.get(self._next.text, -1)

    def _operand(self) -> _Node:
        """Read one operand, with what stands before it; it is one deeper than what is around it."""
        self._depth += 1
        if self._depth > DEEPEST:
            self._refuse(f"nested more than {DEEPEST} deep")
        node = self._bare_operand()
        self._depth -= 1
        return node

    def _bare_operand(self) -> _Node:
        match self._next:
            case ("string" | "number", _, _):
                return _constant(_literal(self._taken()))
            case (_, "true" | "false", _):
                return _constant(self._taken().text == "true")
            case (_, "-" | "not" as sign, _):
                self._taken()
                return _applied(minus, self._operand()) if sign == "-" else _applied(negated, self._expression(_OF_NOT))
            case (_, "(", _):
                return self._enclosed("(", ")", self._expression)
            case (_, "[", _):
                return self._enclosed("[", "]", self._items)
        return self._named()

    def _named(self) -> _Node:
        """Read a function or a property."""
        name = self._next.text
        if name not in FUNCTIONS and name not in _SCOPES:
            self._refuse("expected a value, a property or a function")
        self._taken()
        if name in FUNCTIONS:
            return _applied(FUNCTIONS[name], self._enclosed("(", ")", self._expression))
        self.scopes.add(name)
        return _property(name, self._enclosed("[", "]", self._name))

    def _enclosed(self, before: str, after: str, read: Callable[[], _T]) -> _T:
        self._symbol(before)
        inside = read()
        self._symbol(after)
        return inside

    def _items(self) -> _Node:
        """Read the items of a list."""
        items: list[_Node] = []
        while self._next.text != "]":
            if items:
                self._symbol(",")
            items.append(self._expression())
        return lambda row: [item(row) for item in items]

    def _name(self) -> str:
        """Read the name of a property."""
        if self._next.kind != "string":
            self._refuse("expected a name in double quotes")
        return str(_literal(self._taken()))

    def _symbol(self, text: str) -> None:
        if self._next.text != text:
            self._refuse(f"expected {text}")
        self._taken()

    def _taken(self) -> _Token:
        token, self._next = self._next, next(self._tokens)
        return token

    def _refuse(self, what: str) -> NoReturn:
        _refuse(what, self._next)


def _tokens(text: str) -> Iterator[_Token]:
    """Yield the tokens, and the end for ever."""
    place = 0
    while True:
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            rest = text[place:].lstrip()
            _refuse("cannot read", _Token("", rest, len(text) - len(rest)))
        yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
        place = found.end()


def _refuse(what: str, token: _Token) -> NoReturn:
    found = f"{token.text:.20}" if token.text else "the end"
    msg = f"{what} at character {token.place + 1}, found {found}"
    raise WhereError(msg)


def _literal(token: _Token) -> Value:
    try:
        return within_reach(json.loads(token.text)) if token.kind == "number" else json.loads(token.text, strict=False)
    except (ValueError, OverflowError):
        _refuse("no such literal", token)


# nodes


def _constant(value: Value) -> _Node:
    return lambda _: value


def _property(scope: str, name: str) -> _Node:
    return lambda row: row[scope].get(name, UNDEFINED)


def _applied(function: Callable[[Value], Value], operand: _Node) -> _Node:
    return lambda row: function(operand(row))


def _chained(first: _Node, rest: Iterable[tuple[str, _Node]]) -> _Node:
    """Join operands of one level, however many, without going deeper."""
    links = [(BINARY[operator], operand) for operator, operand in rest]

    def joined(row: _Row) -> Value:
        value = first(row)
        for apply, operand in links:
            value = apply(value, operand(row))
        return value

    return joined
