"""Segmentation expressions: what they match, and which are refused."""

from __future__ import annotations

import contextlib
import json
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_async.testing import where

ROW = {
    "plan": "pro",
    "n": 1,
    "zero": 0,
    "big": 2**53 + 1,
    "price": 2.5,
    "yes": True,
    "no": False,
    "null": None,
    "list": ["a", 1],
    "$last_seen": "2026-02-01T05:00:00",
    "$time": where.Moment(1_770_000_000),
    'odd "name"': "ü",
}


def keeps(text, row=ROW, **others):
    return where.parse(text).matches(row, **others)


@pytest.mark.parametrize(
    "text",
    [
        'properties["plan"] == "pro"',
        'properties["odd \\"name\\""] == "\\u00fc"',
        'properties["n"] != "1"',
        'properties["n"] in [1, 2, 3]',
        'not properties["n"] in ["1", true]',
        '"ro" in properties["plan"]',
        'not "Ro" in properties["plan"]',
        '"a" in properties["list"] and 1 in properties["list"]',
        'properties["list"] == ["a", 1]',
        'not defined (properties["city"]) and not defined(properties["null"])',
        'defined(properties["zero"]) and defined(properties["no"])',
        'properties["big"] == 9007199254740993 and properties["big"] != 9007199254740992',
        'properties["plan"] + "!" == "pro!"',
        "1 + 2 * 3 - 4 / 2 == 5 and (1 + 2) * 3 == 9",
        "7 % 3 == 1 and -7 % 3 == -1 and 7 % -3 == 1",
        "-2 - -3 == 1 and --2 == 2",
        "true or true and false",
        "not false and not not true",
        "floor(2.7) == 2 and ceil(2.1) == 3 and floor(-2.1) == -3",
        "round(2.5) == 3 and round(-2.5) == -3 and round(2.4) == 2",
        'string(1) == "1" and string(1.0) == "1" and string(2.5) == "2.5" and string(true) == "true"',
        'number("2.5") == 2.5 and number(true) == 1 and number(properties["$time"]) == 1770000000',
        'boolean("x") and boolean(2) and not boolean("false") and not boolean("") and not boolean(0)',
        'not boolean(properties["city"]) and not boolean(properties["null"])',
        'properties["$time"] >= datetime(1770000000) and properties["$time"] < datetime(1770000001)',
        'properties["$time"] > datetime("2026-02-01") and properties["$time"] < datetime("2026-02-02T02:40:01")',
        'properties["$last_seen"] >= "2026-02-01T00:00:00"',
        'properties["$last_seen"] > datetime("2026-02-01T04:59:59")',
        'datetime(1769925600 - 86400) < properties["$last_seen"]',
        "1.5e3 == 1500 and 2 < 2.5",
    ],
)
def test_true(text):
    assert keeps(text)


@pytest.mark.parametrize(
    "text",
    [
        'properties["n"] == "1"',
        'properties["n"] == true',
        'properties["yes"] == 1',
        'properties["zero"] == false',
        'properties["n"] > "0"',
        'properties["city"] < 1',
        'properties["city"] != 1 == false',
        'properties["yes"] > properties["no"]',
        'properties["$time"] >= 1770000000',
        '1 + "1" == "11"',
        "1 / 0 == 1 / 1",
        '"1" in 1',
        'properties["n"]',
        '"true"',
        'properties["n"] and true',
        'properties["city"] or false',
        'number("1e3") == 1000',
        'number("inf") > 0',
        'datetime("2026-02-30") < datetime(1)',
        "1 < 2 < 3",
        'user["x"] == 1',
    ],
)
def test_false(text):
    assert not keeps(text)


@pytest.mark.parametrize(
    "undefined",
    [
        'properties["city"]',
        '1 < "2"',
        "1 / 0",
        "1 % 0",
        '"a" - 1',
        '"a" in 1',
        "-true",
        "floor(true)",
        "not 1",
    ],
)
def test_undefined(undefined):
    assert not keeps(f"({undefined}) or false")
    assert keeps(f"not ({undefined})")
    assert keeps(f"not defined({undefined})")


def test_where_values_come_from():
    text = 'user["$email"] == "a@b.c" and event["$time"] < datetime(10) and behaviors["bought"] > 0'
    assert keeps(text, {}, user={"$email": "a@b.c"}, event={"$time": where.Moment(9)}, behaviors={"bought": 1})
    assert not keeps(text, {"$email": "a@b.c"}, event={"$time": where.Moment(9)}, behaviors={"bought": 1})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 1),
        ("  ", 3),
        ('properties["a"] = 1', 17),
        ("properties[a]", 12),
        ("properties['a']", 12),
        ("properties", 11),
        ('"a', 1),
        ('"\\q" == 1', 1),
        ("1 +", 4),
        ("(1", 3),
        ("1)", 2),
        ("[1 2]", 4),
        ("[1,]", 4),
        ("null == 1", 1),
        ("x > 1", 1),
        ("1 AND 2", 3),
        ("floor 1", 7),
        ("1 not in [1]", 3),
        ("true; false", 5),
        ("01", 2),
        ("1" * 400, 1),
        ("1" * 5000, 1),
        ("(" * 60, 51),
        ("not " * 60, 201),
    ],
)
def test_what_is_refused_and_where(text, place):
    with pytest.raises(where.WhereError, match=rf"at character {place}, found "):
        where.parse(text)


def test_long_chains_and_lists_are_no_nesting():
    many = 5 * sys.getrecursionlimit()
    assert keeps(" and ".join(["true"] * many))
    assert keeps("+".join(["1"] * many) + f"== {many}")
    assert keeps(f"1 in {list(range(many))}")


@pytest.mark.parametrize("text", ["1+(" * 49 + "1" + ")" * 49 + "> 0", "floor(-" * 24 + "1" + ")" * 24 + "!= 0"])
def test_as_deep_as_may_be(text):
    assert keeps(text)


# compared with Python, whose operators have the same precedence

numbers = st.integers(-9, 9).map(str)
booleans = st.sampled_from(["true", "false", 'properties["yes"]', 'properties["no"]'])


def sums(inner):
    return st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from("+-*"), inner),
        st.builds("-{}".format, inner),
        st.builds("({})".format, inner),
    )


def logical_operations(inner):
    return st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("not {}".format, inner),
        st.builds("({})".format, inner),
    )


arithmetic = st.recursive(numbers, sums, max_leaves=12)
comparison = st.builds("{} {} {}".format, arithmetic, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), arithmetic)
members = st.builds("{} in [{}, {}]".format, arithmetic, numbers, numbers)
logic = st.recursive(booleans | comparison | members, logical_operations, max_leaves=12)


@given(logic)
def test_it_reads_as_python_does(text):
    names = {"true": True, "false": False, "properties": ROW}
    assert keeps(text) is eval(text, names)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=4
)


@given(json_values, json_values, st.sampled_from(["==", "<", "<=", "+", "-", "*", "/", "%", "in", "and", "or"]))
def test_laws_that_hold_of_all_values(one, other, operator):
    def holds(text):
        return keeps(text, {"a": one, "b": other})

    a, b = 'properties["a"]', 'properties["b"]'
    holds(f"{a} {operator} {b} == string({a} {operator} {b})")  # nothing raises
    assert holds(f"{a} == {b}") is holds(f"{b} == {a}") is not holds(f"{a} != {b}")
    assert holds(f"{a} < {b}") is holds(f"{b} > {a}")
    assert holds(f"{a} <= {b}") is (holds(f"{a} < {b}") or (holds(f"{a} == {b}") and holds(f"defined({a} < {b})")))
    assert holds(f"{a} == {a} and {a} in [{b}, {a}]")
    if type(one) is not type(other) and not {type(one), type(other)} <= {int, float}:
        assert not holds(f"{a} == {b}")
        assert holds(f"not defined({a} < {b})")


@given(st.text())
def test_strings_are_jsons(text):
    assert keeps(f'properties["s"] == {json.dumps(text)} and {json.dumps(text)} in properties["s"]', {"s": text})


@given(st.text(alphabet='()[]"\\ 01.e=!<>+-*%ainotrupes', max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(where.WhereError):
        keeps(text)


def test_numbers_beyond_all_floats_are_undefined():
    assert keeps('not defined(properties["n"] * properties["n"])', {"n": 10**300})
    assert not keeps('properties["n"] > 0', {"n": math.nan})
