"""Each of the 96 numbered behaviours of the fake server has a test with its number in the name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ITEMS = range(1, 97)


def numbered_tests():
    """The names of tests by their item number: ``test_item_12_what``."""
    found = defaultdict(list)
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if number := re.match(r"test_item_(\d\d)_", node.name):
                found[int(number[1])].append(node.name)
    return found


def test_every_item_has_a_test():
    assert sorted(numbered_tests()) == list(ITEMS)


def test_each_test_has_one_number():
    names = [name for names in numbered_tests().values() for name in names]
    assert [name for name in names if not re.match(r"test_item_\d\d_[a-z]", name)] == []
