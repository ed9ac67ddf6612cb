"""Imports go one way, so that an event's way can be read from front to back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mixpanel_async

ROOT = Path(mixpanel_async.__file__).parent
BASE = {"_version", "errors", "types", "catalog"}
PIPELINE = [
    "dates",
    "threads",
    "groups",
    "lines",
    "oddlines",
    "spool",
    "cut",
    "decode",
    "repeats",
    "parts",
    "proof",
    "body",
    "parse",
    "batches",
    "download",
    "ask",
    "lookup",
    "messages",
    "writer",
    "hooks",
    "fetch",
    "order",
    "results",
    "fill",
    "stream",
    "page",
    "pages",
    "profiles",
    "profilestream",
]
MAY = {
    "_version": set(),
    "errors": set(),
    "types": set(),
    "catalog": set(),
    "api": BASE | {"api"},
    "store": BASE | {"store"},
    "pipeline": BASE | {"api", "store", "pipeline"},
    "lookups": BASE | {"api", "store", "pipeline"},
    "client": BASE | {"api", "store", "pipeline", "lookups"},
    "testing": {"_version", "testing"},
}


def imports(path, *, at_run_time):
    """The modules that a file imports, those for type checking only where they are asked for."""
    tree = ast.parse(path.read_text())
    if at_run_time:
        checks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
        for check in checks:
            check.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def ours(path, *, at_run_time=False):
    return [
        name.split(".")[1:] for name in imports(path, at_run_time=at_run_time) if name.startswith("mixpanel_async.")
    ]


def users_of(library):
    return {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if any(name.split(".")[0] == library for name in imports(path, at_run_time=True))
    }


@pytest.mark.parametrize("part", MAY)
def test_imports_go_one_way(part):
    files = [ROOT / f"{part}.py"] if (ROOT / f"{part}.py").exists() else sorted((ROOT / part).rglob("*.py"))
    assert files
    for path in files:
        assert {name[0] for name in ours(path)} <= MAY[part], path


def test_one_module_talks_to_the_net_and_one_package_to_the_database():
    apart = ("testing/", "cli/")
    assert {user for user in users_of("aiohttp") if not user.startswith(apart)} == {"api/transport.py"}
    assert all(user.startswith(("store/", *apart)) for user in users_of("duckdb"))


def test_the_pipeline_is_read_in_one_order():
    files = {path.stem: path for path in (ROOT / "pipeline").glob("*.py") if path.stem != "__init__"}
    assert set(files) == set(PIPELINE)
    for place, stem in enumerate(PIPELINE):
        before = {name[1] for name in ours(files[stem], at_run_time=True) if name[0] == "pipeline"}
        assert before <= set(PIPELINE[:place]), stem
