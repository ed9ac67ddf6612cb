"""The documents: each path that they name exists, each link leads somewhere, and the map has the whole package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mixpanel_async"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md")) + sorted((ROOT / "examples").rglob("*.md"))

FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"`(\.?\w[\w.-]*(?:/[\w.-]+)*/(?:[\w-]+\.\w+)?)`", re.ASCII)
"""Words between backticks that end in a slash, or in a slash and a file name with an extension."""
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")

pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="only a clone of the repository has all paths")
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def prose(page):
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_each_path_exists_in_the_repository_or_the_package(page):
    missing = [path for path in PATH.findall(prose(page)) if not ((ROOT / path).exists() or (PACKAGE / path).exists())]
    assert missing == []


@pages
def test_each_relative_link_resolves(page):
    for target, anchor in LINK.findall(prose(page)):
        if not re.match(r"\w+:", target):
            file = (page.parent / target).resolve() if target else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), anchor


def test_paths_are_recognized():
    text = "`docs/` `a/b.py` `.ci/lock.txt` `a/.b/c_d.toml` `GET /a/b.c` `a/b` `/a/b.c` `https://a/b.c` `a.py`"
    assert PATH.findall(text) == ["docs/", "a/b.py", ".ci/lock.txt", "a/.b/c_d.toml"]


def test_the_map_has_each_file_and_folder_of_the_package():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    mapped = re.findall(r"^[├└]── (\w+(?:\.py|/)) +\S", page, re.MULTILINE)
    there = {path.name for path in PACKAGE.glob("[a-z]*.py")} | {
        f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")
    }
    assert sorted(mapped) == sorted(there)
