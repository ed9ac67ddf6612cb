"""Each row of the fault matrix is a test that carries its number."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROWS = range(1, 83)

NOT_HERE: dict[int, str] = {}
"""Rows that cannot be tested here, and why."""


def test_each_row_of_the_matrix_is_a_test_or_named_with_its_reason():
    there = set()
    for file in Path(__file__).parent.glob("test_rows_*.py"):
        functions = [node.name for node in ast.walk(ast.parse(file.read_text())) if hasattr(node, "name")]
        there |= {int(found[1]) for name in functions if (found := re.match(r"test_row_(\d\d)_", name or ""))}
    assert there | NOT_HERE.keys() == set(ROWS)
    assert not there & NOT_HERE.keys()
