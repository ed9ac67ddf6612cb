"""Imports within `mixpanel_async.testing` go one way, between files and between folders; its docstring names all files."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import mixpanel_async.testing

ROOT = Path(mixpanel_async.testing.__file__).parent
PREFIX = "mixpanel_async.testing."
FILES = {path.relative_to(ROOT).with_suffix(""): path for path in ROOT.rglob("*.py") if path.name != "__init__.py"}


def imported(path):
    """The files that a file imports, also under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            for name in [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]:
                file = Path(*name.removeprefix(PREFIX).split("."))
                if name.startswith(PREFIX) and file in FILES:
                    yield file


def test_no_file_imports_itself_through_others():
    TopologicalSorter({file: set(imported(path)) for file, path in FILES.items()}).prepare()


def test_no_folder_imports_itself_through_others():
    folders = defaultdict(set)
    for file, path in FILES.items():
        others = {other.parent for other in imported(path)} - {file.parent}
        folders[file.parent] |= {folder for folder in others if folder != Path()}
    folders.pop(Path())  # server.py and the entry points import every folder; clock.py imports none
    assert len(folders) > 5
    TopologicalSorter(folders).prepare()


def test_the_docstring_of_the_package_names_every_file():
    text = mixpanel_async.testing.__doc__
    assert [name for name in {path.name for path in FILES.values()} if name not in text] == []
    assert [name for name in {f"``{path.parent.name}/``" for path in FILES.values()} if name not in text] == [
        "``testing/``"
    ]
