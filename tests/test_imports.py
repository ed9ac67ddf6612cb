"""Imports go one way, so that a reader can follow the code from front to back."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mixpanel_async

ROOT = Path(mixpanel_async.__file__).parent
LAYERS = [
    {"_version", "html", "terminal"},
    {"types", "catalog", "clock", "dates", "arguments", "extras"},
    {"errors"},
    {"threads", "coverage", "tables", "verification", "written", "description"},
    {"views"},
    {"tasks", "telemetry", "progress", "progress_line", "selections"},
    {"progress_bar"},
    {"decode"},
    {"records"},
    {"sinks", "api"},
    {"meter"},
    {"duck"},
    {"holding", "dataset"},
    {"export", "engage", "lookups", "store"},
    {"verify", "distributed"},
    {"core"},
    {"client"},
]
"""Each may import those before it, and none of its own."""
APART = {"__init__", "__main__", "cli", "testing"}
PACKAGES = ["api", "decode", "duck", "export", "engage", "lookups", "verify", "dataset", "distributed", "cli"]


def imports(path, *, at_run_time=False):
    """The modules of the package that a file imports, as lists of names, those for type checking only included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if at_run_time:
        for check in [node for node in ast.walk(tree) if isinstance(node, ast.If)]:
            if ast.unparse(check.test) == "TYPE_CHECKING":
                check.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".") for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{name.name}".split(".") for name in node.names)


def ours(path):
    return [name[1:] for name in imports(path) if name[0] == "mixpanel_async" and len(name) > 1]


def files_of(part):
    return sorted((ROOT / part).rglob("*.py")) if (ROOT / part).is_dir() else [ROOT / f"{part}.py"]


def users_of(library):
    return {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if any(name[0] == library for name in imports(path, at_run_time=True))
    }


def test_every_module_has_its_layer():
    there = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there == set.union(APART, *LAYERS)


@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_a_layer_imports_those_before_it(number):
    before = set().union(*LAYERS[:number])
    for part in LAYERS[number]:
        for path in files_of(part):
            assert {name[0] for name in ours(path)} <= before | {part}, path


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_read_in_the_order_that_its_docstring_gives(package):
    docstring = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")))
    order = re.findall(r"^([a-z_]+) {2,}\S", docstring, re.MULTILINE)
    files = {path.stem: path for path in (ROOT / package).glob("*.py") if path.stem != "__init__"}
    assert sorted(order) == sorted(files)
    for place, name in enumerate(order):
        assert {other[1] for other in ours(files[name]) if other[0] == package} <= set(order[:place]), name


def test_one_module_knows_opentelemetry_and_no_import_of_ours_imports_it():
    assert users_of("opentelemetry") == {"telemetry.py"}
    script = "import sys, mixpanel_async.client; print('opentelemetry' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


def test_one_module_talks_to_the_net_and_one_package_to_the_database():
    apart = ("testing/", "cli/")
    assert {user for user in users_of("aiohttp") if not user.startswith(apart)} == {"api/transport.py"}
    assert all(user.startswith(("duck/", *apart)) for user in users_of("duckdb"))


def test_each_result_of_the_database_is_read_to_its_end():
    """One that is not keeps its transaction open, so that DuckDB cannot use old blocks again and the file grows."""
    assert [
        path for path in files_of("duck") if "fetchone" in path.read_text(encoding="utf-8").replace("`fetchone`", "")
    ] == []


def test_the_fake_server_does_not_know_the_client():
    for path in files_of("testing"):
        assert {name[0] for name in ours(path)} <= {"_version", "testing"}, path
