"""Tests of the built wheel, installed without the source tree. Only `nox -s wheel` runs this file.

The session sets the environment variables `WHEEL` and `SOURCE_TREE` to their paths.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import duckdb
import pytest

import mixpanel_async

WHEEL, SOURCE = Path(os.environ["WHEEL"]), Path(os.environ["SOURCE_TREE"]).resolve()
PACKAGE = Path(mixpanel_async.__file__).resolve().parent
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages([str(PACKAGE)], "mixpanel_async.")
    if not found.name.endswith("__main__")  # importing one runs it
)


def files_in_the_tree():
    """The package's files in git."""
    command = ["git", "ls-files", "mixpanel_async", "_mixpanel_async_pytest.py"]
    return set(subprocess.run(command, cwd=SOURCE, check=True, capture_output=True, text=True).stdout.splitlines())


def test_the_package_comes_from_the_wheel():
    assert PACKAGE.parent.name == "site-packages"
    assert not any(Path(place or ".").resolve() == SOURCE for place in sys.path)
    assert distribution("mixpanel-async").version == mixpanel_async.__version__


def test_the_wheel_has_all_of_the_package_and_nothing_else():
    with zipfile.ZipFile(WHEEL) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == files_in_the_tree()


def test_it_is_typed_and_has_its_licence():
    assert (PACKAGE / "py.typed").is_file()
    assert any(path.name == "LICENSE" for path in distribution("mixpanel-async").files or ())


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports(name):
    importlib.import_module(name)


def test_its_entry_points_lead_to_something():
    points = distribution("mixpanel-async").entry_points
    assert sorted(point.group for point in points) == ["console_scripts", "pytest11"]
    assert {point.name for point in points} == {"mixpanel-async"}
    assert all(point.load() for point in points)


def test_the_plugin_gives_its_fixture(fake_mixpanel):
    assert fake_mixpanel.url.startswith("http://127.0.0.1:")


def test_the_demo_runs(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "mixpanel_async", "demo"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with duckdb.connect(tmp_path / "demo.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT count(*) > 190_000 FROM events").fetchall() == [(True,)]
